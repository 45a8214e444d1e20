"""`ctid sheets` and `ctid sheet`: coaching sheets written, read and answered."""

import argparse
from collections.abc import Callable
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ctid.cli import words
from ctid.cli.documents import act, as_entity, get
from ctid.cli.exits import HELP, Exit
from ctid.cli.output import Output, table
from ctid.client import Client
from ctid.client.http import segment
from ctid.coaching.sheets import BEST, Sheet
from ctid.model.instant import to_rfc3339

_EXAMPLES = """examples:
  ctid sheet write s1a2b3c4d5e6 --grade greeting=4 --grade closing=5 --text "let him finish"
  ctid sheets --agent 1001                    her sheets, those that you may read
  ctid sheet show c1a2b3c4d5e6
  ctid sheet mend c1a2b3c4d5e6 --grade closing=none
  ctid sheet comment c1a2b3c4d5e6 "he had called three times before"     (the agent)"""


def add_to(add: Callable[[str, str], argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the commands to the parser."""
    command = add("sheets", "coaching sheets, the newest first: yours, or about you")
    command.add_argument("--agent", metavar="AGENT", help="about one agent")
    command.set_defaults(remote=sheets)
    parser = add("sheet", "write a coaching sheet, read, mend or answer one")
    parser.epilog = f"{_EXAMPLES}\n\n{HELP}"
    commands = parser.add_subparsers(required=True, metavar="WHAT", title="what")

    def below(name: str, summary: str, which: str, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=HELP,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[common],
        )
        command.add_argument(which, metavar=which.upper(), help=text)
        return command

    def graded(command: argparse.ArgumentParser) -> None:
        command.add_argument(
            "--grade",
            metavar="ID=1..5",
            type=grade,
            action="append",
            default=[],
            help="a criterion of the grid, and its grade or `none`; repeatable",
        )
        command.add_argument("--text", help="at most 2000 characters")

    command = below("write", "write the sheet of a session of yours", "session", "live, or ended")
    command.add_argument("--agent", metavar="AGENT", help="about whom, where the session followed several")
    graded(command)
    command.set_defaults(remote=write)
    below("show", "read a sheet", "sheet", "as `ctid sheets` lists it").set_defaults(remote=show)
    command = below("mend", "change a sheet of yours, while its time lasts", "sheet", "its id")
    graded(command)
    command.set_defaults(remote=mend)
    command = below("comment", "answer a sheet about you", "sheet", "its id")
    command.add_argument("text", metavar="TEXT", help="at most 1000 characters")
    command.set_defaults(remote=comment)


def grade(text: str) -> tuple[str, int | None]:
    """A criterion and its grade, of `closing=4` or `closing=none`."""
    ident, _, value = text.partition("=")
    if ident and value == "none":
        return ident, None
    if not ident or value not in [str(number) for number in range(1, BEST + 1)]:
        raise argparse.ArgumentTypeError(f"say ID=GRADE, a grade of 1 to {BEST}, or ID=none")
    return ident, int(value)


async def sheets(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """List sheets."""
    params = {"agent": arguments.agent} if arguments.agent else {}
    items: list[dict[str, Any]] = []
    page: dict[str, Any] = {"next": ""}
    while page["next"] is not None:
        cursor = {"cursor": page["next"]} if page["next"] else {}
        page = await get(client, "/sheets", **params, **cursor)
        items += page["items"]
    rows = [
        (
            words.peer(sheet.id),
            to_rfc3339(sheet.written_at)[:16],
            words.peer(sheet.agent),
            words.peer(sheet.author),
            str(sheet.purpose),
            " ".join("-" if graded.grade is None else str(graded.grade) for graded in sheet.grades),
            "answered" if sheet.comment else "",
        )
        for sheet in map(_read, items)
    ]
    columns = ("SHEET", "UTC", "AGENT", "AUTHOR", "PURPOSE", "GRADES", "")
    output.answer({"items": items}, table(columns, rows) if rows else Text("no sheets", style="dim"))
    return Exit.OK


async def write(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Write one."""
    body: dict[str, Any] = {"grades": dict(arguments.grade), "text": arguments.text or ""}
    if arguments.agent:
        body["agent"] = arguments.agent
    document = await act(client, "POST", f"/supervisions/{segment(arguments.session)}/sheet", body)
    output.answer(document, _shown(_read(document)))
    return Exit.OK


async def show(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Read one."""
    document = await get(client, f"/sheets/{segment(arguments.sheet)}")
    output.answer(document, _shown(_read(document)))
    return Exit.OK


async def mend(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Change one."""
    body: dict[str, Any] = {"grades": dict(arguments.grade)}
    if arguments.text is not None:
        body["text"] = arguments.text
    document = await act(client, "PATCH", f"/sheets/{segment(arguments.sheet)}", body)
    output.answer(document, _shown(_read(document)))
    return Exit.OK


async def comment(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Answer one."""
    body = {"text": arguments.text}
    document = await act(client, "POST", f"/sheets/{segment(arguments.sheet)}/comment", body)
    output.answer(document, _shown(_read(document)))
    return Exit.OK


def _read(document: dict[str, Any]) -> Sheet:
    return as_entity(Sheet, document)


def _shown(sheet: Sheet) -> RenderableType:
    head = f"sheet {sheet.id} about {sheet.agent}, by {sheet.author}, {to_rfc3339(sheet.written_at)[:16]} UTC"
    parts: list[RenderableType] = [words.peer(f"{head}, version {sheet.version}")]
    rows = [
        (words.peer(graded.label), "-" if graded.grade is None else "●" * graded.grade + f" {graded.grade}")
        for graded in sheet.grades
    ]
    parts.append(table(("", ""), rows))
    if sheet.text:
        parts.append(words.peer(sheet.text))
    if sheet.comment is not None:
        answer = f"{sheet.agent} answers to version {sheet.comment.version}: {sheet.comment.text}"
        parts.append(words.peer(answer))
    return Group(*parts)

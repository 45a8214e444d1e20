"""`ctid audit`, `purge` and `subject`: who listened to whom, how long that is kept, and people's rights."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text

from ctid.app import make_driver
from ctid.audit.export import csv_of
from ctid.audit.files import Files
from ctid.audit.log import FOLDER
from ctid.cli import words
from ctid.cli.documents import act, get
from ctid.cli.exits import HELP, Exit
from ctid.cli.figures import instant
from ctid.cli.output import Output, table
from ctid.client import Client
from ctid.client.http import segment
from ctid.config import DEFAULT_PATH, ConfigError, load
from ctid.model.instant import enc_hook

_EXAMPLES = """examples:
  ctid audit list --agent 1001 --since 2026-03-01
  ctid audit export --format csv > audit.csv
  ctid audit verify                       the files of this machine; no daemon is needed
  ctid audit verify --anchor HASH         against an anchor that was kept elsewhere, of the topic …/audit
  ctid audit verify --remote              have the daemon read them"""

_FILTERS = ("agent", "by", "event", "since", "until")
_PAGE = "500"


def add_to(add: Callable[[str, str], argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the commands to the parser."""
    parser = add("audit", "who listened to whom, and whether that log is as it was written")
    parser.epilog = f"{_EXAMPLES}\n\n{HELP}"
    below = _adder(parser, common)
    command = below("list", "the records; that they were read is recorded as well")
    _add_filters(command)
    command.set_defaults(remote=list_records)
    command = below("export", "the records as a file, on standard output")
    _add_filters(command)
    command.add_argument("--format", choices=("csv", "json"), default="csv", help="default: %(default)s")
    command.set_defaults(remote=export)
    command = below("verify", "find each edit, deletion and move; exit code 1 when there is one")
    where = command.add_mutually_exclusive_group()
    where.add_argument("--config", metavar="PATH", default=str(DEFAULT_PATH), help="default: %(default)s")
    where.add_argument("--directory", metavar="PATH", help="the state directory, or a copy of it")
    # Without the function that needs no daemon, the one that asks it is carried out.
    where.add_argument(
        "--remote", dest="local", action="store_const", const=None, help="have the daemon read them"
    )
    command.add_argument("--anchor", metavar="HASH", default="", help="the hash of an anchor kept elsewhere")
    command.set_defaults(local=verify, remote=verify_remotely)
    command = add("purge", "take out what has been kept long enough, as ctid does daily")
    command.add_argument("--dry-run", action="store_true", help="only tell what would go")
    command.set_defaults(remote=purge)
    parser = add("subject", "what is kept about a person: hand it out, or erase what may be erased")
    below = _adder(parser, common)
    for name, summary, function in (
        ("export", "all that is kept about a person, as JSON", export_subject),
        ("erase", "erase what was written about a person; what the law has to be kept stays", erase_subject),
    ):
        command = below(name, summary)
        who = command.add_mutually_exclusive_group(required=True)
        who.add_argument("--agent", metavar="ID", help="an agent")
        who.add_argument("--number", metavar="N", help="a telephone number, in what people wrote")
        if function is erase_subject:
            command.add_argument("--dry-run", action="store_true", help="only tell what would go")
        command.set_defaults(remote=function)


def _adder(
    parser: argparse.ArgumentParser, common: argparse.ArgumentParser
) -> Callable[[str, str], argparse.ArgumentParser]:
    commands = parser.add_subparsers(required=True, metavar="WHAT", title="what")

    def add(name: str, summary: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=HELP,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[common],
        )

    return add


def _add_filters(command: argparse.ArgumentParser) -> None:
    command.add_argument("--agent", metavar="ID", help="about one agent")
    command.add_argument("--by", metavar="NAME", help="who asked, or whose session it is")
    command.add_argument("--event", metavar="EVENT", help="such as refused, active, ended, unattributed")
    for name, meaning in (("since", "default: all that is kept"), ("until", "itself not in the period")):
        text = f"such as 2026-03-01T08:00:00Z; a date is its midnight here; {meaning}"
        command.add_argument(f"--{name}", metavar="TIME", type=instant, help=text)


async def _records(client: Client, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    asked = {name: value for name in _FILTERS if (value := getattr(arguments, name))}
    asked["limit"] = _PAGE
    items: list[dict[str, Any]] = []
    while True:
        page = await get(client, "/audit", **asked)
        items += page["items"]
        if not page["next"]:
            return items
        asked["cursor"] = page["next"]


async def list_records(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """List the records."""
    items = await _records(client, arguments)
    rows = [
        (
            str(item["seq"]),
            words.peer(_clock(item["at"])),
            words.peer(item["event"]),
            words.peer(item["by"]),
            words.peer(item["agent"]),
            words.peer(item["call"]),
            words.peer(item["supervision"]),
            words.peer(item["detail"]),
        )
        for item in items
    ]
    columns = (">RECORD", "AT", "WHAT", "BY", "AGENT", "CALL", "SESSION", "DETAIL")
    output.answer({"items": items}, table(columns, rows) if rows else Text("no records", style="dim"))
    return Exit.OK


async def export(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Write the records as CSV or JSON."""
    items = await _records(client, arguments)
    if arguments.format == "json" or output.as_json:
        output.document({"items": items})
    else:
        sys.stdout.write(csv_of(items))
        sys.stdout.flush()
    return Exit.OK


def verify(output: Output, arguments: argparse.Namespace) -> Exit:
    """Verify the files of a state directory; nothing is written."""
    if arguments.directory is not None:
        directory = Path(arguments.directory)
    else:
        try:
            directory = load(Path(arguments.config), make_driver).state_directory
        except ConfigError as error:
            text = f"{error}\nor name the state directory: --directory PATH"
            output.fail({"code": "config.invalid", "detail": str(error)}, text)
            return Exit.CONFIG
    try:
        found = Files(directory / FOLDER).verify(arguments.anchor)
    except OSError as error:
        text = f"the audit in {directory} cannot be read ({error.strerror}): name another --directory"
        output.fail({"code": "audit.unavailable", "detail": text}, text)
        return Exit.REFUSED
    return _verified(output, msgspec.to_builtins(found, enc_hook=enc_hook))


async def verify_remotely(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Have the daemon verify them."""
    return _verified(output, await get(client, "/audit/verification", anchor=arguments.anchor))


def _verified(output: Output, found: dict[str, Any]) -> Exit:
    kept = f"records {found['first']} to {found['last']}" if found["records"] else "no records"
    told = [f"{found['erased']} erased in part" if found["erased"] else ""]
    told.append(f"those up to {found['purged_to']} purged" if found["purged_to"] else "")
    extra = "".join(f", {part}" for part in told if part)
    lines: list[RenderableType] = []
    if found["ok"]:
        lines.append(Text(f"good: {kept}{extra}", style="green"))
        lines.append(words.peer(f"its end: record {found['last']}, {found['last_hash']}"))
    else:
        lines.append(Text(f"NOT as it was written: {kept}{extra}", style="bold red"))
        for finding in found["findings"]:
            which = f"record {finding['record']}" if finding["record"] is not None else "the log"
            where = f" ({finding['place']})" if finding["place"] else ""
            lines.append(words.peer(f"  {which}{where}: {finding['problem']}"))
    output.answer(found, Group(*lines))
    return Exit.OK if found["ok"] else Exit.REFUSED


async def purge(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Purge every class, or tell what would go."""
    report = await act(client, "POST", "/retention/purge", {"dry_run": arguments.dry_run})
    rows = [
        (
            words.peer(kept["name"]),
            str(kept["keep_days"]),
            words.peer(_clock(kept["before"])),
            words.peer(kept["problem"] or str(kept["purged"])),
        )
        for kept in report["classes"]
    ]
    gone = ">WOULD GO" if report["dry_run"] else ">GONE"
    output.answer(report, table(("CLASS", ">DAYS KEPT", "OLDER THAN", gone), rows))
    return Exit.REFUSED if any(kept["problem"] for kept in report["classes"]) else Exit.OK


def _path(arguments: argparse.Namespace) -> str:
    if arguments.agent is not None:
        return f"/subjects/agent/{segment(arguments.agent)}"
    # Its digits alone are compared, however it is written there.
    digits = "".join(character for character in arguments.number if character.isdigit())
    return f"/subjects/number/{segment(digits or arguments.number)}"


async def export_subject(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Hand out all that is kept about a person."""
    output.document(await get(client, _path(arguments)))
    return Exit.OK


async def erase_subject(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Erase what may be erased of a person."""
    query = "?dry_run=true" if arguments.dry_run else ""
    report = await act(client, "DELETE", f"{_path(arguments)}{query}")
    rows = [
        (
            words.peer(part["name"]),
            str(part["erased"]),
            str(part["kept"]),
            words.peer(part["reason"]),
        )
        for part in report["classes"]
    ]
    erased = ">WOULD BE ERASED" if report["dry_run"] else ">ERASED"
    output.answer(report, table(("CLASS", erased, ">KEPT", "WHY"), rows))
    return Exit.OK


def _clock(at: str) -> str:
    return at[:19].replace("T", " ") + "Z"

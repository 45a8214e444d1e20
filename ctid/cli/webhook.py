"""`ctid webhook`: how the webhooks stand, their dead letters, and whether a receiver hears ctid."""

import argparse
from collections.abc import Callable
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from ctid.cli import words
from ctid.cli.documents import act, get
from ctid.cli.exits import HELP, Exit
from ctid.cli.output import Output, table
from ctid.client import Client
from ctid.client.http import segment

_PAGE = "500"
_STYLES = {"ok": "green", "failing": "bold yellow", "disabled": "bold red"}
_EXAMPLES = """examples:
  ctid webhook list
  ctid webhook test crm      sends an event that says nothing, and tells what was answered
  ctid webhook dead crm      events that were given up, and why
  ctid webhook retry crm     sends them again"""


def add_to(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add what can be done to the parser of the command."""
    parser.epilog = f"{_EXAMPLES}\n\n{HELP}"
    commands = parser.add_subparsers(required=True, metavar="WHAT", title="what")

    def below(name: str, summary: str, remote: Callable[..., Any]) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=HELP,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[common],
        )
        command.set_defaults(remote=remote)
        return command

    below("list", "the webhooks, and how each stands", list_)
    for command in (
        below("test", "send a test event to a webhook", test),
        below("dead", "the events that a webhook did not take and that were given up", dead),
        below("retry", "send dead events again, and enable a webhook that its receiver ended", retry),
    ):
        command.add_argument("webhook", metavar="NAME", help="as `ctid webhook list` lists it")
    command.add_argument(
        "events", metavar="EVENT", nargs="*", help="ids, as `ctid webhook dead` lists them; default: all"
    )


async def list_(client: Client, output: Output, _arguments: argparse.Namespace) -> Exit:
    """List the webhooks."""
    document = await get(client, "/webhooks")
    rows: list[tuple[RenderableType, ...]] = [
        (
            words.peer(hook["name"]),
            Text(hook["state"], style=_STYLES.get(hook["state"], "")),
            words.peer(hook["host"]),
            *[str(hook[count]) for count in ("delivered", "waiting", "dead", "dropped")],
            words.peer(hook["degraded"] or hook["last_error"]),
        )
        for hook in document["items"]
    ]
    columns = ("NAME", "STATE", "TO", ">DELIVERED", ">WAITING", ">DEAD", ">DROPPED", "LAST ERROR")
    shown = table(columns, rows) if rows else Text("no webhook is configured", style="dim")
    output.answer(document, shown)
    return Exit.OK


async def test(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Send a test event; refused when it did not arrive."""
    document = await act(client, "POST", f"/webhooks/{segment(arguments.webhook)}/test", {})
    if document["delivered"]:
        said = f"{document['id']} was taken: {document['status']} {document['answer']}".rstrip()
    else:
        said = f"{document['id']} was not taken: {document['problem']} {document['answer']}".rstrip()
    output.answer(document, words.peer(said))
    return Exit.OK if document["delivered"] else Exit.REFUSED


async def dead(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """List dead letters."""
    items: list[dict[str, Any]] = []
    asked = {"limit": _PAGE}
    while True:
        page = await get(client, f"/webhooks/{segment(arguments.webhook)}/dead", **asked)
        items += page["items"]
        if not page["next"]:
            break
        asked["cursor"] = page["next"]
    rows = [
        (
            item["died_at"],
            words.peer(item["id"]),
            words.peer(item["type"]),
            words.peer(item["subject"]),
            str(item["tries"]),
            words.peer(item["reason"]),
        )
        for item in items
    ]
    columns = ("GIVEN UP AT", "EVENT", "TYPE", "SUBJECT", ">TRIES", "WHY")
    shown = table(columns, rows) if rows else Text("no letter is dead", style="dim")
    output.answer({"items": items}, shown)
    return Exit.OK


async def retry(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Send dead letters again."""
    body = {"events": arguments.events} if arguments.events else {}
    document = await act(client, "POST", f"/webhooks/{segment(arguments.webhook)}/retry", body)
    output.answer(document, Text(f"{document['retried']} events wait again"))
    return Exit.OK

"""`ctid call`: act on a live call; `ctid dial` and `ctid message`: reach an agent; `ctid recordings`."""

import argparse
import time
from collections.abc import Callable
from typing import Any

from rich.text import Text

from ctid.calls.words import RecordingEntry
from ctid.cli import words
from ctid.cli.documents import act, as_entity, get
from ctid.cli.exits import HELP, Exit
from ctid.cli.output import Output, table
from ctid.client import Client
from ctid.client.http import segment
from ctid.model.entities import Call

_EXAMPLES = """examples:
  ctid call hangup main.1795.12                 the whole call
  ctid call hangup main.1795.12 --party 1795.13  one party of it, by its leg
  ctid call transfer main.1795.12 1002          the customer to another agent, or an allowed number
  ctid call transfer main.1795.12 --queue sales  or into a queue
  ctid call up main.1795.12                     a waiting call to the first place; --position N: to another
  ctid call record main.1795.12 start --basis "training, with consent"
  ctid call record main.1795.12 pause           silence, until `resume`; `stop` ends it
  ctid call private main.1795.12                no listening, no recording, for good
  ctid call objected main.1795.12               the same, because the customer objects

`ctid calls` lists the calls."""

_COMMANDS = (
    ("hangup", "hang up the call, or one party of it"),
    ("transfer", "send the customer on, and release the agent"),
    ("up", "move a waiting call up in its queue"),
    ("record", "start, stop, pause or resume its recording on the PBX"),
    ("private", "make it private: no listening, no recording, for good"),
    ("objected", "note that the customer objects to being listened to or recorded, for good"),
)
_PATHS = {"up": "priority", "record": "recording"}


def add_to(add: Callable[[str, str], argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add `ctid call` with what is below it, `ctid dial`, `ctid message` and `ctid recordings`."""
    parser = add("call", "act on a live call: hang up, transfer, move up, record, protect")
    parser.epilog = f"{_EXAMPLES}\n\n{HELP}"
    commands = parser.add_subparsers(required=True, metavar="WHAT", title="what")
    for name, summary in _COMMANDS:
        command = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=HELP,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[common],
        )
        command.add_argument("call", metavar="CALL", help="its id, as `ctid calls` lists it")
        command.set_defaults(remote=command_call, what=name)
        if name == "hangup":
            command.add_argument("--party", metavar="LEG", help="that party alone; default: the whole call")
        elif name == "transfer":
            where = command.add_mutually_exclusive_group(required=True)
            where.add_argument("number", metavar="NUMBER", nargs="?", help="an agent's, or an allowed one")
            where.add_argument("--queue", metavar="QUEUE", help="a queue, by its id")
        elif name == "up":
            command.add_argument(
                "--position", metavar="N", type=int, default=1, help="1, the default, is served next"
            )
        elif name == "record":
            command.add_argument("action", choices=("start", "stop", "pause", "resume"), metavar="ACTION")
            command.add_argument("--basis", default="", help="why it may be made; `start` needs it")
    command = add("dial", "call a number with an agent's phone")
    command.add_argument("agent", metavar="AGENT", help="whose phone rings first; she must be free")
    command.add_argument("number", metavar="NUMBER", help="what she calls once she answers")
    command.set_defaults(remote=dial)
    command = add("message", "send a text to an agent, to her phone and by the broker")
    command.add_argument("agent", metavar="AGENT", help="her id, as `ctid agents` lists it")
    command.add_argument("text", metavar="TEXT", help="at most 500 characters, on one line")
    command.set_defaults(remote=message)
    command = add("recordings", "the recordings that ctid had made: who, why, when, and the file on the PBX")
    for name in ("call", "agent", "queue", "by"):
        command.add_argument(f"--{name}", metavar=name.upper(), default="", help=f"of one {_OF[name]}")
    command.set_defaults(remote=recordings)


_OF = {"call": "call", "agent": "agent", "queue": "queue", "by": "user who had them made"}


async def command_call(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Act on a call, and show it as it is then."""
    body: dict[str, Any] = {}
    match arguments.what:
        case "hangup" if arguments.party:
            body["party"] = arguments.party
        case "transfer":
            body["to"] = arguments.number or {"queue": arguments.queue}
        case "up":
            body["position"] = arguments.position
        case "record":
            body |= {"action": arguments.action, "basis": arguments.basis}
    path = _PATHS.get(arguments.what, arguments.what)
    document = await act(client, "POST", f"/calls/{segment(arguments.call)}/{path}", body)
    _answer(output, document)
    return Exit.OK


async def dial(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Call a number with an agent's phone, and show the call."""
    body = {"agent": arguments.agent, "number": arguments.number}
    _answer(output, await act(client, "POST", "/calls", body))
    return Exit.OK


async def message(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Send a text, and say by which ways it went."""
    path = f"/agents/{segment(arguments.agent)}/message"
    document = await act(client, "POST", path, {"text": arguments.text})
    ways = [name for way, name in (("sip", "to her phone"), ("mqtt", "by the broker")) if document[way]]
    line = words.peer(f"{document['agent']}: sent {' and '.join(ways)}")
    if document["reason"]:
        line.append("\n").append_text(words.peer(document["reason"]))
    output.answer(document, line)
    return Exit.OK


async def recordings(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """List recordings, the newest first; the first hundred that match."""
    filters = {name: value for name in _OF if (value := getattr(arguments, name))}
    document = await get(client, "/recordings", **filters)
    now = time.time()
    rows = []
    for item in document["items"]:
        made = as_entity(RecordingEntry, item)
        length = words.span((made.stopped_at or now) - made.started_at)
        rows.append(
            (
                str(made.id),
                f"{item['started_at']}",
                length if made.stopped_at else f"{length} …",
                words.peer(made.call),
                words.peer(made.agent or ""),
                words.peer(made.queue or ""),
                words.peer(made.by),
                words.peer(made.basis),
                words.peer(made.file),
            )
        )
    columns = (">ID", "STARTED", ">LENGTH", "CALL", "AGENT", "QUEUE", "BY", "BASIS", "FILE")
    output.answer(document, table(columns, rows) if rows else Text("no recordings", style="dim"))
    return Exit.OK


def _answer(output: Output, document: dict[str, Any]) -> None:
    call = as_entity(Call, document["call"])
    line = words.peer(f"{call.id}: ").append_text(words.call_state(call))
    protection = words.protection(call)
    if protection:
        line.append(f", {protection}")
    if document["unconfirmed"]:
        line.append("\nThe PBX has done it, and the state does not show it yet: see `ctid calls`", "yellow")
    output.answer(document, line)

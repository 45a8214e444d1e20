"""`ctid agent`: log an agent in or out, pause or resume her, end or extend her after-call work."""

import argparse
import time
from typing import Any

from rich.text import Text

from ctid.cli import law, words
from ctid.cli.documents import act, as_entity
from ctid.cli.exits import HELP, Exit
from ctid.cli.output import Output
from ctid.client import Client
from ctid.client.http import segment
from ctid.model.entities import Agent

_EXAMPLES = """examples:
  ctid agent pause 1001 --reason lunch        no more calls from any of her queues
  ctid agent pause 1001 --queue sales         no more from that queue
  ctid agent resume 1001                      calls again
  ctid agent login 1005 --queue support --queue sales
  ctid agent logout 1005                      out of all her queues
  ctid agent end-work 1001                    done with the work after her call
  ctid agent extend-work 1001 --seconds 120   two minutes more of it
  ctid agent sessions 1001                    who listened to her, when and why

Each can be given again: what is so already is not done twice. `ctid agents` shows what came of it."""

_COMMANDS = (
    ("login", "login", "make her a member of queues; without --queue, of those in the configuration"),
    ("logout", "logout", "take her out of queues; a call that she is in goes on"),
    ("pause", "pause", "no more calls, for a reason; or another reason for her pause"),
    ("resume", "resume", "end her pause"),
    ("end-work", "end-after-call-work", "end her after-call work"),
    ("extend-work", "extend-after-call-work", "give her more time for after-call work"),
)


def add_to(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add the commands below `ctid agent`."""
    parser.epilog = f"{_EXAMPLES}\n\n{HELP}"
    commands = parser.add_subparsers(required=True, metavar="WHAT", title="what")
    for name, path, summary in _COMMANDS:
        command = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=HELP,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[common],
        )
        command.add_argument("agent", metavar="AGENT", help="her id, as `ctid agents` lists it")
        if not name.endswith("-work"):
            command.add_argument(
                "--queue", metavar="QUEUE", action="append", help="that queue alone; repeatable; default: all"
            )
        if name == "pause":
            command.add_argument("--reason", default="", help="such as lunch; ctid may allow only some")
            command.add_argument(
                "--after-call", action="store_true", help="a call that goes on is finished; it is anyway"
            )
        if name == "extend-work":
            command.add_argument(
                "--seconds", type=float, default=60.0, metavar="S", help="default: %(default)g"
            )
        command.set_defaults(remote=command_agent, path=path)
    summary = "who listened to her, when, how and why; she may ask herself"
    command = commands.add_parser(
        "sessions",
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
    )
    command.add_argument("agent", metavar="AGENT", help="her id, as `ctid agents` lists it")
    command.set_defaults(remote=law.sessions)


async def command_agent(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Command an agent, and show her as she is then."""
    body: dict[str, Any] = {}
    if getattr(arguments, "queue", None):
        body["queues"] = arguments.queue
    if arguments.path == "pause":
        body |= {"reason": arguments.reason, "when": "after_call" if arguments.after_call else "now"}
    if arguments.path == "extend-after-call-work":
        body["seconds"] = arguments.seconds
    document = await act(client, "POST", f"/agents/{segment(arguments.agent)}/{arguments.path}", body)
    agent = as_entity(Agent, document["agent"])
    output.answer(document, _line(agent, unconfirmed=document["unconfirmed"]))
    return Exit.OK


def _line(agent: Agent, *, unconfirmed: bool) -> Text:
    line = words.peer(f"{agent.id} {agent.name}: ").append_text(words.agent_state(agent))
    follows = words.what_follows(agent, time.time())
    if follows:
        line.append(", ").append_text(follows)
    if agent.queues:
        line.append("; in ").append(words.memberships(agent.queues))
    if unconfirmed:
        line.append("\nThe PBX has done it, and the state does not show it yet: see `ctid agents`", "yellow")
    return line

"""`ctid hands` and `ctid hand`: who asks for help, and who comes."""

import argparse
import time
from collections.abc import Callable
from typing import Any

from rich.text import Text

from ctid.cli import floor, words
from ctid.cli.documents import act, as_entity, listed
from ctid.cli.exits import HELP, Exit
from ctid.cli.output import Output
from ctid.client import Client
from ctid.client.http import segment
from ctid.model.entities import Help, Supervision
from ctid.model.words import HelpState, Mode

_EXAMPLES = """examples:
  ctid hands                                  who asks for help; who waits longest first
  ctid hand claim h1a2b3c4d5e6 --phone 2001   step into her call, listening; others are told that you come
  ctid hand raise 1001 --text "he shouts"     on her behalf; with the token of an agent, her own
  ctid hand lower h1a2b3c4d5e6"""


def add_to(add: Callable[[str, str], argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the commands to the parser."""
    command = add("hands", "the raised hands: agents who ask for help")
    command.add_argument("--team", metavar="TEAM", help="of one team")
    command.set_defaults(remote=hands)
    parser = add("hand", "raise a hand, take one, or take it down")
    parser.epilog = f"{_EXAMPLES}\n\n{HELP}"
    commands = parser.add_subparsers(required=True, metavar="WHAT", title="what")

    def below(name: str, summary: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=HELP,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[common],
        )

    command = below("raise", "ask for help, in the call that the agent is in")
    command.add_argument("agent", metavar="AGENT", help="her id, as `ctid agents` lists it")
    command.add_argument("--text", default="", help="what it is about, at most 200 characters")
    command.set_defaults(remote=raise_hand)
    command = below("claim", "step into the call of an agent who asks for help")
    command.add_argument("hand", metavar="HAND", help="as `ctid hands` lists it")
    command.add_argument("--phone", metavar="NAME", required=True, help="which of your phones rings")
    modes = [str(mode) for mode in Mode]
    command.add_argument(
        "--mode", choices=modes, default="listen", help="who hears you; default: %(default)s"
    )
    command.set_defaults(remote=claim)
    command = below("lower", "take a raised hand down")
    command.add_argument("hand", metavar="HAND", help="as `ctid hands` lists it")
    command.set_defaults(remote=lower)


async def hands(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """List the raised hands."""
    filters = {"team": arguments.team} if arguments.team else {}
    items, seq = await listed(client, "/help", **filters)
    raised = [as_entity(Help, item) for item in items]
    shown = floor.hands(raised, time.time()) if raised else Text("no hand is raised", style="dim")
    output.answer({"items": items, "seq": seq}, shown)
    return Exit.OK


async def raise_hand(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Ask for help."""
    body = {"text": arguments.text}
    document = await act(client, "POST", f"/agents/{segment(arguments.agent)}/help", body)
    output.answer(document, _line(document))
    return Exit.OK


async def claim(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Step in; returns once the supervisor is in the call."""
    body = {"via": {"phone": arguments.phone}, "mode": arguments.mode}
    document = await act(client, "POST", f"/help/{segment(arguments.hand)}/claim", body)
    session = as_entity(Supervision, document)
    said = f"{words.supervised(session)}, session {session.id} with {session.agent}"
    cure = f"\n`ctid switch {session.id} whisper` speaks to her, `ctid leave {session.id}` leaves"
    output.answer(document, words.peer(said).append(cure))
    return Exit.OK


async def lower(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Take a hand down."""
    document = await act(client, "DELETE", f"/help/{segment(arguments.hand)}")
    output.answer(document, _line(document))
    return Exit.OK


def _line(document: dict[str, Any]) -> Text:
    hand = as_entity(Help, document)
    if hand.state is HelpState.ENDED:
        return words.peer(f"hand {hand.id} of {hand.agent} is down: {hand.end}")
    if hand.state is HelpState.CLAIMED:
        return words.peer(f"hand {hand.id} of {hand.agent}: {hand.claimed_by} comes")
    left = words.span(hand.expires_at - time.time())
    return words.peer(f"hand {hand.id} of {hand.agent} is up, for {left} unless somebody comes")

"""The command `ctid`."""

import argparse
import asyncio
import os
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import structlog

from ctid.cli import (
    agent,
    api,
    audit,
    broker,
    call,
    capture,
    figures,
    hand,
    identity,
    law,
    lists,
    local,
    replay,
    sheet,
    supervise,
    truth,
    watch,
    webhook,
)
from ctid.cli.exits import HELP, Exit
from ctid.cli.output import Output
from ctid.client import DEFAULT_URL, BadUrl, Client, Refused, Unreachable, Unreadable
from ctid.config import DEFAULT_PATH
from ctid.logs import configure
from ctid.model.words import CallState, Hear, Mode, Purpose, Scope
from ctid.supervision.requests import ModeAsked

log = structlog.get_logger(__name__)

_Remote = Callable[[Client, Output, argparse.Namespace], Awaitable[Exit]]
_Local = Callable[[Output, argparse.Namespace], Exit | None]
"""None: it has to be asked of ctid."""

_HEADER_SAFE = re.compile(r"[\x21-\x7e]+")
_DESCRIPTION = "Live call-centre state and supervision, next to a PBX."
_ENVIRONMENT = f"""environment:
  CTID_URL    where ctid listens (default {DEFAULT_URL}); --url goes before it
  CTID_TOKEN  your token; --token-file goes before it"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code, of `ctid.cli.exits.Exit`."""
    arguments = _parser().parse_args(argv)
    configure("error", "console")
    output = Output(as_json=getattr(arguments, "json", False))
    try:
        return _command(output, arguments)
    except Refused as problem:
        cure = "; set CTID_TOKEN, or --token-file" if problem.status == 401 else ""
        output.fail(problem.document, f"{problem}{cure} [{problem.code}]")
        return Exit.AUTH if problem.status in (401, 403) else Exit.REFUSED
    except Unreadable as error:
        output.fail({"code": "client.version", "detail": str(error)}, f"{error} [client.version]")
        return Exit.REFUSED
    except BadUrl as error:
        output.fail({"code": "usage", "detail": str(error)}, str(error))
        return Exit.USAGE
    except Unreachable as error:
        output.fail({"code": "unreachable", "detail": str(error)}, str(error))
        return Exit.UNREACHABLE
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough, as `head` does; Python must not flush into it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except Exception:
        # The process's edge: a defect is told with its traceback, and by the exit code that says so.
        log.critical("a defect ends ctid", exc_info=True)
        return Exit.INTERNAL


def _command(output: Output, arguments: argparse.Namespace) -> Exit:
    at_home: _Local | None = getattr(arguments, "local", None)
    if at_home is not None and (ended := at_home(output, arguments)) is not None:
        return ended
    remote: _Remote = arguments.remote
    token, problem = _token(arguments)
    if problem:
        output.fail({"code": "usage", "detail": problem}, problem)
        return Exit.USAGE
    return asyncio.run(_remotely(remote, token, output, arguments))


async def _remotely(
    remote: _Remote, token: str | None, output: Output, arguments: argparse.Namespace
) -> Exit:
    url = getattr(arguments, "url", None) or os.environ.get("CTID_URL") or DEFAULT_URL
    async with Client(url, token, patience_s=0) as client:
        return await remote(client, output, arguments)


def _token(arguments: argparse.Namespace) -> tuple[str | None, str]:
    """The token, or what is wrong with where it should be. Never an argument: others see those in `ps`."""
    file = getattr(arguments, "token_file", None)
    source = f"the token file {file}" if file else "CTID_TOKEN"
    try:
        token = Path(file).read_text("utf-8").strip() if file else os.environ.get("CTID_TOKEN", "").strip()
    except (OSError, UnicodeDecodeError) as error:
        return None, f"{source} cannot be read: {error}"
    if token and not _HEADER_SAFE.fullmatch(token):
        return None, f"{source} holds no token: it has blanks or characters that no token has"
    return token or None, ""


def _parser() -> argparse.ArgumentParser:
    common = _common()
    parser = argparse.ArgumentParser(
        prog="ctid",
        description=_DESCRIPTION,
        epilog=f"{_ENVIRONMENT}\n\n{HELP}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")

    def add(name: str, summary: str, *, helps: bool = True) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=HELP,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[common],
            add_help=helps,
        )

    command = add("run", "run the daemon in the foreground")
    command.add_argument("--config", metavar="PATH", default=str(DEFAULT_PATH), help="default: %(default)s")
    command.set_defaults(local=local.run_daemon)
    command = add("check-config", "check a configuration file and tell every mistake")
    which = command.add_mutually_exclusive_group()
    which.add_argument("file", metavar="FILE", nargs="?", help=f"default: {DEFAULT_PATH}")
    which.add_argument("--config", metavar="PATH", default=str(DEFAULT_PATH), help="the same")
    command.set_defaults(local=local.check_config)
    add("status", "what runs, and how its links are").set_defaults(remote=lists.status)
    _add_lists(add)
    _add_figures(add)
    agent.add_to(add("agent", "log an agent in or out, pause or resume her, end or extend her work"), common)
    call.add_to(add, common)
    hand.add_to(add, common)
    sheet.add_to(add, common)
    api.add_to(add("api", "any operation of the API by its name; alone: which there are", helps=False))
    truth.add_to(add)
    audit.add_to(add, common)
    webhook.add_to(add("webhook", "tools that are sent events: how they stand, test them, retry"), common)
    _add_supervision(add)
    command = add("watch", "the floor, live; Ctrl-C ends it")
    command.add_argument("--once", action="store_true", help="print a single picture and end")
    command.set_defaults(remote=watch.watch)
    _add_captures(add)
    identity.add_to(add, common)
    command = add("mqtt-acl", "print the MQTT broker's access list for those who have a token or log in")
    command.add_argument("--config", metavar="PATH", default=str(DEFAULT_PATH), help="default: %(default)s")
    command.add_argument(
        "--client",
        metavar="NAME:ROLE",
        type=broker.client_of,
        action="append",
        default=[],
        help="another client, or one with another role; name:agent:id for an agent; repeatable",
    )
    command.set_defaults(local=broker.mqtt_acl)
    add("version", "the version").set_defaults(local=local.version)
    return parser


def _common() -> argparse.ArgumentParser:
    """Options that stand before the command or after it; no default, so that neither hides the other."""
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--json", action="store_true", help="print JSON, mistakes too (on standard error)")
    common.add_argument("--url", metavar="URL", help="where ctid listens")
    common.add_argument("--token-file", metavar="PATH", help="a file that holds your token")
    return common


def _add_lists(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    command = add("agents", "the agents and what each is doing")
    command.add_argument(
        "--state", choices=lists.AGENT_STATES, metavar="STATE", help=", ".join(lists.AGENT_STATES)
    )
    command.add_argument("--team", metavar="TEAM", help="of one team")
    command.add_argument("--queue", metavar="QUEUE", help="members of one queue")
    command.set_defaults(remote=lists.agents)
    add("queues", "the queues, who waits and how the members stand").set_defaults(remote=lists.queues)
    command = add("calls", "the live calls")
    states = [str(state) for state in CallState]
    command.add_argument("--state", choices=states, metavar="STATE", help=", ".join(states))
    command.add_argument("--queue", metavar="QUEUE", help="of one queue")
    command.set_defaults(remote=lists.calls)
    add("supervisions", "the supervision sessions that go on").set_defaults(remote=lists.supervisions)


def _add_figures(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    command = add("figures", "what the queues and agents have done today, or in another period")
    command.add_argument(
        "--since",
        metavar="TIME",
        type=figures.instant,
        help="such as 2026-03-01T08:00:00Z; a date is its midnight here; default: today's; shown in UTC",
    )
    command.add_argument(
        "--until",
        metavar="TIME",
        type=figures.instant,
        help="likewise, itself not in the period; default: now",
    )
    command.add_argument("--queue", metavar="QUEUE", help="of one queue")
    command.add_argument("--agent", metavar="AGENT", help="of one agent")
    command.add_argument("--calls", action="store_true", help="the moments behind the figures, one by one")
    command.add_argument(
        "--kind",
        choices=figures.KIND_WORDS,
        metavar="KIND",
        help=f"with --calls: {', '.join(figures.KIND_WORDS)}",
    )
    command.set_defaults(remote=figures.figures)


def _add_supervision(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    modes, sides = [str(mode) for mode in Mode], [str(side) for side in Hear]
    command = add("supervise", "step into a call; in a terminal, keys switch the mode")
    command.add_argument("target", metavar="AGENT_OR_CALL", help="an agent's id, or a call's")
    command.add_argument(
        "--mode", choices=modes, default="listen", help="who hears you; default: %(default)s"
    )
    command.add_argument("--phone", metavar="NAME", required=True, help="which of your phones rings")
    command.add_argument(
        "--purpose",
        choices=[str(purpose) for purpose in Purpose],
        required=True,
        help="why; it goes into the audit log",
    )
    command.add_argument("--note", default="", help="for the audit log, at most 200 characters")
    command.add_argument(
        "--scope",
        choices=[str(scope) for scope in Scope],
        help="follow this call, the agent's next one, or the agent from call to call; default: call",
    )
    command.add_argument("--calls", type=int, metavar="N", help="with --scope agent: end after N calls")
    command.add_argument("--minutes", type=float, metavar="N", help="end after N minutes")
    command.add_argument("--hear", choices=sides, help="whom you hear; default: both")
    command.add_argument("--detach", action="store_true", help="return as soon as you are in the call")
    command.set_defaults(remote=supervise.supervise)
    add("periods", "when agents may be listened to").set_defaults(remote=law.periods)
    command = add("draw", "draw an agent to listen to, at random among those listened to least")
    command.add_argument("team", metavar="TEAM", help="of which team")
    command.set_defaults(remote=law.draw)
    command = add("switch", "change who hears you and whom you hear, live")
    command.add_argument("session", metavar="SESSION", help="as `ctid supervisions` lists it")
    asked = [str(mode) for mode in ModeAsked]
    command.add_argument("mode", nargs="?", choices=asked, metavar="MODE", help=", ".join(asked))
    command.add_argument("--hear", choices=sides, help="whom you hear")
    command.add_argument("--mute", dest="muted", action="store_true", default=None, help="nobody hears you")
    command.add_argument("--unmute", dest="muted", action="store_false", default=None, help="push to talk")
    command.add_argument("--lead", action="store_true", help="lead where several supervise a call")
    command.set_defaults(remote=supervise.switch)
    command = add("leave", "leave a call that you supervise; the call goes on")
    command.add_argument("session", metavar="SESSION", help="as `ctid supervisions` lists it")
    command.set_defaults(remote=supervise.leave)


def _add_captures(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    command = add("capture", "record what a PBX sends, without people's numbers and names")
    command.add_argument("--config", metavar="PATH", default=str(DEFAULT_PATH), help="default: %(default)s")
    command.add_argument("--pbx", metavar="ID", help="which [[pbx]]; default: the first")
    where = command.add_mutually_exclusive_group(required=True)
    where.add_argument("file", metavar="FILE", nargs="?", help="a new file; .xz or .gz compresses")
    where.add_argument("-o", "--output", metavar="FILE", help="the same")
    command.add_argument(
        "--seconds", metavar="N", type=_positive, help="end by itself; default: Ctrl-C ends it"
    )
    command.add_argument(
        "--raw", action="store_true", help="as it is sent: the file then holds personal data"
    )
    command.add_argument("--keep-queues", action="store_true", help="do not replace the queues' names")
    command.add_argument(
        "--reconcile",
        metavar="N",
        type=_seconds,
        help="seconds between snapshots, 0: only at the beginning; default: [reconcile] every_s",
    )
    command.set_defaults(local=capture.capture)
    command = add("replay", "read a capture as if it were live, and print what changes")
    command.add_argument("file", metavar="FILE", help="as `ctid capture` wrote it")
    command.add_argument("--until", metavar="SECONDS", type=_seconds, help="stop so long after its beginning")
    command.add_argument(
        "--speed", choices=(0, 1), type=int, default=0, help="1: as it came; 0, the default: at once"
    )
    command.add_argument("--config", metavar="PATH", help="for names and after-call work")
    command.set_defaults(local=replay.replay)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise argparse.ArgumentTypeError("say seconds, not below 0")
    return seconds


def _positive(text: str) -> float:
    seconds = _seconds(text)
    if not seconds:
        raise argparse.ArgumentTypeError("say seconds, more than 0")
    return seconds

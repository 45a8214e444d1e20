"""`ctid token` and `ctid user`: who may come in, by the API, or in the file of this machine."""

import argparse
import asyncio
import getpass
import os
import pwd
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text

from ctid.api.expiry import DAY_S
from ctid.api.identity import CreatedToken, token_info, user_info
from ctid.app import make_driver
from ctid.app_identity import known_of
from ctid.cli.documents import act, get
from ctid.cli.exits import HELP, Exit
from ctid.cli.local import ROLES
from ctid.cli.output import Output, table
from ctid.cli.words import peer
from ctid.client import Client
from ctid.client.errors import Unreachable
from ctid.client.http import segment
from ctid.clock import SystemClock
from ctid.config import DEFAULT_PATH, Config, ConfigError, load
from ctid.identity.directory import Directory
from ctid.identity.kept import Kept
from ctid.identity.passwords import Passwords
from ctid.identity.records import Bearer, Person
from ctid.identity.registry import Registry
from ctid.identity.tokens import new_token
from ctid.model.errors import CtidError
from ctid.model.instant import Instant, enc_hook
from ctid.model.users import UserRole

_MOST_DAYS = 3660
_EXAMPLES = """examples:
  ctid token create wallboard --role viewer --scope read --days 365
  ctid token create anna --role supervisor --team blue --phone anna-desk
  ctid token revoke wallboard
  ctid user add anna --role supervisor --team blue       asks for her password
  sudo -u ctid ctid token create root --role admin --local

They ask the running ctid, with an admin's token. With --local they change its file on this machine instead,
as the user that ctid runs as: no token is needed, and a ctid that runs follows in a second or two."""

_USER_COLUMNS = ("USER", "ROLE", "TEAMS", "PHONES", "AGENT", "LOGS IN BY", "LAST LOGIN", ">SESSIONS")
_TOKEN_COLUMNS = ("TOKEN", "ID", "ROLE", "TEAMS", "SCOPES", "EXPIRES", "LAST USED", "MADE BY")


class _Book:
    """The file of this machine."""

    def __init__(self, config: Config, passwords: Passwords) -> None:
        clock = SystemClock()
        self.kept = Kept(config.state_directory)
        self.registry = Registry(self.kept, passwords, known_of(config), clock)
        self.directory = Directory(config.tokens)
        self.by = f"local:{_name_of(os.geteuid())}"

    async def look(self) -> Directory:
        """What is in it now."""
        self.directory.fill(await self.kept.load())
        return self.directory


def add_to(add: Callable[[str, str], argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the commands to the parser."""
    parser = add("token", "tokens: make, list and revoke them")
    below = _adder(parser, common)
    command = below("create", "make a token; its secret is shown once")
    _add_bearer(command, scopes=True)
    command.set_defaults(remote=_remote(create_token), act=_create_token)
    below("list", "every token, and when it was used last").set_defaults(
        remote=_remote(list_tokens), act=_list_tokens
    )
    command = below("revoke", "end a token, and the streams that it opened")
    command.add_argument("id", metavar="NAME_OR_ID", help="as `ctid token list` tells it")
    command.set_defaults(remote=_remote(revoke_token), act=_revoke_token)
    command = below("print", "make a token for the configuration; nothing is kept")
    _add_bearer(command, scopes=True)
    command.set_defaults(local=print_token)

    parser = add("user", "people who log in: add, list, change and remove them")
    below = _adder(parser, common)
    command = below("add", "add somebody; asks for a password, or reads one line of standard input")
    _add_bearer(command, scopes=False)
    command.add_argument("--oidc", action="store_true", help="no password: the OpenID provider lets her in")
    command.set_defaults(remote=_remote(add_user), act=_add_user)
    below("list", "everybody who logs in").set_defaults(remote=_remote(list_users), act=_list_users)
    for name, summary, remote, local in (
        ("passwd", "give somebody another password; her sessions end", set_password, _set_password),
        ("disable", "let somebody in no more; her sessions end", disable_user, _disable_user),
        ("enable", "let somebody in again", enable_user, _enable_user),
        ("remove", "take somebody out", remove_user, _remove_user),
    ):
        command = below(name, summary)
        command.add_argument("id", metavar="NAME", help="as `ctid user list` tells it")
        command.set_defaults(remote=_remote(remote), act=local)


def _adder(
    parser: argparse.ArgumentParser, common: argparse.ArgumentParser
) -> Callable[[str, str], argparse.ArgumentParser]:
    parser.epilog = f"{_EXAMPLES}\n\n{HELP}"
    commands = parser.add_subparsers(required=True, metavar="WHAT", title="what")

    def add(name: str, summary: str) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=HELP,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[common],
        )
        if name != "print":
            command.add_argument(
                "--local",
                action="store_const",
                const=_locally,
                default=None,
                help="in the file of this machine, as ctid's user; needs no token",
            )
            command.add_argument(
                "--config", metavar="PATH", default=str(DEFAULT_PATH), help="with --local; %(default)s"
            )
        return command

    return add


def _add_bearer(command: argparse.ArgumentParser, *, scopes: bool) -> None:
    command.add_argument("name", metavar="NAME", type=_toml_text, help="of nobody else")
    command.add_argument("--role", choices=ROLES, default="viewer", help="default: %(default)s")
    for option, metavar, meaning in (
        ("--phone", "NAME", "a [[phone]] she may use"),
        ("--team", "TEAM", "a team of hers, or *"),
    ):
        command.add_argument(
            option,
            metavar=metavar,
            type=_toml_text,
            action="append",
            default=[],
            help=f"{meaning}; repeatable",
        )
    command.add_argument("--agent", metavar="AGENT", type=_toml_text, help="who she is among the agents")
    if scopes:
        command.add_argument(
            "--scope",
            metavar="SCOPE",
            type=_toml_text,
            action="append",
            default=[],
            help="only this of what the role may do: agents.pause, calls.*, read, events; repeatable",
        )
        command.add_argument(
            "--days",
            "--expires",
            dest="days",
            metavar="DAYS",
            type=_days,
            help="good for so many days, 1 to 3660; default: for ever",
        )


def _toml_text(text: str) -> str:
    """Text that stands in a TOML string as it is."""
    if not text or not text.isprintable() or {'"', "\\"} & set(text):
        raise argparse.ArgumentTypeError("use printable characters, without quotes and backslashes")
    return text


def _days(text: str) -> int:
    """A number of days that a token may be good for."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _MOST_DAYS:
        raise argparse.ArgumentTypeError(f"a whole number, 1 to {_MOST_DAYS}")
    return int(text)


# By the API -----------------------------------------------------------------------------------------------


def _remote(asked: Callable[..., Any]) -> Callable[..., Any]:
    async def carried_out(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
        try:
            document = await asked(client, arguments)
        except Unreachable as error:
            raise Unreachable(
                f"{error}; or, on ctid's own machine, --local", maybe_done=error.maybe_done
            ) from error
        return _shown(output, document, f"by the API at {client.url}")

    return carried_out


async def create_token(client: Client, arguments: argparse.Namespace) -> Mapping[str, Any]:
    """Make a token."""
    expires = _expires(arguments.days)
    body = _body(arguments) | {"scopes": arguments.scope}
    if expires is not None:
        body["expires"] = f"{datetime.fromtimestamp(expires, UTC):%Y-%m-%dT%H:%M:%SZ}"
    return await act(client, "POST", "/tokens", body)


async def list_tokens(client: Client, _arguments: argparse.Namespace) -> Mapping[str, Any]:
    """List the tokens."""
    return await get(client, "/tokens")


async def revoke_token(client: Client, arguments: argparse.Namespace) -> Mapping[str, Any]:
    """End a token."""
    return await act(client, "DELETE", f"/tokens/{segment(arguments.id)}")


async def add_user(client: Client, arguments: argparse.Namespace) -> Mapping[str, Any]:
    """Add somebody."""
    password = "" if arguments.oidc else _password()
    return await act(client, "POST", "/users", _body(arguments) | {"password": password})


async def list_users(client: Client, _arguments: argparse.Namespace) -> Mapping[str, Any]:
    """List those who log in."""
    return await get(client, "/users")


async def set_password(client: Client, arguments: argparse.Namespace) -> Mapping[str, Any]:
    """Give somebody another password."""
    return await act(client, "POST", f"/users/{segment(arguments.id)}/password", {"password": _password()})


async def disable_user(client: Client, arguments: argparse.Namespace) -> Mapping[str, Any]:
    """Let somebody in no more."""
    return await act(client, "PATCH", f"/users/{segment(arguments.id)}", {"disabled": True})


async def enable_user(client: Client, arguments: argparse.Namespace) -> Mapping[str, Any]:
    """Let somebody in again."""
    return await act(client, "PATCH", f"/users/{segment(arguments.id)}", {"disabled": False})


async def remove_user(client: Client, arguments: argparse.Namespace) -> Mapping[str, Any]:
    """Take somebody out."""
    return await act(client, "DELETE", f"/users/{segment(arguments.id)}")


def _body(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "name": arguments.name,
        "role": arguments.role,
        "phones": arguments.phone,
        "teams": arguments.team,
        "agent": arguments.agent or "",
    }


# In the file of this machine --------------------------------------------------------------------------------


def _locally(output: Output, arguments: argparse.Namespace) -> Exit:
    """Carry out a command without a daemon, or beside it."""
    path = Path(arguments.config)
    try:
        config = load(path, make_driver)
    except ConfigError as error:
        output.fail({"code": "config.invalid", "file": str(path), "detail": str(error)}, str(error))
        return Exit.CONFIG
    folder = config.state_directory
    try:
        owner = folder.stat().st_uid
    except OSError as error:
        return _cannot(output, f"{folder} cannot be used ({error.strerror}): start ctid once, or make it")
    if owner != os.geteuid():
        # A file of somebody else's there would keep the daemon out.
        name = _name_of(owner)
        return _cannot(output, f"{folder} is {name}'s: run this as `sudo -u {name} ctid …`")
    try:
        document = asyncio.run(_in_book(config, arguments))
    except CtidError as error:
        output.fail({"code": error.code, "status": error.status, "detail": error.detail}, error.detail)
        return Exit.REFUSED
    return _shown(output, document, f"in {folder}")


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _cannot(output: Output, text: str) -> Exit:
    output.fail({"code": "cannot_start", "detail": text}, text)
    return Exit.CANNOT_START


async def _in_book(config: Config, arguments: argparse.Namespace) -> Mapping[str, Any]:
    passwords = Passwords()
    book = _Book(config, passwords)
    try:
        document = await arguments.act(book, arguments)
    finally:
        await book.kept.close()
        passwords.close()
    return dict(msgspec.to_builtins(document, enc_hook=enc_hook))


async def _create_token(book: _Book, arguments: argparse.Namespace) -> CreatedToken:
    expires = _expires(arguments.days)
    secret, token = await book.registry.create_token(book.by, _bearer(arguments), expires)
    return CreatedToken(token=secret, info=token_info(await book.look(), token))


async def _list_tokens(book: _Book, _arguments: argparse.Namespace) -> Mapping[str, Any]:
    directory = await book.look()
    tokens = [one for one in directory.bearers() if not isinstance(one, Person)]
    return {"items": [token_info(directory, token) for token in sorted(tokens, key=lambda one: one.name)]}


async def _revoke_token(book: _Book, arguments: argparse.Namespace) -> Any:
    token = await book.registry.revoke_token(book.by, arguments.id)
    return token_info(await book.look(), token)


async def _add_user(book: _Book, arguments: argparse.Namespace) -> Any:
    password = "" if arguments.oidc else _password()
    person = await book.registry.add_person(book.by, _bearer(arguments), password)
    return user_info(await book.look(), person)


async def _list_users(book: _Book, _arguments: argparse.Namespace) -> Mapping[str, Any]:
    directory = await book.look()
    people = sorted(directory.people.values(), key=lambda person: person.name)
    return {"items": [user_info(directory, person) for person in people]}


async def _set_password(book: _Book, arguments: argparse.Namespace) -> Any:
    person = await book.registry.set_password(book.by, arguments.id, _password())
    return user_info(await book.look(), person)


async def _disable_user(book: _Book, arguments: argparse.Namespace) -> Any:
    person = await book.registry.change_person(book.by, arguments.id, {}, disabled=True)
    return user_info(await book.look(), person)


async def _enable_user(book: _Book, arguments: argparse.Namespace) -> Any:
    person = await book.registry.change_person(book.by, arguments.id, {}, disabled=False)
    return user_info(await book.look(), person)


async def _remove_user(book: _Book, arguments: argparse.Namespace) -> Any:
    person = await book.registry.remove_person(book.by, arguments.id)
    return user_info(await book.look(), person)


def _bearer(arguments: argparse.Namespace) -> Bearer:
    return Bearer(
        name=arguments.name,
        role=UserRole(arguments.role),
        phones=tuple(arguments.phone),
        teams=tuple(arguments.team),
        agent=arguments.agent or "",
        scopes=tuple(getattr(arguments, "scope", ())),
    )


# Beside both ------------------------------------------------------------------------------------------------


def print_token(output: Output, arguments: argparse.Namespace) -> Exit:
    """Make a token for the configuration, where only its hash goes."""
    text, digest = new_token()
    lines = ["[[token]]", f'name = "{arguments.name}"', f'role = "{arguments.role}"', f'sha256 = "{digest}"']
    expires = _expires(arguments.days)
    if expires is not None:
        lines.append(f"expires = {datetime.fromtimestamp(expires, UTC):%Y-%m-%dT%H:%M:%SZ}")
    for key, names in (("phones", arguments.phone), ("teams", arguments.team), ("scopes", arguments.scope)):
        if names:
            lines.append(f"{key} = [" + ", ".join(f'"{name}"' for name in names) + "]")
    if arguments.agent:
        lines.append(f'agent = "{arguments.agent}"')
    toml = "\n".join(lines)
    if output.as_json:
        output.document({"token": text, "sha256": digest, "toml": toml})
    else:
        output.show(
            Text(f"{text}\n\nGive this to its bearer; it is shown once. Into ctid.toml goes:\n\n{toml}")
        )
    return Exit.OK


def _expires(days: int | None) -> Instant | None:
    return Instant(time.time() + days * DAY_S) if days is not None else None


def _password() -> str:
    """A password, typed twice, or a line of standard input; never an argument, which `ps` shows."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("password: ")
    while getpass.getpass("again: ") != first:
        sys.stderr.write("these differ\n")
        first = getpass.getpass("password: ")
    return first


def _shown(output: Output, document: Mapping[str, Any], where: str) -> Exit:
    output.answer(document, _told(document, where))
    return Exit.OK


def _told(document: Mapping[str, Any], where: str) -> RenderableType:
    if "token" in document:
        text = f"{document['token']}\n\nGive this to its bearer; it is shown once."
        return Group(Text(text), _rows([document["info"]]), Text(where, style="dim"))
    return Group(_rows(document.get("items", [document])), Text(where, style="dim"))


def _rows(items: list[Mapping[str, Any]]) -> RenderableType:
    is_person = bool(items) and "has_password" in items[0]
    columns, row_of = (_USER_COLUMNS, _user_row) if is_person else (_TOKEN_COLUMNS, _token_row)
    return table(columns, [[peer(cell) for cell in row_of(item)] for item in items])


def _user_row(item: Mapping[str, Any]) -> tuple[str, ...]:
    how = "password" if item["has_password"] else "OpenID"
    return (
        item["id"],
        item["role"],
        ", ".join(item["teams"]),
        ", ".join(item["phones"]),
        item["agent"],
        "no more" if item["disabled"] else how,
        _time(item["last_login_at"]),
        str(item["sessions"]),
    )


def _token_row(item: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        item["name"],
        item["id"],
        item["role"],
        ", ".join(item["teams"]),
        ", ".join(item["scopes"]) or "all of the role",
        _time(item["expires_at"]) or "never",
        _time(item["last_used_at"]),
        "ctid.toml" if item["configured"] else item["made_by"],
    )


def _time(text: str | None) -> str:
    return f"{text[:16].replace('T', ' ')}Z" if text else ""

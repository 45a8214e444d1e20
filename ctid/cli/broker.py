"""`ctid mqtt-acl`: the broker's access list, for the clients that ctid knows."""

import argparse
import asyncio
import time
from pathlib import Path

from ctid.cli.exits import Exit
from ctid.cli.output import Output
from ctid.config import Config, ConfigError, MqttConfig, load
from ctid.events.topics import Topics
from ctid.identity import scopes
from ctid.identity.directory import Directory
from ctid.identity.kept import FILE, IdentityUnavailable, Kept
from ctid.model.users import User, UserRole
from ctid.publish.access import BusClient, access_list


def client_of(text: str) -> BusClient:
    """Read `name:role` or `name:agent:id` of the command line. Raises ArgumentTypeError."""
    name, _, rest = text.partition(":")
    role, _, agent = rest.partition(":")
    if not name or role not in tuple(UserRole):
        raise argparse.ArgumentTypeError(f"{text!r} is no client: write name:role, or name:agent:id")
    return BusClient(name=name, role=UserRole(role), agent=agent)


def mqtt_acl(output: Output, arguments: argparse.Namespace) -> Exit:
    """Print mosquitto's access list: for tokens, users, and the clients that are named."""
    path = Path(arguments.config)
    try:
        config = load(path)
    except ConfigError as error:
        output.fail({"code": "config.invalid", "file": str(path), "ok": False}, str(error))
        return Exit.CONFIG
    mqtt = config.mqtt or MqttConfig()
    named = {client.name for client in arguments.client}
    try:
        known = [_client(user) for user in asyncio.run(_known(config, time.time()))]
        clients = [*(client for client in known if client.name not in named), *arguments.client]
        root = Topics(mqtt.base, config.site).root
        told = access_list(root, clients, daemon=mqtt.username or "ctid")
    except IdentityUnavailable as error:
        output.fail({"code": error.code, "detail": str(error)}, f"{error} (run this as the user of ctid)")
        return Exit.REFUSED
    except ValueError as error:
        output.fail({"code": "usage", "detail": str(error)}, str(error))
        return Exit.USAGE
    if output.as_json:
        output.document({"acl": told})
    else:
        print(told, end="")  # as it is: a console would fold long lines
    return Exit.OK


async def _known(config: Config, now: float) -> list[User]:
    """Who has a token that is good, or may log in: of the configuration, and of the file of this machine."""
    directory = Directory(config.tokens)
    if (config.state_directory / FILE).exists():
        kept = Kept(config.state_directory)
        try:
            directory.fill(await kept.load())
        finally:
            await kept.close()
    found = [directory.named(bearer.name, now) for bearer in directory.bearers()]
    return [user for user in found if user is not None]


def _client(user: User) -> BusClient:
    reads = not user.scopes or scopes.covers(user.scopes, scopes.EVENTS, changes=False)
    return BusClient(name=user.name, role=user.role, agent=user.agent or "", reads=reads)

"""`ctid mqtt-acl`: the broker's access list, for the clients that the configuration knows."""

import argparse
from pathlib import Path

from ctid.cli.exits import Exit
from ctid.cli.output import Output
from ctid.config import ConfigError, MqttConfig, load
from ctid.events.topics import Topics
from ctid.model.users import UserRole
from ctid.publish.access import BusClient, access_list


def client_of(text: str) -> BusClient:
    """Read `name:role` or `name:agent:id` of the command line. Raises ArgumentTypeError."""
    name, _, rest = text.partition(":")
    role, _, agent = rest.partition(":")
    if not name or role not in tuple(UserRole):
        raise argparse.ArgumentTypeError(f"{text!r} is no client: write name:role, or name:agent:id")
    return BusClient(name=name, role=UserRole(role), agent=agent)


def mqtt_acl(output: Output, arguments: argparse.Namespace) -> Exit:
    """Print mosquitto's access list for the tokens of the configuration, and the clients that are named."""
    path = Path(arguments.config)
    try:
        config = load(path)
    except ConfigError as error:
        output.fail({"code": "config.invalid", "file": str(path), "ok": False}, str(error))
        return Exit.CONFIG
    mqtt = config.mqtt or MqttConfig()
    known = [BusClient(name=token.name, role=token.role, agent=token.agent or "") for token in config.tokens]
    named = {client.name for client in arguments.client}
    clients = [*(client for client in known if client.name not in named), *arguments.client]
    root = Topics(mqtt.base, config.site).root
    try:
        told = access_list(root, clients, daemon=mqtt.username or "ctid")
    except ValueError as error:
        output.fail({"code": "usage", "detail": str(error)}, str(error))
        return Exit.USAGE
    if output.as_json:
        output.document({"acl": told})
    else:
        print(told, end="")  # as it is: a console would fold long lines
    return Exit.OK

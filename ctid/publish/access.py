"""Who may read and write which topic, as the access list of a mosquitto. Pure.

A mosquitto knows users and no roles: what a role may is written out for each user who has it.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from ctid.events.catalogue import EVENTS
from ctid.events.topics import level
from ctid.model.users import FLOOR_ROLES, SUPERVISING_ROLES, UserRole

EVERYBODY = ("status", "periods")
"""Paths below the site that every client may read: whether ctid is there, and when agents are listened to."""
FLOOR = ("audit", "totals", "pbx/+", "agents/+", "queues/+", "devices/+", "calls/+")
GUARDED = ("supervisions/+", "help/+")
FLOOR_EVENTS = frozenset({"pbx", "agent", "device", "queue", "call", "state", "publisher", "audit"})
"""The first words of the events that those may read who see the floor; all others are guarded."""
TEXTS = frozenset({"agent.message"})
"""Events that say what was written to an agent: for her tools and her supervisors, and no viewer."""

COMMANDS, REPLIES = "command/{client}/+", "reply/{client}/#"
"""What a client writes and reads under its own name; what its commands may, ctid judges."""

_HEAD = """\
# Who may do what below {root}. Made by `ctid mqtt-acl`: make it anew when a token or a role changes.
# A broker does not tell ctid who published a command: the topic does, so it must be this list that binds the
# <client> in it to the user name (%u). Whatever is not named here is denied.

# The daemon: it writes the state and the replies, reads commands, and reads what it left retained.
user {daemon}
topic readwrite {root}/#
# What Home Assistant is told, with [mqtt] home_assistant; and what is removed once that is off.
topic readwrite homeassistant/device/+/config

# Everybody who has a name at the broker.
{everybody}
"""


class BusClient(Struct, frozen=True, kw_only=True):
    """Who connects to the broker: a user name there, which is the name of a token, and its role.

    `agent` is the id under which she is an agent; empty: she is none. `reads` is false where her scopes
    hold no reading.
    """

    name: str
    role: UserRole
    agent: str = ""
    reads: bool = True


def readable(client: BusClient) -> tuple[str, ...]:
    """The paths below the site that a client may read, with MQTT's wildcards; her replies are among them."""
    return (*EVERYBODY, REPLIES.format(client=client.name), *_of_role(client))


def access_list(root: str, clients: Iterable[BusClient], *, daemon: str) -> str:
    """The file for mosquitto's `acl_file`. `root` is `<base>/<site>`, `daemon` the user that ctid itself is.

    Raises:
        ValueError: a client has the name of the daemon, or one that cannot stand in the file.
    """
    patterns = [f"pattern read {root}/{path}" for path in (*EVERYBODY, REPLIES.format(client="%u"))]
    patterns.append(f"pattern write {root}/{COMMANDS.format(client='%u')}")
    parts = [_HEAD.format(root=root, daemon=daemon, everybody="\n".join(patterns))]
    for client in clients:
        if not _is_name(client.name) or client.name == daemon:
            raise ValueError(
                f"{client.name!r} cannot be the name of a client: it is the daemon's, or no name"
            )
        parts.append(_section(root, client))
    return "\n".join(parts)


def _is_name(name: str) -> bool:
    return bool(name) and name.isprintable() and name == name.strip()


def _section(root: str, client: BusClient) -> str:
    role = f"{client.role}, {client.agent}" if client.agent else str(client.role)
    paths = list(_of_role(client)) or ["status"]
    lines = [f"# {role}", f"user {client.name}", *(f"topic read {root}/{path}" for path in paths)]
    return "\n".join(lines) + "\n"


def _of_role(client: BusClient) -> Iterator[str]:
    if not client.reads:
        return
    if client.role in SUPERVISING_ROLES:
        yield from (*FLOOR, *GUARDED, "events/+")
    elif client.role in FLOOR_ROLES:
        yield from FLOOR
        hidden = TEXTS if client.role is UserRole.VIEWER else frozenset()
        for name in EVENTS:
            if name.partition(".")[0] in FLOOR_EVENTS and name not in hidden:
                yield f"events/{name}"
    elif client.role is UserRole.AGENT and client.agent:
        yield f"agents/{level(client.agent)}"

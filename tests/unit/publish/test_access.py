from pathlib import Path

import pytest

from ctid.api import asyncapi, views
from ctid.events.catalogue import EVENTS
from ctid.events.topics import FOLDERS
from ctid.model.users import FLOOR_ROLES, SUPERVISING_ROLES, UserRole
from ctid.publish import access
from ctid.publish.access import BusClient, access_list, readable

SHIPPED = Path(__file__).parents[3] / "config" / "mosquitto" / "ctid.acl"
EXAMPLES = [
    BusClient(name=str(role), role=role, agent="1001" if role is UserRole.AGENT else "") for role in UserRole
]
"""A client of each role, named for it, as in the list that is shipped."""


def _matches(path: str, pattern: str) -> bool:
    levels, wanted = path.split("/"), pattern.split("/")
    if wanted[-1] == "#":
        return levels[: len(wanted) - 1] == wanted[:-1]
    return len(levels) == len(wanted) and all(
        w in ("+", each) for w, each in zip(wanted, levels, strict=True)
    )


def _reads(client: BusClient, path: str) -> bool:
    return any(_matches(path, pattern) for pattern in readable(client))


def test_the_shipped_list_is_what_the_command_prints() -> None:
    """`config/mosquitto/ctid.acl` has a user of each role, for any site; it is made, not written by hand."""
    assert SHIPPED.read_text() == access_list("ctid/+", EXAMPLES, daemon="ctid")


def test_every_topic_has_a_rule() -> None:
    """Each kind of entity, each standing document and each event is either for the floor or guarded."""
    named = {
        path.partition("/")[0] for path in (*access.FLOOR, *access.GUARDED) if path not in ("audit", "totals")
    }
    assert named == set(FOLDERS.values())
    for event in EVENTS.values():
        assert event.guarded is not (event.name.partition(".")[0] in access.FLOOR_EVENTS), event.name
    admin = BusClient(name="admin", role=UserRole.ADMIN)
    for channel in asyncapi.document("1.0")["channels"].values():
        path = channel["address"].split("/", 2)[-1].replace("{client}", "admin")
        assert path.startswith("command/admin/") or _reads(admin, path), channel["address"]


def test_what_is_guarded_is_the_apis() -> None:
    """Who reads what on the bus reads it over HTTP."""
    assert {kind for kind in FOLDERS if f"{FOLDERS[kind]}/+" in access.GUARDED} == views.GUARDED


@pytest.mark.parametrize("client", EXAMPLES, ids=lambda client: str(client.role))
def test_guarded_topics(client: BusClient) -> None:
    """Sessions, raised hands and their events are for those who supervise, and for nobody else."""
    supervises = client.role in SUPERVISING_ROLES
    guarded = [f"events/{event.name}" for event in EVENTS.values() if event.guarded]
    assert len(guarded) > 10
    for path in ("supervisions/s1", "help/h1", *guarded):
        assert _reads(client, path) is supervises
    sees_floor = client.role in FLOOR_ROLES
    for path in ("agents/1002", "calls/c1", "audit", "events/call.ended"):
        assert _reads(client, path) is sees_floor
    assert _reads(client, "agents/1001") is (sees_floor or client.role is UserRole.AGENT)
    assert _reads(client, "events/agent.message") is (sees_floor and client.role is not UserRole.VIEWER)
    assert all(_reads(client, path) for path in ("status", "periods", f"reply/{client.name}"))
    assert not _reads(client, "reply/somebody")


def test_an_agent_who_is_none() -> None:
    """A token of the role agent without an agent reads what everybody does."""
    assert readable(BusClient(name="a", role=UserRole.AGENT)) == ("status", "periods", "reply/a/#")


def test_a_token_without_reading() -> None:
    """Scopes without any reading leave the bus unread, whatever the role."""
    client = BusClient(name="a", role=UserRole.ADMIN, reads=False)
    assert readable(client) == ("status", "periods", "reply/a/#")
    assert access_list("r", [client], daemon="ctid").endswith("user a\ntopic read r/status\n")


@pytest.mark.parametrize("name", ["ctid", "a\nuser ctid", " a", ""])
def test_names_that_would_be_somebody_else(name: str) -> None:
    """A client cannot have the daemon's rights by its name, nor write lines into the list."""
    with pytest.raises(ValueError, match="cannot be the name of a client"):
        access_list("ctid/main", [BusClient(name=name, role=UserRole.VIEWER)], daemon="ctid")

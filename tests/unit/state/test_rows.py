import pytest
from msgspec.structs import replace

from ctid.model.facts import Leg, Member
from ctid.model.ids import AgentId, DeviceId, LegId, PbxId, QueueId
from ctid.state.rows import Rows
from helpers.floor import BASE

WAITING = Leg(
    id=LegId("c1"),
    call="c1",
    created_at=BASE,
    incoming=True,
    device=DeviceId("3001"),
    queue=QueueId("support"),
    position=1,
)
MEMBER = Member(queue=QueueId("support"), agent=AgentId("1001"), name="", device=DeviceId("1001"))


@pytest.fixture
def rows() -> Rows:
    """The empty rows of a PBX."""
    return Rows(PbxId("lab"))


def _indexes(rows: Rows) -> dict[str, object]:
    """The indexes of legs, without what is empty in them."""
    return {
        "calls": {key: set(legs) for key, legs in rows.call_legs.items()},
        "devices": {key: set(legs) for key, legs in rows.device_legs.items() if legs},
        "waiting": {key: set(legs) for key, legs in rows.waiting.items() if legs},
    }


def test_a_leg_is_found_by_call_device_and_queue(rows: Rows) -> None:
    """A new leg is in every index that it has a key of, and there was none before."""
    assert rows.put_leg(WAITING) is None
    assert _indexes(rows) == {
        "calls": {"c1": {"c1"}},
        "devices": {"3001": {"c1"}},
        "waiting": {"support": {"c1"}},
    }


def test_a_leg_that_changes_leaves_its_former_places(rows: Rows) -> None:
    """Another call, another device, served: each index has it where it is now alone."""
    rows.put_leg(WAITING)
    moved = replace(WAITING, call="k2", device=DeviceId("3002"), position=None)
    assert rows.put_leg(moved) is WAITING
    assert _indexes(rows) == {"calls": {"k2": {"c1"}}, "devices": {"3002": {"c1"}}, "waiting": {}}


def test_a_leg_without_keys_is_in_the_index_of_calls_alone(rows: Rows) -> None:
    """No device and no queue: dropped, it leaves nothing."""
    bare = replace(WAITING, device=None, queue=None, position=None)
    rows.put_leg(bare)
    assert _indexes(rows) == {"calls": {"c1": {"c1"}}, "devices": {}, "waiting": {}}
    rows.put_leg(replace(bare, name="Rosa"))
    assert rows.drop_leg(LegId("c1")) == replace(bare, name="Rosa")
    assert _indexes(rows) == {"calls": {}, "devices": {}, "waiting": {}}


def test_a_dropped_leg_is_in_no_index(rows: Rows) -> None:
    """And a second drop finds nothing."""
    rows.put_leg(WAITING)
    rows.put_leg(replace(WAITING, id=LegId("c2")))
    assert rows.drop_leg(LegId("c1")) is WAITING
    assert _indexes(rows) == {
        "calls": {"c1": {"c2"}},
        "devices": {"3001": {"c2"}},
        "waiting": {"support": {"c2"}},
    }
    assert rows.drop_leg(LegId("c1")) is None


def test_a_member_is_found_by_queue_device_and_caller(rows: Rows) -> None:
    """The callers whom she is offered or serves name her, until she is done with them or leaves."""
    rows.put_member(replace(MEMBER, offered=LegId("c1")))
    assert rows.engaged == {"c1": {("1001", "support"): None}}
    rows.put_member(replace(MEMBER, serving=LegId("c1")))
    rows.put_member(replace(MEMBER, queue=QueueId("sales"), serving=LegId("c1"), offered=LegId("c2")))
    assert set(rows.engaged[LegId("c1")]) == {("1001", "support"), ("1001", "sales")}
    rows.drop_member(AgentId("1001"), QueueId("sales"))
    assert rows.engaged == {"c1": {("1001", "support"): None}}
    rows.put_member(MEMBER)
    assert rows.engaged == {}
    assert (dict(rows.queue_agents), rows.agent_of) == (
        {"support": {"1001": None}, "sales": {}},
        {"1001": "1001"},
    )


def test_a_member_who_leaves_stays_known_by_her_phone(rows: Rows) -> None:
    """The phone is still hers: a call that she makes logged out is her call."""
    rows.put_member(MEMBER)
    rows.drop_member(AgentId("1001"), QueueId("support"))
    assert rows.devices_of(AgentId("1001")) == ["1001"]
    assert rows.members == {"1001": {}}


def test_a_phone_is_whoever_joined_last_with_it(rows: Rows) -> None:
    """A change of the former agent's membership does not take it back; joining anew does."""
    rows.put_member(MEMBER)
    rows.put_member(replace(MEMBER, agent=AgentId("1002")))
    rows.put_member(replace(MEMBER, paused=True))
    assert rows.agent_of == {"1001": "1002"}
    rows.drop_member(AgentId("1001"), QueueId("support"))
    rows.put_member(MEMBER)
    assert rows.agent_of == {"1001": "1001"}


def test_a_member_without_a_phone_owns_none(rows: Rows) -> None:
    """A member whose device the PBX does not tell is a member all the same."""
    rows.put_member(replace(MEMBER, device=None))
    assert rows.agent_of == {}
    assert rows.devices_of(AgentId("1001")) == []
    assert set(rows.members) == {"1001"}

"""What two snapshots in a row do not bear out is suspect, with the reason."""

import pytest
from msgspec.structs import replace

from ctid.model.ids import DeviceId, LegId
from ctid.model.words import DeviceState, SnapshotReason
from ctid.state.suspicion import LONGEST_OFFER_S
from helpers.floor import Floor


def _look(floor: Floor) -> None:
    floor.wait(60)
    floor.snapshot(reason=SnapshotReason.TIMER)


@pytest.fixture
def staffed(floor: Floor) -> Floor:
    """1001 is in `support`, and her phone is known."""
    floor.link_up()
    floor.agent_joins("1001", "support")
    floor.phone("1001", DeviceState.IDLE)
    return floor


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"serving": LegId("c9")}, "the queue support has her serve a caller who is not there"),
        ({"in_call": True}, "the queue support has her in a call, and her phone is in none"),
        ({"offered": LegId("c9")}, "the queue support offers her a caller who is not there"),
        ({"in_call": True, "device_state": DeviceState.UNKNOWN}, ""),
        ({"in_call": True, "device": None}, "the queue support has her in a call, and her phone is in none"),
    ],
)
def test_an_agent_whom_her_queue_has_in_a_call_that_is_not(
    staffed: Floor, told: dict[str, object], reason: str
) -> None:
    """One snapshot may fall between two events; the second one makes her suspect."""
    staffed.put_member("1001", "support", **told)
    staffed.snapshot()
    assert staffed.agent("1001").suspect == ""
    _look(staffed)
    assert staffed.agent("1001").suspect == reason


def test_a_snapshot_that_moves_her_and_bears_the_doubt_out(staffed: Floor) -> None:
    """She is suspect at once, though her state is another now."""
    staffed.put_member("1001", "support", in_call=True)
    _look(staffed)
    staffed.members["1001", "support"] = replace(staffed.members["1001", "support"], paused=True)
    _look(staffed)
    assert (staffed.agent("1001").state, bool(staffed.agent("1001").suspect)) == ("not_ready", True)
    assert staffed.snapshot() == []


def test_what_a_snapshot_bears_out_again_is_trusted_again(staffed: Floor) -> None:
    """At once."""
    staffed.put_member("1001", "support", in_call=True)
    _look(staffed)
    _look(staffed)
    assert staffed.agent("1001").suspect
    staffed.put_member("1001", "support", in_call=False)
    _look(staffed)
    assert staffed.agent("1001").suspect == ""


def test_an_agent_who_moves_on_is_trusted_again(staffed: Floor) -> None:
    """Without waiting for a snapshot: what was doubted was her old state."""
    staffed.put_member("1001", "support", in_call=True)
    _look(staffed)
    _look(staffed)
    staffed.put_member("1001", "support", in_call=False)
    assert staffed.agent("1001").suspect
    staffed.agent_pauses("1001", "support", "lunch")
    assert staffed.agent("1001").suspect == ""
    _look(staffed)
    assert staffed.agent("1001").suspect == ""


def test_an_offer_that_rings_for_ever(staffed: Floor) -> None:
    """Nobody's phone rings that long."""
    staffed.customer_joins("c1", "support")
    staffed.agent_offered("1001", "support", "c1", "a1")
    staffed.wait(LONGEST_OFFER_S + 1)
    _look(staffed)
    _look(staffed)
    assert staffed.agent("1001").suspect == "offered for longer than a phone rings"


def test_a_phone_that_is_in_use_in_no_call(staffed: Floor) -> None:
    """And one that does nothing, in a call."""
    staffed.phone("1001", DeviceState.IN_USE)
    staffed.phone("3001", DeviceState.IDLE)
    staffed.put_leg("c1", call="c1", incoming=True, device=DeviceId("3001"))
    _look(staffed)
    _look(staffed)
    assert staffed.device("1001").suspect == "in_use, and in no call"
    assert staffed.device("3001").suspect == "idle, and in a call"
    staffed.phone("1001", DeviceState.HELD)
    assert staffed.device("1001").suspect == ""
    staffed.hangs_up("c1")
    _look(staffed)
    assert staffed.device("3001").suspect == ""


def test_a_call_that_is_older_than_is_plausible(floor: Floor) -> None:
    """A party alone with the PBX for more than an hour, and then it moves on."""
    floor.link_up()
    floor.customer_dials("c1")
    floor.wait(3601)
    _look(floor)
    _look(floor)
    assert floor.call("c1").suspect == "initiated for longer than is plausible"
    floor.customer_joins("c1", "support")
    assert floor.call("c1").suspect == ""

"""Drift: a snapshot that differs from what was told is believed, counted, and told with both sides."""

import pytest
from msgspec.structs import replace

from ctid.model.entities import Pbx
from ctid.model.facts import QueueInfo
from ctid.model.ids import DeviceId, LegId, QueueId
from ctid.model.words import DeviceState, LegState, SnapshotReason
from ctid.state.changes import Occurrence
from ctid.state.drift import compare
from helpers.floor import Floor


@pytest.fixture
def talking(floor: Floor) -> Floor:
    """1001 talks with a customer of `support`, her phone and queue known, and all of it is confirmed."""
    floor.link_up()
    floor.queues["support"] = QueueInfo(id=QueueId("support"), strategy="linear")
    floor.snapshot()
    floor.agent_joins("1001", "support")
    floor.phone("1001", DeviceState.IN_USE)
    floor.agent_serves("1001", "support", "c1", "a1")
    return floor


def _pbx(floor: Floor) -> Pbx:
    return floor.store.pbxs[floor.pbx]


def test_a_snapshot_that_equals_what_was_told_is_no_drift(talking: Floor) -> None:
    """Nor does it change anything but the time of confirmation."""
    before = talking.agent("1001")
    talking.wait(5)
    updates = talking.snapshot(reason=SnapshotReason.TIMER)
    assert [update for update in updates if not isinstance(getattr(update, "new", None), Pbx)] == []
    assert talking.store.take_drifts() == []
    assert _pbx(talking).drift == 0
    after = talking.agent("1001")
    assert after == replace(before, confirmed_at=talking.now)
    assert before.confirmed_at != talking.now


def test_every_kind_of_difference_is_named(talking: Floor) -> None:
    """Ghosts, what nobody told of, and fields that differ, with what was believed and what is so."""
    truth = talking.truth()
    gone, kept = truth.legs
    snapshot = replace(
        truth,
        legs=(replace(kept, held=True), replace(gone, id=LegId("c9"), call="c9", conversation=None)),
        members=(replace(truth.members[0], paused=True, reason="lunch"),),
        devices=(replace(truth.devices[0], id=DeviceId("1009"), state=DeviceState.IDLE),),
        queues=(replace(truth.queues[0], strategy="rrmemory"),),
    )
    found = {
        (drift.name, drift.id): (drift.believed, drift.found)
        for drift in compare(talking.store.rows[talking.pbx], snapshot)
    }
    assert found == {
        ("device.ghost", "1001"): ("there", None),
        ("device.unknown", "1009"): (None, "there"),
        ("leg.ghost", "c1"): ("there", None),
        ("leg.unknown", "c9"): (None, "there"),
        ("leg.held", "a1"): (False, True),
        ("leg.conversation", "a1"): (["a1", "c1"], ["a1"]),
        ("member.paused", "support/1001"): (False, True),
        ("member.reason", "support/1001"): ("", "lunch"),
        ("queue.strategy", "support"): ("linear", "rrmemory"),
    }


def test_the_name_of_a_conversation_is_no_drift(talking: Floor) -> None:
    """Two ways of knowing it may name it differently."""
    truth = talking.truth()
    renamed = replace(truth, legs=tuple(replace(leg, conversation="other") for leg in truth.legs))
    assert compare(talking.store.rows[talking.pbx], renamed) == []


@pytest.mark.parametrize("reason", [SnapshotReason.TIMER, SnapshotReason.REQUEST, SnapshotReason.UNREADABLE])
def test_drift_is_mended_counted_and_told(talking: Floor, reason: SnapshotReason) -> None:
    """The snapshot is believed; the count stays over a loss of the link."""
    talking.legs["a1"] = replace(talking.legs["a1"], held=True)
    updates = talking.snapshot(reason=reason)
    assert talking.party("c1", "a1").state == "held"
    assert talking.store.drifts == {(talking.pbx, "leg.held"): 1}
    told = [update for update in updates if isinstance(update, Occurrence)]
    assert [(one.name, one.by, one.to, one.call) for one in told] == [
        ("state_drifted", "leg.held", "a1", None)
    ]
    ((pbx, why, drift),) = talking.store.take_drifts()
    assert (pbx, why, drift.believed, drift.found) == (talking.pbx, reason, False, True)
    assert talking.store.take_drifts() == []
    assert _pbx(talking).drift == 1
    talking.link_down()
    assert _pbx(talking).drift == 1
    talking.link_up()
    assert _pbx(talking).drift == 1


@pytest.mark.parametrize("reason", [SnapshotReason.CONNECTED, SnapshotReason.RELOADED])
def test_what_could_not_be_told_is_no_drift(talking: Floor, reason: SnapshotReason) -> None:
    """A reload changes things silently, and so does time without a link."""
    talking.legs["a1"] = replace(talking.legs["a1"], state=LegState.CONNECTED, held=True)
    talking.snapshot(reason=reason)
    assert talking.party("c1", "a1").state == "held"
    assert not talking.store.drifts


def test_before_the_first_snapshot_nothing_can_have_drifted(floor: Floor) -> None:
    """Whatever it is taken for."""
    floor.link_up()
    floor.agent_joins("1001", "support")
    floor.snapshot(members=(), reason=SnapshotReason.REQUEST)
    assert not floor.store.drifts

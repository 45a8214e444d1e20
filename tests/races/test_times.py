"""Times that a PBX does not know: a zero, nothing, or a clock that was not set yet. None of them is shown."""

from datetime import UTC, datetime

import msgspec
import pytest

from ctid.model.entities import Entity
from ctid.model.facts import Snapshot
from ctid.model.instant import Instant, enc_hook
from helpers.ami_words import Channel, caller, dialled, member_event, member_item, message, queue_entry
from helpers.floor import BASE
from races.wired import Wired

DAY_S = 86_400.0
UNKNOWN = ["0", "", "-1", "0.0"]
"""How Asterisk has written a time that it does not know, in one version or another."""
LONG_AGO = {"LastCall": "0", "LastPause": "0", "LoginTime": "0"}


def times(entity: Entity) -> list[float]:
    """All instants in what is published of an entity."""
    found: list[float] = []

    def keep(value: object) -> object:
        if isinstance(value, Instant):
            found.append(value)
        return enc_hook(value)

    msgspec.json.encode(entity, enc_hook=keep)
    return found


def plausible(wire: Wired) -> None:
    """Nothing that is shown is of another day than the test's."""
    shown = [(entity.id, at) for entity in wire.store.entities() for at in times(entity)]
    assert shown
    for ident, at in shown:
        assert abs(at - BASE) < DAY_S, f"{ident}: {datetime.fromtimestamp(at, UTC)}"


def customer() -> Channel:
    """A customer's channel."""
    return caller("PJSIP/3001-00000001", "1.1", "7000", state="6", queue="support")


@pytest.mark.parametrize("unknown", UNKNOWN)
@pytest.mark.parametrize("field", ["LastCall", "LastPause", "LoginTime"])
def test_a_members_time_of_zero_is_no_time(wire: Wired, field: str, unknown: str) -> None:
    """Never called, never paused, an old version that tells no login: none, and not the year 1969 or 1970."""
    changed = {field: unknown, "Paused": "1", "PausedReason": "lunch"}
    wire.hear(member_event("QueueMemberAdded", **changed))
    (member,) = wire.agent().queues
    assert (member.last_call_at, member.paused_at, member.logged_in_at) == (None, None, None)
    plausible(wire)
    wire.drops()
    wire.links()
    wire.synchronizes(queues=(member_item(**changed),))
    plausible(wire)


@pytest.mark.parametrize("unknown", ["0.000000", "0", "", "-1.500000", "12.250000"])
def test_an_event_stamped_before_the_pbx_knew_the_time_is_of_now(wire: Wired, unknown: str) -> None:
    """`timestampevents` of a host whose clock is not set yet: what happens is of now, by our clock."""
    near = customer()
    wire.hear(member_event("QueueMemberAdded", Timestamp=unknown))
    wire.hear(message("Newchannel", near.block(), Timestamp=unknown))
    wire.hear(message("QueueCallerJoin", near.block(), Queue="support", Position="1", Timestamp=unknown))
    call = wire.call("1.1")
    assert call is not None
    assert abs(call.started_at - wire.now) < 60
    plausible(wire)


@pytest.mark.parametrize("age", ["490896:00:00", "00:00:-7", "-1:-1:-1"])
def test_a_channel_as_old_as_the_epoch_is_of_now(wire: Wired, age: str) -> None:
    """The clock was set while it was up, forwards or back: nobody has talked since 1970, or will tomorrow."""
    near = customer()
    far = dialled("PJSIP/1001-00000002", "1.2", "1.1", state="6", application="AppQueue")
    near.bridge = far.bridge = "b1"
    wire.drops()
    wire.links()
    wire.synchronizes(near.item(age), far.item(age), queues=(member_item(**LONG_AGO),))
    call = wire.call("1.1")
    assert call is not None
    assert call.started_at <= wire.now
    assert wire.agent().since <= wire.now
    plausible(wire)


@pytest.mark.parametrize("wait", [1_767_225_600, -7])
def test_a_wait_as_long_as_the_epoch_is_of_now(wire: Wired, wait: int) -> None:
    """The same of who waits in a queue: the longest wait on the wallboard is not of fifty years."""
    near = customer()
    wire.drops()
    wire.links()
    wire.synchronizes(near.item("00:00:07"), queues=(member_item(), queue_entry(near, "support", 1, wait)))
    (leg,) = next(fact for fact in reversed(wire.facts) if isinstance(fact, Snapshot)).legs
    assert leg.queued_at is not None
    assert leg.queued_at <= wire.now
    plausible(wire)

from pathlib import Path

import pytest
from msgspec.structs import replace

from ctid.capture import Capture, Record
from ctid.model.entities import Agent, Call
from ctid.model.facts import Fact, LinkDown, LinkUp, Snapshot
from ctid.model.words import SnapshotReason
from ctid_asterisk import snapshots
from ctid_asterisk.lists import Lists
from ctid_asterisk.replaying import FENCE_S, LISTS, replay
from helpers.captures import asked, heard, messages, replayed, shipped, updates_of, written

FENCE = "1795417440-1"
CHANNEL = (
    "ChannelState: 6",
    "CallerIDNum: 3001",
    "CallerIDName: Zoe",
    "Uniqueid: 1795417430.1",
    "Linkedid: 1795417430.1",
)


def login(t: float = 0.0) -> list[Record]:
    """Up to the version: what every capture begins with. The filter's answer is nobody's any more."""
    return [
        heard(t, "Asterisk Call Manager/11.0.0"),
        heard(t, "Event: FullyBooted", "Status: Fully Booted"),
        asked(t, "CoreSettings", "ctid-3"),
        heard(t, "Response: Success", "ActionID: ctid-3", "AsteriskVersion: 22.10.1"),
        asked(t, "Filter", "ctid-4"),
        heard(t, "Response: Success", "ActionID: ctid-4", "Message: Filter added"),
    ]


def listed(t: float, name: str, ident: str, *items: tuple[str, ...]) -> list[Record]:
    """A list and its answer; the id stands at the end of the items, as QueueStatus has it."""
    return [
        asked(t, name, ident),
        heard(t, "Response: Success", f"ActionID: {ident}", "EventList: start"),
        *[heard(t, *item, f"ActionID: {ident}") for item in items],
        heard(t, f"Event: {name}Complete", f"ActionID: {ident}", "EventList: Complete"),
    ]


def refused(t: float, name: str, ident: str, why: str) -> list[Record]:
    """A list that is not given."""
    return [asked(t, name, ident), heard(t, "Response: Error", f"ActionID: {ident}", f"Message: {why}")]


def fenced(t: float, token: str = FENCE, *, comes: bool = True) -> list[Record]:
    """The fence, and its event if it comes."""
    sent = [asked(t, "Setvar", "ctid-90", token), heard(t, "Response: Success", "ActionID: ctid-90")]
    event = heard(t, "Event: VarSet", "Channel: none", "Variable: CTIDFENCE", f"Value: {token}")
    return [*sent, event] if comes else sent


QUEUE = ("Event: QueueParams", "Queue: support", "Strategy: linear")
MEMBER = (
    "Event: QueueMember",
    "Queue: support",
    "Name: Alice",
    "Location: PJSIP/1001",
    "StateInterface: PJSIP/1001",
    "Status: 1",
)
UP = ("Event: CoreShowChannel", "Channel: PJSIP/3001-00000001", *CHANNEL, "Duration: 00:00:09", "Exten: 7000")


def lists(t: float, *channels: tuple[str, ...], first: int = 10) -> list[Record]:
    """The two lists that a snapshot needs."""
    queues = listed(t, "QueueStatus", f"ctid-{first}", QUEUE, MEMBER)
    return [*queues, *listed(t, "CoreShowChannels", f"ctid-{first + 1}", *channels)]


def facts(records: list[Record]) -> list[Fact]:
    """All facts that records tell."""
    return [fact for step, _ in replayed(records) for fact in step.facts]


def troubles(records: list[Record]) -> list[str]:
    """What could not be read."""
    return [step.trouble for step, _ in replayed(records) if step.trouble]


def of(told: list[Fact]) -> list[Snapshot]:
    """The snapshots among facts."""
    return [fact for fact in told if isinstance(fact, Snapshot)]


def test_the_login_is_played_by_the_player() -> None:
    """The link is up, with the version, though the file has no login."""
    (up,) = facts(login())
    assert isinstance(up, LinkUp)
    assert (up.version, up.driver) == ("22.10.1", "asterisk")


def test_the_lists_are_taken_where_they_were_taken() -> None:
    """The snapshot comes at its fence, with what the lists tell, by the capture's clock."""
    steps = replayed([*login(), *lists(1.0, UP), *fenced(2.0)])
    step = steps[-1][0]
    (snapshot,) = of(list(step.facts))
    assert (snapshot.at, snapshot.reason) == (step.at, SnapshotReason.CONNECTED)
    assert [leg.id for leg in snapshot.legs] == ["1795417430.1"]
    assert [member.name for member in snapshot.members] == ["Alice"]
    assert [queue.strategy for queue in snapshot.queues] == ["linear"]


def test_events_between_lists_and_fence_are_read_on_top() -> None:
    """As live: a channel that hung up meanwhile is in no snapshot."""
    hangup = heard(1.5, "Event: Hangup", "Channel: PJSIP/3001-00000001", *CHANNEL, "Cause: 16")
    (snapshot,) = of(facts([*login(), *lists(1.0, UP), hangup, *fenced(2.0)]))
    assert snapshot.legs == ()


def test_a_fence_that_never_came_is_awaited_as_long_as_live() -> None:
    """The snapshot is told with the first message after that time."""
    begun = [*login(), *lists(1.0, UP), *fenced(2.0, comes=False)]
    late = heard(2.0 + FENCE_S + 0.1, "Event: PeerStatus", "Peer: PJSIP/9")
    assert of(facts([*begun, heard(2.0 + FENCE_S, "Event: Other")])) == []
    assert len(of(facts([*begun, late]))) == 1
    assert FENCE_S == snapshots.FENCE_S


def test_a_later_snapshot_bears_why() -> None:
    """On the timer, or since the PBX has read its configuration."""
    begun = [*login(), *lists(1.0), *fenced(2.0), *lists(60.0, first=20), *fenced(60.1, "b")]
    told = of(facts(begun))
    assert [snapshot.reason for snapshot in told] == [SnapshotReason.CONNECTED, SnapshotReason.TIMER]
    reload = heard(70.0, "Event: Reload", "Module: app_queue.so")
    again = [*begun, reload, *lists(70.2, first=30), *fenced(70.3, "c")]
    assert of(facts(again))[-1].reason is SnapshotReason.RELOADED


def test_what_differs_is_looked_at_a_second_time() -> None:
    """What one look alone tells is not believed; a channel that two tell is."""
    begun = [*login(), *lists(1.0), *fenced(2.0)]
    once = [*begun, *lists(60.0, UP, first=20), *fenced(60.1, "b")]
    assert len(of(facts(once))) == 1
    twice = [*once, *lists(60.2, UP, first=30), *fenced(60.3, "c")]
    assert [leg.id for leg in of(facts(twice))[-1].legs] == ["1795417430.1"]


def test_a_refused_list_is_none_and_an_absent_one_empty_ever_after() -> None:
    """Without the channels there is no snapshot, and what is known stays."""
    absent = refused(1.0, "ParkedCalls", "ctid-12", "Invalid/unknown command: ParkedCalls. Use …")
    denied = refused(1.0, "DeviceStateList", "ctid-13", "Permission denied")
    begun = [*login(), *lists(1.0, UP), *absent, *denied, *fenced(2.0)]
    assert len(of(facts(begun))) == 1
    assert len(of(facts([*begun, *lists(60.0, UP, first=20), *fenced(60.1, "b")]))) == 2
    no = [*listed(60.0, "QueueStatus", "ctid-20", QUEUE, MEMBER)]
    no += [*refused(60.0, "CoreShowChannels", "ctid-21", "Permission denied"), *fenced(60.1, "b")]
    assert len(of(facts([*begun, *no]))) == 1
    assert troubles([*begun, *no]) == ["a snapshot without its channels or queues"]


def test_lists_that_were_begun_anew_before_their_fence() -> None:
    """The answers of the first attempt are nobody's."""
    stale = listed(1.0, "QueueStatus", "ctid-10", QUEUE, MEMBER)
    late = [heard(3.0, "Event: QueueMember", "ActionID: ctid-10", "Queue: gone", "Location: PJSIP/9")]
    assert len(of(facts([*login(), *stale, *late, *lists(4.0, first=20), *fenced(5.0)]))) == 1
    # An answer that comes after its fence belongs to no snapshot any more.
    slow = listed(
        2.5, "DeviceStateList", "ctid-12", ("Event: DeviceStateChange", "Device: PJSIP/1", "State: BUSY")
    )
    told = [*login(), *lists(1.0), slow[0], *fenced(2.0), *slow[1:]]
    assert of(facts(told))[0].devices == ()


def test_a_list_of_another_form_is_trouble() -> None:
    """It is told, and no snapshot is made of it."""
    odd = tuple(line for line in UP if not line.startswith("Duration"))
    records = [*login(), *lists(1.0, odd), *fenced(2.0)]
    assert of(facts(records)) == []
    (trouble,) = troubles(records)
    assert trouble.startswith("a list: KeyError")


def test_an_event_of_another_form_is_trouble_and_the_rest_goes_on() -> None:
    """Before the first snapshot, and after it."""
    odd = heard(1.5, "Event: Hangup", "Cause: 16")
    begun = [*login(), *lists(1.0, UP), odd, *fenced(2.0)]
    assert [text.split(":")[0] for text in troubles([*begun, replace(odd, t=3.0)])] == ["Hangup", "Hangup"]
    assert len(of(facts([*login(), odd, *lists(1.0, UP), *fenced(2.0)]))) == 1


def test_answers_to_others_are_not_ours() -> None:
    """Ids of the recording's session that nobody awaits stay so; those of others are events as live."""
    ours = heard(3.0, "Event: QueueMember", "ActionID: ctid-77", *MEMBER[1:])
    theirs = heard(3.0, "Event: OriginateResponse", "ActionID: else-1", "Response: Failure")
    ping = [
        asked(3.0, "Ping", "ctid-ping"),
        heard(3.0, "Response: Success", "ActionID: ctid-ping", "Ping: Pong"),
    ]
    before = [*login(), *lists(1.0), *fenced(2.0)]
    assert facts([*before, ours, theirs, *ping]) == facts(before)


def test_requests_before_the_login_is_done_are_passed_over() -> None:
    """A list, or a fence without lists, can be only in a capture that somebody made up."""
    records = [asked(0.0, "QueueStatus", "ctid-1"), asked(0.0, "Setvar", "ctid-2", FENCE), *login()]
    assert len(facts(records)) == 1


def test_a_record_of_nothing_tells_nothing() -> None:
    """A later writer's kind of record is passed over."""
    assert facts([Record(t=0.0, at=1.0), *login()]) == facts(login())


def test_what_cannot_be_ami_is_trouble() -> None:
    """A banner of something else ends what the player can read."""
    assert troubles([heard(0.0, "SSH-2.0-OpenSSH_9.2"), heard(1.0, "Event: Hold")]) == ["not_ami"]


def test_a_lost_link_is_told_at_the_end(tmp_path: Path) -> None:
    """As live: what was known is stale from then on. A capture that was ended is not a lost link."""
    records = [*login(), *lists(1.0), *fenced(2.0)]
    lost = written(tmp_path / "lost", records, "the link was lost: AMI: eof")
    *_, last = replay(Capture(lost))
    (down,) = last.facts
    assert isinstance(down, LinkDown)
    assert (down.reason, down.pbx, last.t) == ("the link was lost: AMI: eof", "lab", 2.0)
    ended = list(replay(Capture(written(tmp_path / "ended", records))))
    assert len(ended) == len(records)
    assert list(replay(Capture(written(tmp_path / "empty", [], "the link was lost")))) == []


@pytest.mark.parametrize("name", ["queue-calls"])
def test_a_real_capture_is_read_without_trouble(name: str) -> None:
    """Each list that the driver asks for is known here, and each message is read."""
    records = shipped(name)
    assert troubles(records) == []
    known = {*LISTS, "CoreSettings", "Filter", "Setvar", "Ping"}
    assert {record.sent for record in records if record.sent is not None} <= known
    assert set(LISTS.values()) == set(Lists.__struct_fields__)
    changed = {type(update.entity) for update in updates_of(records) if hasattr(update, "entity")}
    assert {Agent, Call} <= changed
    assert not [message for message in messages(records) if b"Authentication accepted" in message]

import json
from pathlib import Path

import pytest

from ctid.audit import Anchor
from ctid.events.documents import Documents
from ctid.events.topics import Topics
from ctid.hub import Hub
from ctid.model.facts import Leg, LegChanged, LegEnded, LinkUp, Member, MemberChanged
from ctid.model.ids import AgentId, LegId, PbxId, QueueId
from ctid.model.instant import Instant
from ctid.model.words import DeviceState, LegState
from ctid.publish.outgoing import Message, Outgoing
from ctid.publish.spool import Spool
from ctid.state.store import Store
from ctid.tasks import TaskOwner

PBX, AT = PbxId("p"), Instant(1_000.0)


class Clock:
    """Time that stands still."""

    def now(self) -> float:
        """The one instant there is."""
        return float(AT)


class Desk:
    """A store and what is outgoing of it, without a broker."""

    def __init__(self, folder: Path) -> None:
        self.store = Store()
        self.hub = Hub(self.store, Clock())
        self.spool = Spool(folder / "o.db", 1, lambda: None)
        self.outgoing = Outgoing(
            self.hub,
            Topics("ctid", "lab"),
            Documents("lab", "b1", numbers_in_full=True),
            Clock(),
            self.spool,
        )
        self.spool.backlog.online = True

    def apply(self, fact: LegChanged | LegEnded | LinkUp | MemberChanged) -> None:
        """Have a fact change the store, and take in what that told."""
        for update in self.store.apply(fact):
            self.outgoing.put(update)

    def call(self) -> None:
        """A caller waits."""
        leg = Leg(id=LegId("1"), call="1", created_at=AT, incoming=True, state=LegState.CONNECTED, position=1)
        self.apply(LegChanged(pbx=PBX, at=AT, leg=leg))

    def pause(self, reason: str) -> None:
        """The agent pauses."""
        agent = Member(
            queue=QueueId("q"),
            agent=AgentId("1"),
            name="",
            device_state=DeviceState.IDLE,
            paused=True,
            reason=reason,
        )
        self.apply(MemberChanged(pbx=PBX, at=AT, member=agent))

    def all(self) -> list[Message]:
        """Everything that is to be sent, sent."""
        found = []
        while (message := self.outgoing.next()) is not None:
            self.outgoing.sent(message, arrived=True)
            found.append(message)
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A desk with an online backlog."""
    return Desk(tmp_path)


def words(messages: list[Message]) -> list[str]:
    """The topics, those that are emptied with a minus."""
    return [("" if m.payload else "-") + m.topic.removeprefix("ctid/lab/") for m in messages]


async def test_events_come_before_their_document(desk: Desk) -> None:
    """A call's event precedes its document, and its removal follows its last event."""
    desk.call()
    assert words(desk.all()) == ["events/call.queued", "calls/p.1"]
    desk.apply(LegEnded(pbx=PBX, at=AT, leg=LegId("1")))
    assert words(desk.all()) == ["events/call.ended", "events/call.removed", "-calls/p.1"]


async def test_documents_overtake_when_events_are_behind(desk: Desk) -> None:
    """While many events wait, the truth does not wait for them, and no event is lost over it."""
    for number in range(400):
        desk.pause(f"r{number}")
    messages = desk.all()
    assert {"agents/1", "queues/q"} <= set(words(messages[:4]))
    documents = [message for message in messages if message.topic == "ctid/lab/agents/1"]
    assert [json.loads(message.payload)["reason"] for message in documents] == ["r399"]
    seqs = [json.loads(m.payload)["seq"] for m in messages if not m.retained]
    assert seqs == list(range(1, desk.store.seq + 1))


async def test_lost_message_is_sent_again(desk: Desk) -> None:
    """What did not arrive is sent again after the reconnect, documents and events alike."""
    desk.call()
    event, document = desk.outgoing.next(), desk.outgoing.next()
    for message in (event, document):
        assert message is not None
        desk.outgoing.sent(message, arrived=False)
    desk.spool.backlog.go_offline()
    desk.spool.backlog.online = True
    desk.outgoing.tree.rewrite()
    assert sorted(words(desk.all())) == ["calls/p.1", "events/call.queued"]


async def test_drops_are_told_once(desk: Desk) -> None:
    """Dropped events are told by one event with their number, before what follows the hole."""
    desk.call()
    desk.spool.backlog.lose(3)
    messages = desk.all()
    assert words(messages)[0] == "events/publisher.dropped"
    assert json.loads(messages[0].payload)["data"]["count"] == 3
    assert "events/publisher.dropped" not in words(messages)[1:]


def test_where_the_audit_ended_is_retained(desk: Desk) -> None:
    """As an event once, and as a document whenever the broker may have lost it; before any, there is none."""
    desk.outgoing.anchor_due = True
    assert desk.all() == []
    desk.outgoing.put_anchor(Anchor(record=7, hash="ab", at=AT))
    document, event = desk.all()
    assert (document.topic, document.retained, event.topic) == (
        "ctid/lab/audit",
        True,
        "ctid/lab/events/audit.anchored",
    )
    told = json.loads(document.payload)
    assert (told["schema"], told["record"], told["hash"]) == ("ctid.audit/1", 7, "ab")
    assert desk.all() == []
    desk.outgoing.anchor_due = True
    assert desk.all() == [document]


async def test_too_slow_for_the_hub_starts_anew(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the hub drops the publisher, it takes a new snapshot, and says how many updates it missed."""
    monkeypatch.setattr("ctid.hub.Hub.subscribe.__defaults__", (2, None))
    owner = TaskOwner()
    try:
        owner.spawn("follow", desk.outgoing.follow())
        await desk.outgoing.wake.wait()
        for number in range(5):
            fact = LinkUp(pbx=PBX, at=Instant(AT + number), driver="d", version=str(number))
            await desk.hub._tell(desk.store.apply(fact))
        desk.outgoing.wake.clear()
        while desk.outgoing.seq < desk.store.seq:
            await desk.outgoing.wake.wait()
            desk.outgoing.wake.clear()
        messages = desk.all()
        dropped = [json.loads(m.payload)["data"] for m in messages if m.topic.endswith("publisher.dropped")]
        assert [each["count"] for each in dropped] == [3]
        (link,) = (json.loads(m.payload) for m in messages if m.retained)
        assert (link["version"], link["seq"]) == ("4", 5)
    finally:
        await owner.close()

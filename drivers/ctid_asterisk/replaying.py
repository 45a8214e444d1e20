"""A capture by the way that live messages take: session, resync, normalize. Pure, time is the capture's own.

What the driver asked for in its time is not asked again: at its place in the capture the lists are begun,
taken and ended, with the answers that follow there. Answers bear the ids of the requests of then, which are
put in the place of those of now; what a newer driver would ask beyond that is taken as empty.
"""

from collections.abc import Iterator, Sequence
from typing import assert_never

from ctid.capture import Capture, Record
from ctid.model.facts import Fact, LinkDown, LinkUp
from ctid.model.ids import PbxId
from ctid.model.instant import Instant
from ctid.model.words import SnapshotReason
from ctid.ports import Replayed
from ctid_asterisk.actions import Action
from ctid_asterisk.lists import Lists
from ctid_asterisk.normalize import Normalizer, UnreadableError
from ctid_asterisk.outs import Credentials, Dead, Failed, Out, Ready, Reply, Send
from ctid_asterisk.outs import Fact as WireEvent
from ctid_asterisk.resync import Resync
from ctid_asterisk.session import AmiSession
from ctid_asterisk.wire import Kind, Message

LINK_LOST = "the link was lost"
"""How the end of a capture begins whose connection ended, and with it what was known."""
LISTS = {
    "CoreShowChannels": "channels",
    "QueueStatus": "queues",
    "DeviceStateList": "devices",
    "Status": "holds",
    "BridgeList": "bridges",
    "ParkedCalls": "parked",
    "PJSIPShowContacts": "contacts",
    "Agents": "agents",
}
"""The requests that a snapshot is made of, and what of `Lists` their answers are."""
FENCE_S = 2.0
"""How long a fence is awaited, as by the driver."""
UNKNOWN = "invalid/unknown command"
"""How Asterisk says that the module which has an action is not loaded."""

_RECORDED, _PREFIX = "ctid-", "replay"
_LOGGED_IN = b"Response: Success\r\nMessage: Authentication accepted\r\n\r\n"


def replay(capture: Capture) -> Iterator[Replayed]:
    """Iterate over a capture; see `ctid.ports.ReplayingFactory`."""
    player = Player(PbxId(capture.header.pbx))
    last: Record | None = None
    for last in capture.records():
        yield player.take(last)
    if last is not None and capture.end.startswith(LINK_LOST):
        at = Instant(last.at)
        down = LinkDown(pbx=player.pbx, at=at, driver=capture.header.driver, reason=capture.end)
        yield Replayed(t=last.t, at=at, facts=[down])


class Player:
    """Takes the records of one capture in their order."""

    def __init__(self, pbx: PbxId) -> None:
        self.pbx = pbx
        self._session = AmiSession(Credentials(_PREFIX, _PREFIX, plain=True), id_prefix=_PREFIX)
        self._session.start(0.0)
        self._resync = Resync(Normalizer(pbx), tuple)
        self._ids: dict[str, str] = {}
        """The id of a request of then, to that of ours."""
        self._own: dict[str, str] = {}
        """What the session itself asked for, by name, to its id."""
        self._asked: dict[str, str] = {}
        """Our id of a list that is awaited, to the list's name."""
        self._items: dict[str, Sequence[Message] | None] | None = None
        """What the lists of the snapshot under way have told; none where one was refused."""
        self._absent: dict[str, Sequence[Message]] = {}
        """The lists whose module is not loaded: empty, and not asked for again."""
        self._fenced: float | None = None
        self._reloaded = False
        self._greeted = False

    def take(self, record: Record) -> Replayed:
        """Take the next record; returns what it told."""
        now = Instant(record.at)
        facts: list[Fact] = []
        troubles: list[str] = []
        if self._fenced is not None and record.t > self._fenced + FENCE_S:
            self._fenced = None
            facts += self._resync.finish(now)
        message = record.message
        if record.sent is not None:
            self._sent(record, record.sent, now, troubles)
        elif message is not None:
            for out in self._session.receive(self._readdressed(message), record.t):
                facts += self._obey(out, now, troubles)
            if not self._greeted:
                self._greeted = True
                self._session.receive(_LOGGED_IN, record.t)
        return Replayed(t=record.t, at=now, facts=facts, trouble="; ".join(troubles))

    def _obey(self, out: Out, now: Instant, troubles: list[str]) -> list[Fact]:
        match out:
            case WireEvent():
                return self._event(out.message, now, troubles)
            case Ready():
                return [LinkUp(pbx=self.pbx, at=now, driver="asterisk", version=out.asterisk_version)]
            case Send():
                sent = Message(Kind.EVENT, "", out.data, tagged=True)
                self._own[sent.get("action")] = sent.action_id
            case Reply():
                self._answered(out)
            case Failed() | Dead():
                troubles.append(out.reason)
            case _:
                assert_never(out)
        return []

    def _answered(self, reply: Reply) -> None:
        name = self._asked.pop(reply.action_id, "")
        if not name or self._items is None:
            return
        self._items[name] = reply.items if reply.ok else None
        if not reply.ok and reply.text.lower().startswith(UNKNOWN):
            self._items[name] = self._absent[name] = ()

    def _event(self, message: Message, now: Instant, troubles: list[str]) -> list[Fact]:
        facts: list[Fact] = []
        try:
            facts = self._resync.receive(message, now)
        except UnreadableError as error:
            troubles.append(str(error))
        if message.name == "Reload" and self._session.ready:
            self._reloaded = True
            self._resync.reloaded()
        if not self._resync.taking:
            self._fenced = None
        return facts

    def _sent(self, record: Record, name: str, now: Instant, troubles: list[str]) -> None:
        own = self._own.pop(name, None)
        if own is not None:
            self._ids[record.id] = own
        elif name in LISTS and self._session.ready:
            if self._items is None:
                self._begin()
            self._ids[record.id], _ = self._session.send(Action(name, is_list=True), record.t)
            self._asked[self._ids[record.id]] = name
        elif record.fence and self._items is not None:
            self._load(self._items, record, now, troubles)

    def _begin(self) -> None:
        self._items = {}
        self._asked.clear()
        self._fenced = None
        if self._resync.again:
            self._resync.look_again()
            return
        reason = SnapshotReason.RELOADED if self._reloaded else SnapshotReason.TIMER
        self._resync.begin(SnapshotReason.CONNECTED if self._resync.pending else reason)
        self._reloaded = False

    def _load(
        self,
        items: dict[str, Sequence[Message] | None],
        record: Record,
        now: Instant,
        troubles: list[str],
    ) -> None:
        self._items = None
        found = {field: items.get(name, self._absent.get(name)) for name, field in LISTS.items()}
        channels = found.pop("channels")
        if channels is None or found["queues"] is None:
            troubles.append("a snapshot without its channels or queues")
            self._resync.give_up()
            return
        try:
            troubles += map(str, self._resync.load(Lists(channels=channels, **found), now))
        except UnreadableError as error:
            troubles.append(str(error))
            self._resync.give_up()
            return
        self._resync.expect(record.fence)
        self._fenced = record.t

    def _readdressed(self, message: bytes) -> bytes:
        """Give an answer the id that it is awaited under now; one that nobody awaits stays unawaited."""
        head, key, rest = message.partition(b"\nActionID: ")
        if not key:
            return message + (b"\r\n\r\n" if self._greeted else b"\r\n")
        ident, feed, tail = rest.partition(b"\n")
        then = ident.removesuffix(b"\r").decode("utf-8", "surrogateescape")
        ours = self._ids.get(then, f"{_PREFIX}-{then}" if then.startswith(_RECORDED) else then)
        line = key + ours.encode("utf-8", "surrogateescape") + (b"\r" + feed if feed else b"")
        return head + line + tail + b"\r\n\r\n"

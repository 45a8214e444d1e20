"""The driver's way without its socket and clock: bytes, session, resync, normalizer, store, documents.

It plays plans, which are plain data: the same plan does the same, and a part of one is a plan. Allowed are
the ends that the driver documents: a dead session, `UnreadableError`, lists that the PBX refuses.
"""

import re
from collections.abc import Callable, Sequence
from typing import assert_never

from msgspec import json

from ctid.events.documents import Documents
from ctid.events.telling import cloud_event, events_of
from ctid.history.entries import entry_of
from ctid.model.entities import Supervision
from ctid.model.facts import Fact, LinkDown, LinkUp, SupervisionChanged
from ctid.model.ids import AgentId, DeviceId, QueueId, SupervisionId
from ctid.model.instant import Instant, enc_hook
from ctid.model.words import Mode, Purpose, SnapshotReason, SupervisionEnd, SupervisionState
from ctid.state.changes import Occurrence, Update
from ctid.state.invariants import violations
from ctid.state.profile import AgentProfile, Profiles, QueueProfile
from ctid.state.store import Store
from ctid_asterisk import actions
from ctid_asterisk.actions import Action
from ctid_asterisk.lists import Lists
from ctid_asterisk.normalize import VARIABLES, Normalizer, UnreadableError
from ctid_asterisk.outs import Credentials, Dead, Failed, Out, Ready, Reply, Send
from ctid_asterisk.outs import Fact as WireEvent
from ctid_asterisk.recall import read_counters
from ctid_asterisk.resync import Resync
from ctid_asterisk.roster import EVENT as MEMBER_EVENT
from ctid_asterisk.roster import Roster
from ctid_asterisk.session import FENCE_VARIABLE, AmiSession
from ctid_asterisk.wire import Message
from fuzz.steps import Answer, Connected, Heard, Look, Passed, Step, Supervised
from replay.wire import PBX

_PROFILES = Profiles(
    agents={AgentId("1001"): AgentProfile(name="Ann", team="blue", after_call_work_s=5.0)},
    queues={QueueId("support"): QueueProfile(name="Support", wrapup_s=8.0)},
    phones=frozenset({DeviceId("2001"), DeviceId("2002")}),
    after_call_work_s=3.0,
    after_call_work_reason="acw",
)
MAX_MESSAGE = 256 * 1024
LEAST_LINES = (
    ("QueueStatus", actions.queue_status),
    ("CoreShowChannels", actions.core_show_channels),
)
"""The lists without which nothing is known, in the driver's order."""
OTHERS = (
    ("DeviceStateList", actions.device_state_list),
    ("Status", lambda: actions.status(variables=["CHANNEL(onhold)"])),
    ("BridgeList", actions.bridge_list),
    ("ParkedCalls", actions.parked_calls),
    ("PJSIPShowContacts", actions.pjsip_show_contacts),
    ("Agents", actions.agents),
)
LISTS = tuple(name for name, _ in (*LEAST_LINES, *OTHERS))
_FIRST_ONLY = frozenset({"Status", "Agents"})
_ASKED = re.compile(rb"Action: (\w+)\r\nActionID: ([^\r]+)\r\n")
_FULLY_BOOTED = b"Event: FullyBooted\r\nUptime: 1\r\n\r\n"
_CHECK_EVERY = 24
"""Facts between two checks of the invariants; the end of each step is checked as well."""


class Lost(Exception):
    """The connection is over, as the driver documents: a LinkError."""


class Refused(Exception):
    """No snapshot this time, as the driver documents: PbxRefused or PbxTimeout."""


class Broken(AssertionError):
    """An invariant does not hold."""


class Rig:
    """A daemon's one PBX: the store and, one after the other, the connections."""

    def __init__(self, *, check_every: int = _CHECK_EVERY) -> None:
        self.store = Store(_PROFILES)
        self.frames = 0
        """Blocks that sessions were given."""
        self.tally: dict[str, int] = {}
        """How the driver's own errors and ends have come up, by kind."""
        self._documents = Documents("lab", "boot", numbers_in_full=False)
        self._in_full = Documents("lab", "boot", numbers_in_full=True)
        self._every = check_every
        self._unchecked = 0
        self._t = 0.0
        self.wall = 1795426000.0
        self._home: Look | None = None
        self._answers: dict[str, Reply | Failed] = {}
        self._open()

    def _open(self) -> None:
        self.normalizer = Normalizer(PBX)
        self.resync = Resync(self.normalizer, lambda: [*self.store.supervisions.values()])
        self.roster = Roster()
        self.session = AmiSession(
            Credentials("fuzz", "secret"),
            excluded=frozenset({"VarSet", "Newexten"}),
            wanted=self.normalizer.wanted | {"VarSet", "Reload", "Shutdown", "FullyBooted"},
            variables=VARIABLES | {FENCE_VARIABLE},
            max_message_bytes=MAX_MESSAGE,
        )
        self._sent: list[bytes] = []
        self._version = ""
        self._answers.clear()
        self._fences = 0
        self._refusal = ""

    # Playing --------------------------------------------------------------------------------------

    def play(self, plan: Sequence[Step], home: Look) -> None:
        """Play a plan; whenever the link is lost it is made again, and begins with the lists of `home`."""
        self._home = home
        for step in plan:
            try:
                self._step(step)
            except Lost as lost:
                self._lose(str(lost))
                self._connect(Connected(home))
            except Refused as refused:
                self._count("refused: " + str(refused).partition(":")[0])
            self.check()

    def _step(self, step: Step) -> None:
        match step:
            case Heard():
                self._feed(step.data)
            case Passed():
                self._pass(step.seconds)
            case Connected():
                self._lose("the plan")
                self._connect(step)
            case Look():
                self._look(step)
            case Supervised():
                self._supervise(step)
            case _:
                assert_never(step)

    def _count(self, what: str) -> None:
        self.tally[what] = self.tally.get(what, 0) + 1

    def _lose(self, reason: str) -> None:
        self._count("lost: " + reason.partition(":")[0].partition(" (")[0])
        for out in self.session.eof(self._t):
            assert isinstance(out, Failed | Dead)
        self._apply([LinkDown(pbx=PBX, at=Instant(self.wall), driver="asterisk", reason=reason)])

    def _connect(self, step: Connected) -> None:
        self._open()
        self.session.start(self._t)
        self._feed(step.greeting)
        while self._sent:
            sent = self._sent.pop(0)
            found = _ASKED.match(sent)
            assert found is not None, sent
            self._feed(_reply(found[1], found[2], step.told))
        if not self.session.ready:
            raise Lost("not ready")
        up = LinkUp(pbx=PBX, at=Instant(self.wall), driver="asterisk", version=self._version)
        self._apply([up])
        self._look(step.look._replace(reason=SnapshotReason.CONNECTED))

    def _supervise(self, step: Supervised) -> None:
        """ARI tells of sessions, the wire of their channels; a session is of a call that there was."""
        calls = [*self.store.calls.values()]
        old = self.store.supervisions.get(SupervisionId(step.ident))
        if not calls and old is None:
            return
        now = Instant(self.wall)
        session = Supervision(
            id=SupervisionId(step.ident),
            pbx=PBX,
            state=SupervisionState.ENDED if step.over else SupervisionState.ACTIVE,
            mode=Mode.LISTEN,
            since=now,
            started_at=old.started_at if old else now,
            supervisor="her",
            phone="desk",
            agent=None,
            call=calls[step.call % len(calls)].id if old is None else old.call,
            purpose=Purpose.QUALITY,
            ended_at=now if step.over else None,
            end=SupervisionEnd.CALL_ENDED if step.over else None,
        )
        self._apply([SupervisionChanged(pbx=PBX, at=now, supervision=session)])

    # The wire -------------------------------------------------------------------------------------

    def _feed(self, data: bytes) -> None:
        self.frames += data.count(b"\r\n\r\n")
        self._t += 0.01
        self.wall += 0.01
        self._obey(self.session.receive(data, self._t))

    def _pass(self, seconds: float) -> None:
        self._t += seconds
        self.wall += seconds
        self._obey(self.session.on_time(self._t))
        self._answer_pings()
        self._tell(self.store.on_time(self.wall))

    def _answer_pings(self) -> None:
        while self._sent:
            found = _ASKED.match(self._sent.pop(0))
            assert found is not None
            self._feed(_reply(found[1], found[2]))

    def _obey(self, outs: Sequence[Out]) -> None:
        for out in outs:
            match out:
                case WireEvent():
                    self._apply(self._receive(out.message))
                    if out.message.name == "Reload" and self.session.ready:
                        self.resync.reloaded()
                case Send():
                    self._sent.append(out.data)
                case Reply() | Failed():
                    self._answers[out.action_id] = out
                case Ready():
                    self._version = out.asterisk_version
                case Dead():
                    raise Lost(f"{out.reason} ({out.detail})")
                case _:
                    assert_never(out)

    def _receive(self, message: Message) -> list[Fact]:
        if message.name.startswith(MEMBER_EVENT):
            self.roster.read(message)
        try:
            return self.resync.receive(message, Instant(self.wall))
        except UnreadableError:
            self._count("unreadable event")
            return []

    # Snapshots ------------------------------------------------------------------------------------

    def _look(self, look: Look) -> None:
        self.resync.begin(look.reason)
        try:
            self._once(look, look.answers)
            if self.resync.again:
                self.resync.look_again()
                self._once(look, look.again)
        finally:
            self.resync.give_up()

    def _once(self, look: Look, answers: dict[str, Answer]) -> None:
        first = self.resync.pending
        ill = Lost if first else Refused
        found: dict[str, tuple[Message, ...] | None] = {}
        for number, (name, build) in enumerate((*LEAST_LINES, *OTHERS)):
            if first or name not in _FIRST_ONLY:
                found[name] = self._ask(build, answers.get(name, Answer()), ill)
                if name == "QueueStatus" and (queues := found[name]) is not None:
                    self.roster.replace_present(queues)
                    # As the history keeps them.
                    json.encode(read_counters(queues, Instant(self.wall)), enc_hook=enc_hook)
                if found[name] is None and number < len(LEAST_LINES):
                    raise ill(f"a list: {self._refusal}")
            for data in look.heard[number :: len(LISTS)]:
                self._feed(data)
        try:
            lists = Lists(
                channels=found["CoreShowChannels"] or (),
                queues=found["QueueStatus"],
                devices=found["DeviceStateList"],
                holds=found.get("Status"),
                bridges=found["BridgeList"],
                parked=found["ParkedCalls"],
                contacts=found["PJSIPShowContacts"],
                agents=found.get("Agents"),
            )
            unreadable = self.resync.load(lists, Instant(self.wall))
        except UnreadableError as error:
            raise ill(f"unreadable lists: {error}") from error
        for _ in unreadable:
            self._count("unreadable event")
        self._fence(look)

    def _fence(self, look: Look) -> None:
        self._fences += 1
        token = f"{self.wall:.0f}-{self._fences}"
        self.resync.expect(token)
        ident, outs = self.session.send_fence(token, self._t)
        self._sent.clear()
        self._obey(outs)
        self._sent.clear()
        event = f"Event: VarSet\r\nChannel: none\r\nVariable: {FENCE_VARIABLE}\r\nValue: {token}\r\n\r\n"
        self._feed(_reply(b"Setvar", ident.encode()) + (event.encode() if look.fenced else b""))
        if self.resync.taking:
            self._count("no fence")
            self._pass(2.0)
            self._apply(self.resync.finish(Instant(self.wall)))

    def _ask(
        self, build: Callable[[], Action], answer: Answer, ill: type[Exception]
    ) -> tuple[Message, ...] | None:
        action = build()
        ident, outs = self.session.send(action, self._t)
        self._obey(outs)
        self._sent.clear()
        data = b"".join((answer.head, *answer.items, answer.tail)).replace(b"%ID%", ident.encode())
        self._feed(data)
        waited = 0.0
        while ident not in self._answers:
            waited += 4.0
            assert waited <= action.deadline_s + 4.0, "an action that is never settled"
            self._pass(4.0)
        told = self._answers.pop(ident)
        self._answers.clear()
        if isinstance(told, Failed):
            raise ill(f"a list: {told.reason}")
        if told.ok:
            return told.items
        self._refusal = told.text
        return () if told.text.lower().startswith("invalid/unknown command") else None

    # The state ------------------------------------------------------------------------------------

    def _apply(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            self._tell(self.store.apply(fact))
            self._unchecked += 1
            if self._unchecked >= self._every:
                self.check()
        if facts:
            self.store.take_drifts()
            self._tell(self.store.on_time(self.wall))

    def _tell(self, updates: Sequence[Update]) -> None:
        """Write the documents of each, as the publisher does, and the entry that the history keeps."""
        for update in updates:
            documents = self._documents if update.seq % 2 else self._in_full
            for event in events_of(update, documents):
                cloud_event(event, documents)
            if isinstance(update, Occurrence):
                entry = entry_of(update)
                assert entry is None or -(2**63) <= (entry.position or 0) < 2**63

    def check(self) -> None:
        """Hold the store against its invariants.

        Raises:
            Broken: one does not hold.
        """
        self._unchecked = 0
        found = violations(self.store)
        if found:
            raise Broken("; ".join(found[:5]))


def _reply(action: bytes, ident: bytes, told: bytes = b"") -> bytes:
    """What a PBX says to what is no list."""
    more = {
        b"Challenge": b"Challenge: 12345\r\n",
        b"Login": b"Message: Authentication accepted\r\n",
        b"CoreSettings": b"AsteriskVersion: 22.10.1\r\n",
    }.get(action, b"")
    answer = b"Response: Success\r\nActionID: %b\r\n%b\r\n" % (ident, told + more)
    return answer + (_FULLY_BOOTED if action == b"Login" else b"")

"""One Asterisk at the end of a wire: bytes through session, resync and normalizer into the store. No I/O."""

from collections.abc import Sequence

from ctid.model.entities import Agent, Call
from ctid.model.facts import Fact, LinkDown, LinkUp
from ctid.model.ids import AgentId, CallId, LegId, QueueId
from ctid.model.instant import Instant
from ctid.model.words import SnapshotReason
from ctid.state.invariants import violations
from ctid.state.store import Store
from ctid_asterisk import actions
from ctid_asterisk.actions import FENCE_VARIABLE, Action
from ctid_asterisk.lists import Lists
from ctid_asterisk.normalize import VARIABLES, Normalizer
from ctid_asterisk.outs import Credentials, Dead, Out, Ready, Reply, Send
from ctid_asterisk.outs import Fact as Told
from ctid_asterisk.resync import Resync
from ctid_asterisk.session import AmiSession
from ctid_asterisk.wire import Message
from helpers.ami_server import AmiServer, Fields, listing, text_of
from helpers.ami_words import PBX, Channel, Line, caller, dialled
from helpers.floor import BASE, PROFILES


class Wired(Line):
    """A PBX that is told in `Line`'s verbs, each of them `step_s` later; `store` is what ctid makes of it.

    It begins with a link that stands, and a snapshot in which nothing is. After each fact the invariants of
    the state are asserted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = BASE
        self.step_s = 1.0
        """How long after the last event each comes."""
        self.store = Store(PROFILES)
        self.facts: list[Fact] = []
        """All that was told, in its order."""
        self.pbx = AmiServer()
        """Whose answers these are; nothing listens on a socket."""
        self._replies: dict[str, Reply] = {}
        self.links()
        self.synchronizes()

    # The link -------------------------------------------------------------------------------------

    def links(self) -> None:
        """A new connection: greeting, login, version; then the events are kept for a first snapshot."""
        self.normalizer = Normalizer(PBX)
        self.resync = Resync(self.normalizer, tuple)
        self.session = AmiSession(
            Credentials(username="ctid", secret="lab"),
            wanted=self.normalizer.wanted | {"VarSet", "Shutdown", "FullyBooted"},
            variables=VARIABLES | {FENCE_VARIABLE},
        )
        self._obey(self.session.start(self.now))
        self.receives(self.pbx.greeting.encode())
        assert self.session.ready
        self.resync.begin()

    def drops(self) -> None:
        """The connection ends, in the midst of whatever was said."""
        self._obey(self.session.eof(self.now))
        assert self.session.dead

    def receives(self, data: bytes) -> list[Fact]:
        """Take any bytes; returns what they told."""
        before = len(self.facts)
        self._obey(self.session.receive(data, self.now))
        return self.facts[before:]

    def hear(self, event: Message) -> list[Fact]:
        """Take any event."""
        self.now = Instant(self.now + self.step_s)
        return self.receives(text_of(event).encode())

    def wait(self, seconds: float) -> None:
        """Let the time pass."""
        self.now = Instant(self.now + seconds)
        self.store.on_time(self.now)

    def _obey(self, outs: Sequence[Out]) -> None:
        for out in outs:
            match out:
                case Send():
                    self.receives(self.pbx.says[_fields(out.data)["action"]](_fields(out.data)).encode())
                case Told():
                    self._tell(self.resync.receive(out.message, self.now))
                case Reply():
                    self._replies[out.action_id] = out
                case Ready():
                    self._tell([LinkUp(pbx=PBX, at=self.now, driver="asterisk", version="22")])
                case Dead():
                    down = LinkDown(pbx=PBX, at=self.now, driver="asterisk", reason=out.reason)
                    self._tell([down])

    def _tell(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            self.facts.append(fact)
            self.store.apply(fact)
            found = violations(self.store)
            assert found == [], f"{found} after {fact}"

    # Snapshots ------------------------------------------------------------------------------------

    def lists(
        self,
        *channels: Message,
        queues: Sequence[Message] = (),
        devices: Sequence[Message] = (),
        agents: Sequence[Message] = (),
    ) -> None:
        """The PBX answers each list, and the answers are taken in. Raises UnreadableError."""
        taken = Lists(
            channels=self._listed(actions.core_show_channels(), channels),
            queues=self._listed(actions.queue_status(), queues),
            devices=self._listed(actions.device_state_list(), devices),
            holds=(),
            agents=self._listed(actions.agents(), agents),
        )
        self.resync.load(taken, self.now)

    def _listed(self, action: Action, items: Sequence[Message]) -> Sequence[Message]:
        self.pbx.says[action.name] = listing(f"{action.name}Complete", *items)
        ident, outs = self.session.send(action, self.now)
        self._obey(outs)
        return self._replies[ident].items

    def fence(self) -> None:
        """The events have caught up with the lists."""
        token = f"{self.now:.0f}"
        self.resync.expect(token)
        self._obey(self.session.send_fence(token, self.now)[1])
        assert not self.resync.taking

    def synchronizes(
        self,
        *channels: Message,
        queues: Sequence[Message] = (),
        devices: Sequence[Message] = (),
        agents: Sequence[Message] = (),
    ) -> None:
        """The snapshot that a new connection begins with."""
        self.lists(*channels, queues=queues, devices=devices, agents=agents)
        self.fence()

    def reconciles(self, *channels: Message, queues: Sequence[Message] = ()) -> None:
        """A snapshot on a standing link, whose lists are the same at the second look."""
        self.resync.begin(SnapshotReason.TIMER)
        self.lists(*channels, queues=queues)
        self.fence()
        if self.resync.again:
            self.resync.look_again()
            self.lists(*channels, queues=queues)
            self.fence()

    # What ctid shows ------------------------------------------------------------------------------

    def agent(self, ident: str = "1001") -> Agent:
        """An agent."""
        return self.store.agents[AgentId(ident)]

    def call(self, key: str) -> Call | None:
        """A call by the unique id of its first channel, while it lasts."""
        return self.store.calls.get(CallId(f"{PBX}.{key}"))

    def waiting(self, queue: str = "support") -> list[LegId]:
        """Who waits in a queue, in their order."""
        return list(self.store.rows[PBX].waiting[QueueId(queue)])


def _fields(data: bytes) -> Fields:
    lines = [line.partition(": ") for line in data.decode().split("\r\n") if line]
    return {key.lower(): value for key, _, value in reversed(lines)}


def customer(number: str = "1") -> Channel:
    """A customer's channel."""
    return caller(f"PJSIP/300{number}-0000000{number}", f"1.{number}", "7000", queue="support")


def phone(agent: str = "1001", unique: str = "1.9", linked: str = "1.1") -> Channel:
    """A phone that the queue rings."""
    return dialled(f"PJSIP/{agent}-000000{unique[-1]}f", unique, linked)

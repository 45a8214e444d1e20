"""A PBX in memory: calls that go on, phones, snoop channels, bridges, and events of them.

A step can be made to fail or to hang, and something can be made to happen before it. What must never be is
asked by `alone`, `heard_by`, `hears`, `tone_leaks` and `ours`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from ctid.model.errors import CtidError, PbxUnavailable
from ctid_asterisk.ari import AriError, AriLost
from ctid_asterisk.sessions import JOIN

APP = "ctid"
CUSTOMER, AGENT = "1.1", "1.4"
TALKING = "call"
"""The bridge of the call that goes on."""
NEXT_CUSTOMER, NEXT_AGENT = "2.1", "2.4"
"""Of the call that comes after it, as `next_call` begins it."""
COLLEAGUE = "1.7"
"""The agent to whom `transfer` gives the call."""
TAKEN, RETURNED = "taken", "returned"
"""The bridges that the dialplan of take-over and hand-back makes."""


class Fault(Struct, frozen=True):
    """A step that fails: with `error`, before or after the PBX has carried it out."""

    error: Exception
    done: bool = False


class Chan(Struct):
    """A channel of the PBX."""

    app: str = ""
    bridge: str = ""
    spy: str = ""
    whisper: str = ""
    target: str = ""
    """Of a snoop channel: the one that it is on."""
    muted: bool = False
    state: str = "Up"
    absorbs: bool = False
    variables: dict[str, str] = {}
    context: str = ""
    """The dialplan that a channel enters as it is answered."""


class FakePbx:
    """Stands for one Asterisk with one call in it: customer and agent talk."""

    def __init__(self) -> None:
        self.there: dict[str, Chan] = {CUSTOMER: Chan(bridge=TALKING), AGENT: Chan(bridge=TALKING)}
        self.of_bridges: set[str] = {TALKING}
        self.rung_back: list[str] = []
        """Channels that went on in the dialplan, which rings the agent."""
        self.steps: list[str] = []
        self.faults: dict[int, Fault] = {}
        """By the number of the step, from 0."""
        self.refuses: set[str] = set()
        """The names of steps that never succeed."""
        self.before: dict[int, Callable[[], None]] = {}
        self.hangs = -1
        """The number of the step whose answer never comes, until it is given up."""
        self.given_up = asyncio.Event()
        self.watch: Callable[[], None] = lambda: None
        """Called before and after each step, to look at what is."""
        self.answers = True
        """A phone that is rung answers; otherwise it rings on."""
        self.pin = ""
        """What is entered at a phone that is asked for a PIN."""
        self.silent: set[str] = set()
        """Kinds of event that are never sent."""
        self.closed = False
        """Our end of ARI is closed: no request reaches the PBX, and no event comes."""
        self.shown: list[str] = []
        """What the phones that were rung display."""
        self.tones: dict[str, str] = {}
        """What is played to bridges and phones, by playback."""
        self.noticed: list[tuple[str, str]] = []
        """Notices: in whose ear, and what."""
        self.no_audio: set[str] = set()
        """Channels of which no packets are counted."""
        self.no_rtp: set[str] = set()
        """Channels that have no RTP of their own."""
        self.packets_seen = 0
        self.followed: set[str] = set()
        self.queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    # What the PBX does -------------------------------------------------------------------------------------

    def tell(self, kind: str, channel: str, **more: object) -> None:
        """Send an event."""
        if kind not in self.silent:
            self.queue.put_nowait({"type": kind, "channel": {"id": channel}, **more})

    def restart(self) -> None:
        """A new client: no event of before reaches it, it follows nobody, and nothing fails any more."""
        self.queue = asyncio.Queue()
        self.followed = set()
        self.faults, self.before, self.silent, self.refuses, self.hangs = {}, {}, set(), set(), -1
        self.closed = False

    def cut(self) -> None:
        """The event socket ends."""
        self.queue.put_nowait(None)

    def enter(self, channel: str) -> None:
        """A channel enters the application."""
        self.there[channel].app = APP
        self.tell("StasisStart", channel)

    def destroy(self, channel: str, cause: int = 16) -> None:
        """A channel ends, with the snoop channels on it and, of a call of two, the other party."""
        gone = self.there.pop(channel, None)
        if gone is None:
            return
        if gone.app:
            self.tell("StasisEnd", channel)
        if gone.app or channel in self.followed:
            self.tell("ChannelDestroyed", channel, cause=cause)
        self.tones = {playback: to for playback, to in self.tones.items() if to != channel}
        for snoop in [name for name, chan in self.there.items() if chan.target == channel]:
            self.destroy(snoop)
        if gone.bridge and not gone.bridge.startswith("ctid-") and len(self.inside(gone.bridge)) == 1:
            self.destroy(next(iter(self.inside(gone.bridge))))

    def next_call(self) -> None:
        """Another call begins."""
        self.of_bridges.add("call2")
        self.there |= {NEXT_CUSTOMER: Chan(bridge="call2"), NEXT_AGENT: Chan(bridge="call2")}

    def transfer(self) -> None:
        """The agent gives the call to a colleague, and is out of it."""
        self.there[COLLEAGUE] = Chan(bridge=TALKING)
        self.destroy(AGENT)

    def pick_up(self) -> None:
        """The supervisor's phone, which rings, is answered."""
        phone = self.phone()
        assert phone is not None, "no phone rings"
        self.there[phone].state = "Up"
        self.enter(phone)

    def press(self, keys: str) -> None:
        """Keys of the supervisor's phone."""
        for key in keys:
            self.tell("ChannelDtmfReceived", self.phone() or "", digit=key)

    def agent_rings(self) -> str | None:
        """The channel of an agent who is rung to have the customer back."""
        return next((name for name, chan in self.there.items() if chan.context and chan.state != "Up"), None)

    def agent_picks_up(self) -> None:
        """She answers, and the dialplan joins her with the customer, who leaves the supervisor."""
        back = self.agent_rings()
        assert back is not None, "no agent is rung"
        chan = self.there[back]
        customer = self.named(chan.variables[JOIN])
        if customer is None:
            self.destroy(back)
            return
        chan.state = "Up"
        left = self.inside(self.there[customer].bridge) - {customer}
        self.of_bridges.add(RETURNED)
        chan.bridge = self.there[customer].bridge = RETURNED
        for alone in left:
            self.destroy(alone)

    def named(self, name: str) -> str | None:
        """The channel of this full name."""
        return next((unique for unique in self.there if full_name(unique) == name), None)

    def move(self, near: str) -> None:
        """The customer leaves the agent for the take-over context, which joins him with the supervisor."""
        customer = self.there[CUSTOMER]
        customer.bridge = ""
        self.destroy(near)
        hers = self.named(customer.variables[JOIN])
        if hers is None or self.there[hers].state != "Up":
            self.rung_back.append(CUSTOMER)
            return
        self.of_bridges.add(TAKEN)
        phone = self.there[hers]
        phone.app, phone.bridge, customer.bridge = "", TAKEN, TAKEN
        self.tell("StasisEnd", hers)

    # What must never be ------------------------------------------------------------------------------------

    def phone(self) -> str | None:
        """The supervisor's channel."""
        return next((name for name in self.there if "-phone-" in name), None)

    def ours(self) -> set[str]:
        """Everything of ctid's that the PBX still has."""
        return {name for name in (*self.there, *self.of_bridges) if name.startswith("ctid-")}

    def inside(self, bridge: str) -> set[str]:
        """The channels in a bridge."""
        return {name for name, chan in self.there.items() if chan.bridge == bridge}

    def alone(self) -> bool:
        """Whether the customer is there, and with nobody who can hear him and be heard."""
        customer = self.there.get(CUSTOMER)
        if customer is None or CUSTOMER in self.rung_back:
            return False
        company = self.inside(customer.bridge) - {CUSTOMER} if customer.bridge else set()
        return all(self.there[name].muted for name in company)

    def snoops(self) -> list[Chan]:
        """The snoop channels that are in her bridge."""
        phone = self.phone()
        bridge = self.there[phone].bridge if phone is not None else ""
        return [chan for chan in self.there.values() if bridge and chan.target and chan.bridge == bridge]

    def heard_by(self) -> set[str]:
        """Who hears the supervisor, as channels."""
        phone = self.phone()
        return set() if phone is None or self.there[phone].muted else self._reached(whisper=True)

    def hears(self) -> set[str]:
        """Whom the supervisor hears, as channels."""
        return self._reached(whisper=False)

    def _reached(self, *, whisper: bool) -> set[str]:
        phone = self.phone()
        bridge = self.there[phone].bridge if phone is not None else ""
        if not bridge:
            return set()
        reached = {name for name in self.inside(bridge) if not name.startswith("ctid-")}
        for snoop in self.snoops():
            way = snoop.whisper if whisper else snoop.spy
            parties = self.inside(self.there[snoop.target].bridge)
            # `in` is what comes from the channel, so whom she hears by it; `out` is what goes to it.
            own, other = {snoop.target}, parties - {snoop.target}
            reached |= (own if way in ("both", "out" if whisper else "in") else set()) | (
                other if way in ("both", "in" if whisper else "out") else set()
            )
        return reached

    def tone_leaks(self) -> bool:
        """Whether the quiet tone goes into a call."""
        return any(chan.bridge in self.tones.values() and chan.whisper != "none" for chan in self.snoops())

    async def drained(self) -> None:
        """Wait until all events are taken and what they caused is done; with ARI closed nobody takes them."""
        for _ in range(200):
            await asyncio.sleep(0)
        assert self.queue.empty() or self.closed


class Step:
    """One request: counted, with what is to happen before it, and failing if it is to.

    `instead` is how AMI says that it refuses.
    """

    def __init__(self, pbx: FakePbx, name: str, instead: CtidError | None = None) -> None:
        self._pbx = pbx
        self._name = name
        self._number = len(pbx.steps)
        self._instead = instead
        pbx.steps.append(name)

    def _error(self, fault: Fault) -> Exception:
        # AMI's steps do not fail in ARI's words.
        if self._instead is None:
            return fault.error
        return PbxUnavailable("lost") if isinstance(fault.error, AriLost) else self._instead

    async def __aenter__(self) -> None:
        happen = self._pbx.before.get(self._number)
        if happen is not None:
            happen()
        self._pbx.watch()
        await turns()
        if self._pbx.closed and self._instead is None:
            raise AriLost("this session has ended")
        fault = self._pbx.faults.get(self._number)
        if self._name in self._pbx.refuses:
            fault = Fault(AriError(500, "refused"))
        if fault is not None and not fault.done:
            raise self._error(fault)

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._pbx.watch()
        await turns()
        fault = self._pbx.faults.get(self._number)
        if error is None and self._pbx.hangs == self._number:
            await self._pbx.given_up.wait()
            raise self._error(Fault(AriLost("timed out")))
        if error is None and fault is not None and fault.done:
            raise self._error(fault)


def full_name(unique: str) -> str:
    """A channel's name, as AMI wants it."""
    return f"PJSIP/{unique}-name"


def turns() -> Awaitable[None]:
    """A round trip, in which the events that were sent are read."""
    return asyncio.sleep(0)

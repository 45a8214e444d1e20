"""A PBX in memory, as `Ari` shows it: a call that goes on, phones, snoop channels, bridges, events.

A step can be made to fail, and something can be made to happen before it. What must never be is asked by
`alone`, `heard_by` and `ours`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from msgspec import Struct

from ctid.model.errors import PbxRefused, PbxUnavailable, SupervisionRefused
from ctid.model.ids import SupervisionId
from ctid_asterisk.ari import Ari, AriError, AriLost

CUSTOMER, AGENT = "1.1", "1.4"
TALKING = "call"
"""The bridge of the call that goes on."""


class Fault(Struct, frozen=True):
    """A step that fails: with `error`, before or after the PBX has carried it out."""

    error: Exception
    done: bool = False


class Chan(Struct):
    """A channel of the PBX."""

    app: str = ""
    bridge: str = ""
    whisper: str = ""
    muted: bool = False
    state: str = "Up"
    absorbs: bool = False
    variables: dict[str, str] = {}
    args: tuple[str, ...] = ()


class FakeAri(Ari):
    """Stands for one Asterisk with one call in it: customer and agent talk."""

    def __init__(self) -> None:
        self.app = "ctid"
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
        """The number of the step whose answer never comes."""
        self.answers = True
        """A phone that is rung answers; otherwise it rings on."""
        self.silent: set[str] = set()
        """Kinds of event that are never sent."""
        self.closed = False
        """Our end of ARI is closed: no request reaches the PBX, and no event comes."""
        self.shown: list[str] = []
        """What the phones that were rung display."""
        self._events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    # What the PBX does -------------------------------------------------------------------------------------

    def tell(self, kind: str, channel: str, **more: object) -> None:
        """Send an event."""
        if kind not in self.silent:
            self._events.put_nowait({"type": kind, "channel": {"id": channel}, **more})

    def restart(self) -> None:
        """A new client: no event of before reaches it, and nothing fails any more."""
        self._events = asyncio.Queue()
        self.faults, self.before, self.silent, self.refuses = {}, {}, set(), set()
        self.closed = False

    def cut(self) -> None:
        """The event socket ends."""
        self._events.put_nowait(None)

    def enter(self, channel: str, *args: str) -> None:
        """A channel enters the application."""
        self.there[channel].app = self.app
        self.there[channel].args = args
        self.tell("StasisStart", channel, args=list(args))

    def destroy(self, channel: str, cause: int = 16) -> None:
        """A channel ends, with the snoop channels on it and, of the call, the other party."""
        gone = self.there.pop(channel, None)
        if gone is None:
            return
        if gone.app:
            self.tell("StasisEnd", channel)
        if gone.app or channel.startswith("ctid-"):
            self.tell("ChannelDestroyed", channel, cause=cause)
        if channel == AGENT:
            for other in [name for name, chan in self.there.items() if chan.whisper]:
                self.destroy(other)
        if gone.bridge == TALKING and channel in (AGENT, CUSTOMER):
            for other in (AGENT, CUSTOMER):
                if other in self.there and self.there[other].bridge == TALKING:
                    self.destroy(other)

    def pick_up(self) -> None:
        """The phone that rings is answered."""
        phone = self.phone()
        assert phone is not None, "no phone rings"
        self.there[phone].state = "Up"
        self.enter(phone)

    async def blind_transfer(self, near: str, session: SupervisionId) -> None:
        """AMI's part of a take-over: the customer goes to the application, the agent is released."""
        async with _Step(self, "blind_transfer", PbxRefused("no")):
            if near not in self.there or CUSTOMER not in self.there:
                raise PbxRefused("no such channel")
            self.there[CUSTOMER].bridge = ""
            self.destroy(near)
            self.enter(CUSTOMER, "takeover", session)

    async def set_variable(self, channel: str, name: str, value: str) -> None:
        """AMI's Setvar."""
        async with _Step(self, "set_variable", SupervisionRefused("call_ended", "no")):
            if channel not in self.there:
                raise SupervisionRefused("call_ended", "no such channel")
            self.there[channel].variables[name] = value

    async def hang_up_by_ami(self, channel: str) -> None:
        """AMI's Hangup; a channel that is gone is hung up."""
        async with _Step(self, "hang_up_by_ami", PbxUnavailable("no")):
            self.destroy(channel)

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
        """Whether the customer is there, and nobody hears him."""
        customer = self.there.get(CUSTOMER)
        if customer is None or CUSTOMER in self.rung_back:
            return False
        company = {name for name in self.there if name == AGENT or "-phone-" in name}
        return not customer.bridge or not company & self.inside(customer.bridge)

    def heard_by(self) -> str:
        """Who hears the supervisor: the `whisper` of the one snoop in her bridge, if her audio passes."""
        phone = self.phone()
        if phone is None or self.there[phone].muted or not self.there[phone].bridge:
            return "none"
        snoops = [chan.whisper for chan in self.there.values() if chan.whisper and chan.bridge]
        assert len(snoops) == 1, f"{len(snoops)} snoop channels are in the bridge"
        return snoops[0]

    # Ari's own ---------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """There is nothing to open."""

    async def close(self) -> None:
        """End the session."""
        self.closed = True
        self.cut()

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """Iterate over the events until the socket is cut."""
        while True:
            event = await self._events.get()
            if event is None:
                raise AriLost("cut")
            yield event

    async def drained(self) -> None:
        """Wait until all events are taken and what they caused is done."""
        for _ in range(200):
            await asyncio.sleep(0)
        assert self._events.empty()

    async def _request(
        self, method: str, path: str, params: Mapping[str, str] | None = None, body: object = None
    ) -> Any:
        raise AssertionError(f"not in memory: {method} {path} {params} {body}")

    def _chan(self, channel: str) -> Chan:
        chan = self.there.get(channel)
        if chan is None:
            raise AriError(404, "Channel not found")
        return chan

    def _in_app(self, bridge: str, channel: str) -> Chan:
        if bridge not in self.of_bridges:
            raise AriError(404, "Bridge not found")
        if not self._chan(channel).app:
            raise AriError(422, "Channel not in Stasis application")
        return self._chan(channel)

    async def channels(self) -> list[dict[str, Any]]:
        """All channels."""
        async with _Step(self, "channels"):
            return [
                {
                    "id": name,
                    "state": chan.state,
                    "dialplan": {
                        "app_name": "Stasis" if chan.app else "Queue",
                        "app_data": ",".join((chan.app, *chan.args)),
                    },
                }
                for name, chan in self.there.items()
            ]

    async def bridges(self) -> list[dict[str, Any]]:
        """All bridges."""
        async with _Step(self, "bridges"):
            return [{"id": name, "channels": sorted(self.inside(name))} for name in self.of_bridges]

    async def variable(self, channel: str, name: str) -> str:
        """A channel's variable."""
        async with _Step(self, "variable"):
            return self.there[channel].variables.get(name, "") if channel in self.there else ""

    async def ring(
        self, channel: str, endpoint: str, ring_s: float, caller_id: str, variables: Mapping[str, str]
    ) -> None:
        """Ring the phone."""
        assert endpoint.startswith("PJSIP/")
        assert ring_s > 0
        self.shown.append(caller_id)
        async with _Step(self, "ring"):
            self.there[channel] = Chan(state="Ringing", variables=dict(variables))
            if self.answers:
                self.pick_up()

    async def snoop(self, target: str, channel: str, *, whisper: str) -> None:
        """Make a snoop channel."""
        async with _Step(self, "snoop"):
            self._chan(target)
            self.there[channel] = Chan(whisper=whisper)
            self.enter(channel)

    async def hang_up(self, channel: str) -> None:
        """Hang a channel up."""
        async with _Step(self, "hang_up"):
            self.destroy(channel)

    async def mute(self, channel: str, *, on: bool) -> None:
        """Mute a channel."""
        async with _Step(self, "mute"):
            self._chan(channel).muted = on

    async def go_on(self, channel: str) -> None:
        """Let a channel go on in its dialplan."""
        async with _Step(self, "go_on"):
            chan = self._chan(channel)
            if not chan.app:
                raise AriError(409, "Channel not in Stasis application")
            chan.app = chan.bridge = ""
            self.rung_back.append(channel)
            self.tell("StasisEnd", channel)

    async def create_bridge(self, bridge: str) -> None:
        """Create a bridge."""
        async with _Step(self, "create_bridge"):
            self.of_bridges.add(bridge)

    async def destroy_bridge(self, bridge: str) -> None:
        """Destroy a bridge."""
        async with _Step(self, "destroy_bridge"):
            self.of_bridges.discard(bridge)
            for name in self.inside(bridge):
                self.there[name].bridge = ""

    async def add(self, bridge: str, channel: str, *, absorb_dtmf: bool = False) -> None:
        """Put a channel into a bridge."""
        async with _Step(self, "add"):
            chan = self._in_app(bridge, channel)
            chan.bridge, chan.absorbs = bridge, absorb_dtmf

    async def take_out(self, bridge: str, channel: str) -> None:
        """Take a channel out of a bridge."""
        async with _Step(self, "take_out"):
            self._in_app(bridge, channel).bridge = ""


class _Step:
    """One request: counted, with what is to happen before it, and failing if it is to."""

    def __init__(self, pbx: FakeAri, name: str, instead: Exception | None = None) -> None:
        self._pbx = pbx
        self._name = name
        self._number = len(pbx.steps)
        self._instead = instead
        pbx.steps.append(name)

    def _error(self, fault: Fault) -> Exception:
        # AMI's steps do not fail in ARI's words.
        return self._instead if self._instead is not None else fault.error

    async def __aenter__(self) -> None:
        happen = self._pbx.before.get(self._number)
        if happen is not None:
            happen()
        await _turns()
        if self._pbx.closed and self._instead is None:
            raise AriLost("this session has ended")
        fault = self._pbx.faults.get(self._number)
        if self._name in self._pbx.refuses:
            fault = Fault(AriError(500, "refused"))
        if fault is not None and not fault.done:
            raise self._error(fault)

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        await _turns()
        fault = self._pbx.faults.get(self._number)
        if error is None and self._pbx.hangs == self._number:
            await asyncio.Event().wait()
        if error is None and fault is not None and fault.done:
            raise self._error(fault)


def _turns() -> Awaitable[None]:
    """A round trip, in which the events that were sent are read."""
    return asyncio.sleep(0)

"""The doors of a PBX in memory: ARI, as `Ari` has it, and AMI's part of supervision."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Any

from ctid.model.errors import PbxRefused, PbxUnavailable, SupervisionRefused
from ctid.model.ids import SupervisionId
from ctid_asterisk.actions import DialPlace
from ctid_asterisk.ari import Ari, AriError, AriLost
from helpers.fake_pbx import APP, CUSTOMER, Chan, FakePbx, Step, full_name


class FakeAri(FakePbx, Ari):
    """Stands for one Asterisk; `ami` is its other door."""

    def __init__(self) -> None:
        super().__init__()
        self.app = APP
        self.ami = FakeAmi(self)

    async def open(self) -> None:
        """There is nothing to open."""

    async def close(self) -> None:
        """End the session."""
        self.closed = True
        self.cut()

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """Iterate over the events until the socket is cut."""
        while True:
            event = await self.queue.get()
            if event is None:
                raise AriLost("cut")
            yield event

    async def _request(
        self, method: str, path: str, params: Mapping[str, str] | None = None, body: object = None
    ) -> Any:
        raise AssertionError(f"not in memory: {method} {path} {params} {body}")

    def _chan(self, channel: str, status: int = 404) -> Chan:
        chan = self.there.get(channel)
        if chan is None:
            raise AriError(status, "Channel not found")
        return chan

    def _in_app(self, bridge: str, channel: str) -> Chan:
        if bridge not in self.of_bridges:
            raise AriError(404, "Bridge not found")
        if not self._chan(channel, 400).app:
            raise AriError(422, "Channel not in Stasis application")
        return self._chan(channel)

    async def channels(self) -> list[dict[str, Any]]:
        """All channels."""
        async with Step(self, "channels"):
            return [{"id": name, "state": chan.state} for name, chan in self.there.items()]

    async def bridges(self) -> list[dict[str, Any]]:
        """All bridges."""
        async with Step(self, "bridges"):
            return [{"id": name, "channels": sorted(self.inside(name))} for name in self.of_bridges]

    async def variable(self, channel: str, name: str) -> str:
        """A channel's variable."""
        async with Step(self, "variable"):
            return self.there[channel].variables.get(name, "") if channel in self.there else ""

    async def set_variable(self, channel: str, name: str, value: str) -> None:
        """Set a channel's variable."""
        async with Step(self, "set_variable"):
            self._chan(channel).variables[name] = value

    async def ring(
        self, channel: str, endpoint: str, ring_s: float, caller_id: str, variables: Mapping[str, str]
    ) -> None:
        """Ring the phone."""
        assert endpoint.startswith("PJSIP/")
        assert ring_s > 0
        self.shown.append(caller_id)
        async with Step(self, "ring"):
            self.there[channel] = Chan(state="Ringing", variables=dict(variables))
            self.followed.add(channel)
            if self.answers:
                self.pick_up()

    async def dial(
        self,
        channel: str,
        place: DialPlace,
        *,
        ring_s: float,
        caller_id: str = "",
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Ring an agent."""
        assert place.endpoint
        assert place.extension
        assert not caller_id
        assert ring_s > 0
        async with Step(self, "dial"):
            self.there[channel] = Chan(state="Ringing", context=place.context, variables=dict(variables))
            if self.answers:
                self.agent_picks_up()

    async def snoop(self, target: str, channel: str, *, spy: str, whisper: str) -> None:
        """Make a snoop channel."""
        async with Step(self, "snoop"):
            self._chan(target)
            self.there[channel] = Chan(spy=spy, whisper=whisper, target=target)
            self.followed.add(channel)
            self.enter(channel)

    async def hang_up(self, channel: str) -> None:
        """Hang a channel up."""
        async with Step(self, "hang_up"):
            self.destroy(channel)

    async def mute(self, channel: str, *, on: bool) -> None:
        """Mute a channel."""
        async with Step(self, "mute"):
            self._chan(channel).muted = on

    async def play(self, channel: str, playback: str, media: str) -> None:
        """Play to a channel."""
        assert playback
        async with Step(self, "play"):
            chan = self._chan(channel)
            assert chan.bridge == "", "others hear it"
            if not chan.target:
                self.tones[playback] = channel
                self.press(self.pin)
                return
            assert (chan.spy, chan.whisper) == ("none", "out"), "others hear it"
            self.noticed.append((chan.target, media))

    async def play_to_bridge(self, bridge: str, playback: str, media: str) -> None:
        """Play to all in a bridge."""
        assert media.startswith("tone:")
        async with Step(self, "play_to_bridge"):
            if bridge not in self.of_bridges:
                raise AriError(404, "Bridge not found")
            assert playback not in self.tones, "it is played already"
            self.tones[playback] = bridge

    async def stop_play(self, playback: str) -> None:
        """Stop a playback."""
        async with Step(self, "stop_play"):
            self.tones.pop(playback, None)

    async def packets(self, channel: str) -> tuple[int, int] | None:
        """How many packets there were."""
        async with Step(self, "packets"):
            if channel not in self.there or channel in self.no_rtp:
                return None
            self.packets_seen += 1
            return (7, 7) if channel in self.no_audio else (self.packets_seen, self.packets_seen)

    async def follow(self, channel: str) -> None:
        """Have a channel's events come."""
        async with Step(self, "follow"):
            self._chan(channel)
            self.followed.add(channel)

    async def create_bridge(self, bridge: str) -> None:
        """Create a bridge."""
        async with Step(self, "create_bridge"):
            self.of_bridges.add(bridge)

    async def destroy_bridge(self, bridge: str) -> None:
        """Destroy a bridge, and what is played to it."""
        async with Step(self, "destroy_bridge"):
            self.of_bridges.discard(bridge)
            self.tones = {playback: to for playback, to in self.tones.items() if to != bridge}
            for name in self.inside(bridge):
                self.there[name].bridge = ""

    async def add(self, bridge: str, channel: str, *, absorb_dtmf: bool = False) -> None:
        """Put a channel into a bridge."""
        async with Step(self, "add"):
            chan = self._in_app(bridge, channel)
            chan.bridge, chan.absorbs = bridge, absorb_dtmf

    async def take_out(self, bridge: str, channel: str) -> None:
        """Take a channel out of a bridge."""
        async with Step(self, "take_out"):
            self._in_app(bridge, channel).bridge = ""


class FakeAmi:
    """AMI's part of supervision, see `ctid_asterisk.parts.Ami`."""

    def __init__(self, pbx: FakePbx) -> None:
        self._pbx = pbx

    async def blind_transfer(self, channel: str, session: SupervisionId) -> None:
        """The customer goes to the take-over context, the agent is released."""
        assert session
        async with Step(self._pbx, "blind_transfer", PbxRefused("no")):
            if channel not in self._pbx.there or CUSTOMER not in self._pbx.there:
                raise PbxRefused("no such channel")
            self._pbx.move(channel)

    async def set_variable(self, channel: str, name: str, value: str) -> None:
        """AMI's Setvar."""
        async with Step(self._pbx, "setvar", SupervisionRefused("call_ended", "no")):
            if channel not in self._pbx.there:
                raise SupervisionRefused("call_ended", "no such channel")
            self._pbx.there[channel].variables[name] = value

    async def hang_up(self, channel: str) -> None:
        """AMI's Hangup; a channel that is gone is hung up."""
        async with Step(self._pbx, "hang_up_by_ami", PbxUnavailable("no")):
            self._pbx.destroy(channel)

    def name_of(self, channel: str) -> str:
        """A channel's full name."""
        return full_name(channel) if channel in self._pbx.there else channel

    async def together(self, first: str, second: str, within_s: float) -> bool:
        """Wait until two channels are in one bridge, or one of them has gone."""
        loop = asyncio.get_running_loop()
        end, seen = loop.time() + within_s, set[str]()
        while True:
            here = {first, second} & set(self._pbx.there)
            seen |= here
            bridges = {self._pbx.there[name].bridge for name in here}
            if len(here) == 2 and len(bridges) == 1 and bridges != {""}:
                return True
            if seen - here or loop.time() >= end:
                return False
            await asyncio.sleep(0)

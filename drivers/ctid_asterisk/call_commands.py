"""Acts on calls: hang up, transfer, move up, record, flag, dial, and a text to a phone.

Each returns once Asterisk has accepted it; that it is so, the events tell. Source: Asterisk 22,
main/manager.c, main/manager_bridges.c, apps/app_queue.c, apps/app_mixmonitor.c, res/res_pjsip_messaging.c.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import assert_never

import structlog

from ctid.model.capabilities import Capability
from ctid.model.commands import (
    CallCommand,
    DialForAgent,
    FlagCall,
    HangUpLegs,
    PauseRecording,
    PrioritizeCaller,
    SendMessage,
    StartRecording,
    StopRecording,
    TransferCall,
)
from ctid.model.errors import AgentRefused, CallRefused, PbxRefused, PbxUnavailable
from ctid.model.ids import LegId, QueueId
from ctid_asterisk import actions
from ctid_asterisk.act_events import FLAGS, RECORDING, has_flag
from ctid_asterisk.actions import Action
from ctid_asterisk.ari import Ari, AriError, AriLost
from ctid_asterisk.channel import Channel
from ctid_asterisk.channels import Channels
from ctid_asterisk.fields import natural
from ctid_asterisk.outs import Reply
from ctid_asterisk.queue_places import Entry, moves
from ctid_asterisk.roster import Roster
from ctid_asterisk.wire import EncodeError

log = structlog.get_logger(__name__)

Act = Callable[[Callable[[], Action]], Awaitable[Reply]]

GONE = "No such channel"
MOST_RECORDINGS = 8
"""Of one channel: FreePBX's, an applicationmap's, ctid's; more would be somebody's mistake."""
CLASSES = {
    "MixMonitor": "system",
    "MessageSend": "message",
    "Hangup": "call",
    "Redirect": "call",
    "BlindTransfer": "call",
    "Setvar": "call",
    "Getvar": "call",
    "StopMixMonitor": "call",
    "MixMonitorMute": "call",
}
"""What the AMI user needs among its `write` for an action (Asterisk 22, ast_manager_register)."""
_NEEDS = {
    Capability.CALL_COMMANDS: {"hangup", "blindtransfer", "redirect", "getvar", "setvar"},
    Capability.PRIORITIZE: {"queuechangeprioritycaller"},
    Capability.RECORD: {"mixmonitor", "stopmixmonitor", "mixmonitormute"},
    Capability.MESSAGE: {"messagesend"},
}
"""The actions that an ability is made of."""


class CallCommands:
    """Carries them out on one connection: `act` sends an action, `channels` are those there are now.

    `ari` makes calls; none where it is not configured. `look_again` takes a snapshot.
    """

    def __init__(
        self,
        act: Act,
        roster: Roster,
        *,
        channels: Callable[[], Channels],
        ari: Ari | None,
        look_again: Callable[[], Awaitable[None]],
    ) -> None:
        self._act = act
        self._roster = roster
        self._channels = channels
        self._ari = ari
        self._look_again = look_again
        self.abilities: frozenset[Capability] = frozenset()
        """What this Asterisk and this AMI user can do, once `learn` has asked."""

    async def learn(self) -> None:
        """Ask which actions there are, and which of them the user may take. Raises as `act`."""
        reply = await self._act(actions.list_commands)
        there = reply.response.fields.keys() if reply.ok else frozenset[str]()
        self.abilities = frozenset(ability for ability, needed in _NEEDS.items() if needed <= there)
        missing = sorted(_NEEDS.keys() - self.abilities)
        if missing:
            log.info("acts on calls that this PBX or its AMI user does not allow", missing=missing)

    async def close(self) -> None:
        """End what was opened; idempotent."""
        if self._ari is not None:
            await self._ari.close()

    async def execute(self, command: CallCommand) -> None:
        """Carry out a command.

        Raises:
            CallRefused, AgentRefused: the call, or her phone, is not so that it can be done.
            PbxRefused: the PBX will not, or something in the command cannot be said to it.
            PbxUnavailable, PbxTimeout: as for every action.
        """
        match command:
            case HangUpLegs():
                await self._hang_up(command)
            case TransferCall():
                await self._transfer(command)
            case PrioritizeCaller():
                await self._prioritize(command)
            case StartRecording():
                await self._record(command)
            case StopRecording():
                await self._stop(command)
            case PauseRecording():
                await self._pause(command)
            case FlagCall():
                await self._flag(command)
            case DialForAgent():
                await self._dial(command)
            case SendMessage():
                await self._send(command)
            case _:
                assert_never(command)

    # Moving calls ---------------------------------------------------------------------------------

    async def _hang_up(self, command: HangUpLegs) -> None:
        for channel in self._known(command.legs):
            reply = await self._act(partial(actions.hangup, channel.name))
            if reply.text != GONE:
                _check(reply, "Hangup", f"hang up {channel.name}")

    async def _transfer(self, command: TransferCall) -> None:
        channels = self._channels()
        caller = channels.by_id.get(command.leg)
        near = command.leg if command.agent is None else channels.far_end(command.leg, command.agent)
        moved = channels.by_id.get(near or "")
        if caller is None or moved is None:
            raise CallRefused("ended", "the two no longer talk: look at the call again")
        where = {"exten": command.number, "context": command.context}
        # Asterisk accepts a transfer to where nothing is, and then drops whom it has moved.
        known = await self._act(lambda: actions.dialplan_exists(**where, channel=caller.name))
        _check(known, "Getvar", "say what is in its dialplan (it needs func_dialplan.so)")
        if known.response.get("Value") != "1":
            raise PbxRefused(
                f"the PBX has no {command.number} in the dialplan context {command.context!r}: see `context` "
                "under [calls] in ctid.toml"
            )
        if command.agent is None:
            reply = await self._act(lambda: actions.redirect(moved.name, **where))
            _check(reply, "Redirect", f"move {moved.name}")
        else:
            reply = await self._act(lambda: actions.blind_transfer(moved.name, **where))
            _check(reply, "BlindTransfer", f"transfer {caller.name}")

    async def _prioritize(self, command: PrioritizeCaller) -> None:
        queue = self._roster.queue_name(command.queue)
        if queue is None:
            raise PbxRefused(f"the PBX has no queue {command.queue!r}")
        entries = await self._waiting(queue, command.queue)
        try:
            planned = moves(entries, self._who_waits(entries, command.leg), command.position)
        except KeyError as error:
            raise CallRefused("not_waiting", f"the caller no longer waits in {queue}") from error
        for name, priority in planned:
            reply = await self._act(partial(actions.queue_change_priority, queue, name, priority))
            _check(reply, "QueueChangePriorityCaller", f"move a caller of {queue} up")
        if not planned:
            return
        now = await self._waiting(queue, command.queue)
        who = self._who_waits(now, command.leg)
        place = next((at for at, entry in enumerate(now, 1) if entry.unique == who), None)
        if place is not None and place > command.position:
            raise PbxRefused(
                f"the PBX has taken the priority, and left the caller at position {place}: this Asterisk "
                "orders by it only who comes later (20.5 and later move at once)"
            )
        await self._look_again()  # no event tells of a place

    async def _waiting(self, queue: str, ident: QueueId) -> list[Entry]:
        reply = await self._act(lambda: actions.queue_status(queue))
        _check(reply, "QueueStatus", f"list who waits in {ident}")
        items = [item.fields for item in reply.items if item.name == "QueueEntry"]
        return [
            Entry(fields["uniqueid"], fields["channel"], natural(fields.get("priority", "")) or 0)
            for fields in sorted(items, key=lambda fields: natural(fields["position"]) or 0)
        ]

    def _who_waits(self, entries: Iterable[Entry], leg: LegId) -> str:
        """The channel that waits for a party: hers, or a Local half."""
        behind = self._channels().party_behind
        return next((entry.unique for entry in entries if behind(entry.unique) == leg), leg)

    # Recording, flags -----------------------------------------------------------------------------

    async def _record(self, command: StartRecording) -> None:
        channel = self._channels().by_id.get(command.leg)
        if channel is None:
            raise CallRefused("ended", "the agent has left the call")
        if channel.private or channel.objected:
            raise CallRefused("private" if channel.private else "objected", "the call is not to be recorded")
        if channel.standing:
            # It would go on through her next calls.
            raise CallRefused(
                "not_possible", "an agent who is logged in by a standing call (AgentLogin) cannot be recorded"
            )
        reply = await self._act(lambda: actions.mix_monitor(channel.name, command.file))
        _check(reply, "MixMonitor", f"record {channel.name}")
        await self._keep(channel, RECORDING, "on")

    async def _stop(self, command: StopRecording) -> None:
        for channel in self._around(command.legs):
            stopped = 0
            while stopped < MOST_RECORDINGS:
                reply = await self._act(partial(actions.stop_mix_monitor, channel.name))
                if not reply.ok:
                    # It has none, or none any more; or the user may not.
                    if reply.text == "Permission denied":
                        _check(reply, "StopMixMonitor", f"stop recording {channel.name}")
                    break
                stopped += 1
            if stopped or channel.recordings:  # the latter: taken for recorded, and is not
                await self._keep(channel, RECORDING, "off")

    async def _pause(self, command: PauseRecording) -> None:
        recorded = [channel for channel in self._around(command.legs) if channel.recordings]
        if not recorded:
            raise CallRefused("not_recorded", "nothing of this call is being recorded")
        for channel in recorded:
            reply = await self._act(partial(actions.mix_monitor_mute, channel.name, muted=command.paused))
            _check(reply, "MixMonitorMute", f"pause the recording of {channel.name}")
            await self._keep(channel, RECORDING, "paused" if command.paused else "on")

    async def _flag(self, command: FlagCall) -> None:
        variable = next(name for name, flag in FLAGS.items() if flag is command.flag)
        kept = False
        for channel in self._known(command.legs):
            if channel.standing:
                continue  # it outlives the call
            if not has_flag(channel, command.flag):
                kept = await self._keep(channel, variable, "1") or kept
            else:
                kept = True
        if not kept:
            raise CallRefused("ended", "none of the call's parties is there any more")

    async def _keep(self, channel: Channel, variable: str, value: str) -> bool:
        """Keep something with a channel; false when it is gone."""
        reply = await self._act(partial(actions.setvar, variable, value, channel=channel.name))
        if not reply.ok and reply.text == GONE:
            return False
        _check(reply, "Setvar", f"set {variable} of {channel.name}")
        return True

    def _known(self, legs: Iterable[LegId]) -> Iterator[Channel]:
        known = self._channels().by_id
        for leg in legs:
            channel = known.get(leg)
            if channel is not None:
                yield channel

    def _around(self, legs: Sequence[LegId]) -> list[Channel]:
        """The channels of these legs, and the Local halves through which they talk."""
        channels = self._channels()
        uniques: dict[str, None] = {}
        for leg in legs:
            if leg in channels.by_id:
                uniques[leg] = None
                uniques.update(dict.fromkeys(channels.conversation(channels.by_id[leg])[1]))
        found = [channels.by_id[unique] for unique in uniques]
        asked: set[str] = set(legs)
        return [
            channel for channel in found if channel.unique in asked or not (channel.party or channel.ours)
        ]

    # Calls and texts ------------------------------------------------------------------------------

    async def _dial(self, command: DialForAgent) -> None:
        if self._ari is None:
            raise PbxUnavailable("calls are made by Asterisk's ARI: see [pbx.ari] in ctid.toml")
        known = self._roster.interface(command.agent)
        address = command.address or known or (f"PJSIP/{command.device}" if command.device else "")
        if not address:
            raise AgentRefused(
                "phone_unreachable", f"it is not known by which phone {command.agent} is reached"
            )
        try:
            place = actions.dial_place(address, command.number, command.context)
        except EncodeError as error:
            raise PbxRefused(f"that cannot be dialled: {error}") from error
        try:
            await self._ari.dial(command.leg, place, ring_s=command.ring_s, caller_id=command.agent)
        except AriError as error:
            raise AgentRefused(
                "phone_unreachable", f"the PBX cannot ring {command.agent}: {error.message}"
            ) from error
        except AriLost as error:
            raise PbxUnavailable(f"Asterisk's ARI does not answer: {error}") from error

    async def _send(self, command: SendMessage) -> None:
        reply = await self._act(lambda: actions.message_send(command.device, command.text, command.sender))
        _check(reply, "MessageSend", f"send a text to {command.device}")


def _check(reply: Reply, action: str, what: str) -> None:
    """Raises PbxRefused: the PBX did not accept it."""
    if reply.ok:
        return
    cure = ""
    if reply.text == "Permission denied" and action in CLASSES:
        cure = (
            f"; the AMI user needs `{CLASSES[action]}` among its `write` (see manager.ctid.conf), "
            "then ctid has to log in again"
        )
    raise PbxRefused(f"the PBX refused to {what}: {reply.text}{cure}")

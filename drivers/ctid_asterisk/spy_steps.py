"""What AMI makes a supervisor's phone do where there is no ARI: single steps, without a session's order."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from ctid.model.errors import CtidError, PbxRefused
from ctid.model.ids import SupervisionId
from ctid_asterisk import actions
from ctid_asterisk.actions import Action
from ctid_asterisk.outs import Reply
from ctid_asterisk.spy_session import SpySession
from ctid_asterisk.spying import NOTICE, OPTIONS, TARGET, VARIABLES, pack

log = structlog.get_logger(__name__)

CALLER = '"Supervision" <ctid>'
"""Her phone may be diverted: whom she listens to is not for its display."""
NEEDED = frozenset({"originate", "redirect", "muteaudio", "setvar", "getvar", "hangup", "blindtransfer"})
"""The actions without which nobody can be supervised."""

Act = Callable[[Callable[[], Action]], Awaitable[Reply]]


class SpySteps:
    """Each step is one action or two; a refusal is raised. `context` is that of the shipped dialplan."""

    def __init__(self, act: Act, context: str) -> None:
        self._act = act
        self._context = context

    async def missing(self) -> frozenset[str]:
        """Those of the actions `NEEDED` that ctid's user may not send, in lower case."""
        reply = await self._act(actions.list_commands)
        return NEEDED - reply.response.fields.keys() if reply.ok else NEEDED

    async def ring(self, session: SpySession, address: str, ring_s: float) -> None:
        """Have her phone rung; as it is answered, she waits. Raises EncodeError: it is not one phone."""
        await self.dial(
            session.phone,
            actions.phone(address),
            self._context,
            session.supervision.id,
            ring_s,
            pack(session.record),
            CALLER,
        )

    async def dial(
        self,
        channel: str,
        address: str,
        context: str,
        exten: SupervisionId,
        ring_s: float,
        variables: Mapping[str, str],
        caller: str = "",
    ) -> None:
        """Ring an address; when it answers, it enters the dialplan."""
        reply = await self._act(
            lambda: actions.originate(
                address,
                context=context,
                exten=exten,
                channel_id=channel,
                ring_s=ring_s,
                caller=caller,
                variables=variables,
            )
        )
        if not reply.ok:
            raise PbxRefused(
                f"the PBX refused to ring {address}: {reply.text}. Without ARI ctid's AMI user needs the "
                "class originate: see manager.ctid-no-ari.conf"
            )

    async def spy(self, session: SpySession, target: str, options: str) -> None:
        """Send her to listen to a channel."""
        await self.set_variables(session.phone, {TARGET: target, OPTIONS: options})
        await self._send(session.phone, "spy")

    async def wait(self, session: SpySession) -> None:
        """Send her to where she waits."""
        await self._send(session.phone, "wait")

    async def _send(self, phone: str, exten: str) -> None:
        reply = await self._act(lambda: actions.redirect(phone, exten=exten, context=self._context))
        if not reply.ok:
            raise PbxRefused(f"the PBX refused to send her on to {exten!r}: {reply.text}")

    async def press(self, session: SpySession, key: str) -> None:
        """Have her channel receive a key."""
        reply = await self._act(lambda: actions.receive_key(session.phone, key))
        if not reply.ok:
            raise PbxRefused(f"the PBX refused a key: {reply.text}")

    async def mute(self, session: SpySession, *, on: bool) -> None:
        """Drop, or let pass, what she says."""
        reply = await self._act(lambda: actions.mute(session.phone, on=on))
        if not reply.ok:
            raise PbxRefused(f"the PBX refused to {'mute' if on else 'unmute'} her: {reply.text}")

    async def keep(self, session: SpySession) -> None:
        """Write the session's record to the PBX, for a ctid that starts anew; a failure is logged."""
        try:
            await self.set_variables(session.phone, pack(session.record))
        except CtidError as error:
            log.warning(
                "session not noted on the PBX", supervision=session.supervision.id, reason=error.detail
            )

    async def set_variables(self, channel: str, values: Mapping[str, str]) -> None:
        """Set variables of a channel of ours; raises `PbxRefused` when it is gone."""
        replies = await asyncio.gather(
            *[
                self._act(lambda n=name, v=value: actions.setvar(n, v, channel=channel))  # type: ignore[misc]
                for name, value in values.items()
            ]
        )
        for reply in replies:
            if not reply.ok:
                raise PbxRefused(f"her channel is no longer there: {reply.text}")

    async def pieces(self, channel: str) -> Sequence[str]:
        """The pieces of the record that a channel holds."""
        return [await self._variable(channel, name) for name in VARIABLES]

    async def packets(self, channel: str) -> tuple[int, int] | None:
        """How many RTP packets have come from and gone to a channel; none when it has no RTP of its own."""
        came = await self._variable(channel, "CHANNEL(rtcp,rxcount)")
        went = await self._variable(channel, "CHANNEL(rtcp,txcount)")
        return (int(came), int(went)) if came.isdecimal() and went.isdecimal() else None

    async def _variable(self, channel: str, name: str) -> str:
        reply = await self._act(lambda: actions.getvar(channel, name))
        return reply.response.fields.get("value", "") if reply.ok else ""

    async def channels(self) -> Sequence[Mapping[str, str]]:
        """All channels, as CoreShowChannels lists them."""
        reply = await self._act(actions.core_show_channels)
        if not reply.ok:
            raise PbxRefused(f"the PBX does not list its channels: {reply.text}")
        return [item.legible for item in reply.items]

    async def whisper(self, target: str, first: str, second: str) -> None:
        """Sound the notice to a channel: by a Local channel whose halves get these ids."""
        reply = await self._act(
            lambda: actions.originate(
                f"Local/tone@{self._context}/n",
                context=self._context,
                exten="whisper",
                channel_id=first,
                other_channel_id=second,
                ring_s=2.0,
                variables={TARGET: target},
            )
        )
        if not reply.ok:
            raise PbxRefused(f"the PBX refused the notice: {reply.text}")

    def notice_of(self, fields: Mapping[str, str]) -> tuple[str, str] | None:
        """The channel and Playback's word of a `VarSet` that tells of a notice; none of another."""
        if fields.get("variable") != NOTICE:
            return None
        return fields.get("uniqueid", ""), fields.get("value", "")

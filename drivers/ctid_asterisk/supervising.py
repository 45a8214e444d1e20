"""Supervision of one Asterisk: ARI's link, and the part of its commands that goes over AMI."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import assert_never

import structlog

from ctid.model.capabilities import Capability
from ctid.model.commands import (
    EndSupervision,
    FollowSupervision,
    GiveNotice,
    HandBack,
    KeepSupervision,
    StartSupervision,
    SupervisionCommand,
    SwitchSupervision,
    TakeOver,
)
from ctid.model.entities import Supervision
from ctid.model.errors import PbxRefused, PbxUnavailable, SupervisionRefused
from ctid.model.facts import KeyPressed, SupervisionChanged
from ctid.model.ids import AgentId, PbxId, SupervisionId
from ctid.model.words import Mode
from ctid.ports import Clock
from ctid.tasks import TaskOwner
from ctid_asterisk import actions, versions
from ctid_asterisk.actions import Action
from ctid_asterisk.alone import Alone
from ctid_asterisk.ari import Ari, AriError, AriLost
from ctid_asterisk.channels import Channels
from ctid_asterisk.conductor import Conductor, HandingOver
from ctid_asterisk.handover import Handover
from ctid_asterisk.outs import Reply
from ctid_asterisk.settings import Settings
from ctid_asterisk.stage import Stage
from ctid_asterisk.wire import Message

log = structlog.get_logger(__name__)

_BY_ARI = frozenset(
    {
        Capability.SUPERVISE,
        Capability.TAKE_OVER,
        Capability.HAND_BACK,
        Capability.PIN,
        Capability.HEAR_CUSTOMER,
        Capability.NOTICE_TONE,
        Capability.DIAL,
    }
)

ARI_AGAIN_S = 2.0
ARI_REPLACED_S = 30.0
"""After another program took the application's name."""


class Supervising:
    """Keeps ARI connected for as long as AMI is, and carries out the commands of supervision.

    `act` sends an AMI action and waits for its whole answer, `channels` are those there are now, `address_of`
    is what Asterisk dials to reach an agent, `tell` hands a fact on. `is_told` says whether the first
    snapshot is; once it is, `want_snapshot` asks for one. A connection that only `watches` leaves sessions to
    the one that has them.
    """

    def __init__(
        self,
        pbx: PbxId,
        settings: Settings,
        clock: Clock,
        tasks: TaskOwner,
        *,
        act: Callable[[Callable[[], Action]], Awaitable[Reply]],
        channels: Callable[[], Channels],
        address_of: Callable[[AgentId], str | None],
        tell: Callable[[SupervisionChanged | KeyPressed], None],
        is_told: Callable[[], bool],
        want_snapshot: Callable[[], None],
        on_failure: Callable[[BaseException], None],
        watches: bool = False,
    ) -> None:
        self.version = ""
        """Asterisk's, once it is known."""
        self._pbx = pbx
        self._settings = settings
        self._clock = clock
        self._tasks = tasks
        self._act = act
        self._channels = channels
        self._address_of = address_of
        self._tell = tell
        self._is_told = is_told
        self._want_snapshot = want_snapshot
        self._on_failure = on_failure
        self._stage: Stage | None = None
        self._last_stage: Stage | None = None
        self._handover: Handover | None = None
        self._watched: dict[asyncio.Future[bool], Callable[[], bool | None]] = {}
        """Who waits for something of the channels; none says that it is not decided yet."""
        self._alone: Alone | None = None
        """What carries supervisors where ARI is not configured."""
        if settings.ari is None and not watches:
            self._alone = Alone(
                pbx, settings, clock, act=act, ami=self, channels=channels, tell=tell, on_failure=on_failure
            )

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What can be asked of it now."""
        if self._stage is not None:
            return _BY_ARI
        return self._alone.capabilities if self._alone is not None else frozenset()

    async def open(self) -> None:
        """Without ARI: see what is possible, and find the sessions that the PBX holds."""
        if self._alone is not None:
            await self._alone.open(self.version)

    async def close(self) -> None:
        """End what is going on; the sessions stay on the PBX."""
        if self._alone is not None:
            await self._alone.close()

    def sessions(self) -> Sequence[Supervision] | None:
        """The sessions that are known; while ARI is away, those of before, which go on without us.

        None: ARI has not answered yet, and there may be some.
        """
        if self._settings.ari is None:
            return self._alone.sessions() if self._alone is not None else ()
        return self._last_stage.supervisions() if self._last_stage is not None else None

    async def keep(self, found: asyncio.Event) -> None:
        """Keep ARI connected for as long as AMI is; log both edges once."""
        settings = self._settings.ari
        assert settings is not None, "only started with ARI configured"  # noqa: S101 - a mistake of ours
        told = ""
        while True:
            ari = Ari(settings.url, settings.username, settings.password, settings.app)
            stage = Stage(ari, self, self._clock, self._tell, self._on_failure)
            try:
                await ari.open()
                events = self._tasks.spawn(f"{self._pbx}/ari/events", self._follow(stage))
                await stage.recover(self.sessions() or ())
                late = self._last_stage is None and self._is_told()
                self._stage = self._last_stage = stage
                self._handover = Handover(stage, self._clock, self._settings.handback_context)
                if late:
                    self._want_snapshot()  # the first one could not tell which sessions there are
                log.info("ari link up", pbx=self._pbx)
                told = ""
                found.set()
                await asyncio.wait([events])
                reason = "the event socket ended"
            except (AriError, AriLost) as error:
                reason = str(error)
            finally:
                self._stage = None
                await stage.close()
                await ari.close()
            if reason != told:
                log.warning("ari link down: nobody can be supervised", pbx=self._pbx, reason=reason)
                told = reason
            found.set()  # the floor need not wait for it any longer
            await asyncio.sleep(ARI_REPLACED_S if stage.replaced else ARI_AGAIN_S)

    async def _follow(self, stage: Stage) -> None:
        try:
            await stage.run()
        except AriLost as error:
            log.info("ari events end", pbx=self._pbx, reason=str(error))

    async def execute(self, command: SupervisionCommand) -> None:
        """Carry out a command; see `ctid.ports.Connection`."""
        stage, handover = self._conductors()
        match command:
            case StartSupervision():
                self._refuse_harm(command.supervision.mode)
                await stage.start(command)
            case SwitchSupervision():
                self._refuse_harm(command.mode)
                await stage.switch(command)
            case TakeOver():
                channels = self._channels()
                near = channels.far_end(command.customer, command.agent)
                agent = channels.by_id.get(command.agent)
                customer = channels.by_id.get(command.customer)
                if near is None or agent is None or customer is None:
                    raise SupervisionRefused("call_ended", "agent and customer no longer talk")
                back = agent.name.rpartition("-")[0]
                await handover.take_over(command, near, back, customer.queue or "")
            case HandBack():
                await self.check_context(self._settings.handback_context)
                address = command.address or self._address_of(command.agent)
                if address is None:
                    raise SupervisionRefused(
                        "agent_unreachable",
                        f"nobody knows what to dial for agent {command.agent}: set [[agent]] address",
                    )
                await handover.hand_back(command, address)
            case FollowSupervision():
                self._refuse_harm(command.supervision.mode)
                await stage.follow(command)
            case KeepSupervision():
                await stage.keep(command)
            case GiveNotice():
                await stage.give_notice(command)
            case EndSupervision():
                await stage.end(command)
            case _:
                assert_never(command)

    def _conductors(self) -> tuple[Conductor, HandingOver]:
        if self._alone is not None and self._alone.ready:
            return self._alone.spies, self._alone.handover
        if self._stage is None or self._handover is None:
            raise PbxUnavailable(
                "supervision needs Asterisk's ARI, which is not connected: see [pbx.ari] in ctid.toml"
            )
        return self._stage, self._handover

    def _faults(self, mode: Mode) -> Sequence[versions.Fault]:
        return () if self._settings.allow_known_bad else versions.refusals(self.version, mode)

    def _refuse_harm(self, mode: Mode) -> None:
        """Refuse a mode that this version is known to do harm in. Raises SupervisionRefused."""
        for fault in self._faults(mode):
            raise SupervisionRefused(
                "mode_not_possible",
                f"{mode} is refused on Asterisk {self.version}: {fault.what} ({fault.source}). "
                f"{fault.cure[0].upper()}{fault.cure[1:]}, or set allow_known_bad = true in [[pbx]]",
            )

    async def check_context(self, context: str) -> None:
        """See that a dialplan context is there. Raises PbxRefused."""
        known = await self._act(lambda: actions.show_dialplan(context))
        if not known.ok or not known.items:
            raise PbxRefused(
                f"the PBX has no dialplan context {context!r}: include ctid's extensions.ctid.conf in "
                "extensions.conf, and reload the dialplan"
            )

    # AMI's part, see `parts.Ami` ------------------------------------------------------------------

    async def blind_transfer(self, channel: str, session: SupervisionId) -> None:
        """Have the party that `channel` talks with leave for the take-over context. Raises CtidError."""
        # Asterisk accepts a transfer to a context that does not exist, and then drops the customer.
        context = self._settings.takeover_context
        await self.check_context(context)
        reply = await self._act(
            lambda: actions.blind_transfer(self.name_of(channel), exten=session, context=context)
        )
        if not reply.ok:
            raise PbxRefused(f"the PBX refused to move the customer: {reply.text}")

    async def set_variable(self, channel: str, name: str, value: str) -> None:
        """Set a channel's variable; raises `SupervisionRefused` when the channel is gone."""
        reply = await self._act(lambda: actions.setvar(name, value, channel=self.name_of(channel)))
        if not reply.ok:
            raise SupervisionRefused("call_ended", f"the customer is no longer there: {reply.text}")

    async def hang_up(self, channel: str) -> None:
        """Hang up a channel of ours, or one that is gone already."""
        reply = await self._act(lambda: actions.hangup(self.name_of(channel)))
        if not reply.ok and reply.text != "No such channel":
            raise PbxRefused(f"the PBX refused to hang up {channel}: {reply.text}")

    def name_of(self, channel: str) -> str:
        """A channel's full name: its unique id may have been chosen by somebody, and look like anything."""
        known = self._channels().by_id.get(channel)
        return known.name if known is not None else channel

    async def together(self, first: str, second: str, within_s: float) -> bool:
        """Wait until two channels are in one bridge; false when they are not by then, or one has gone."""
        seen: set[str] = set()

        def decided() -> bool | None:
            by_id = self._channels().by_id
            seen.update(unique for unique in (first, second) if unique in by_id)
            if any(unique not in by_id for unique in seen):
                return False
            if len(seen) < 2 or by_id[first].bridge is None:
                return None
            return by_id[first].bridge == by_id[second].bridge or None

        answer = decided()
        if answer is not None or within_s <= 0:
            return bool(answer)
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._watched[future] = decided
        try:
            async with asyncio.timeout(within_s):
                return await future
        except TimeoutError:
            return False
        finally:
            del self._watched[future]

    def lost(self, reason: BaseException) -> None:
        """The link is lost."""
        if self._alone is not None:
            self._alone.lost(reason)

    def heard(self, message: Message) -> None:
        """Something came from the PBX: tell those who wait for the channels to be otherwise."""
        if self._alone is not None:
            self._alone.heard(message)
        for future, decided in self._watched.items():
            answer = None if future.done() else decided()
            if answer is not None:
                future.set_result(answer)

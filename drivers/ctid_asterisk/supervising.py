"""Supervision of one Asterisk: ARI's link, and the part of its commands that goes over AMI."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import assert_never

import msgspec
import structlog

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
from ctid.model.facts import SupervisionChanged
from ctid.model.ids import PbxId, SupervisionId
from ctid.model.words import Mode
from ctid.ports import Clock
from ctid.tasks import TaskOwner
from ctid_asterisk import actions, versions
from ctid_asterisk.actions import Action
from ctid_asterisk.ari import Ari, AriError, AriLost
from ctid_asterisk.channels import Channels
from ctid_asterisk.outs import Reply
from ctid_asterisk.settings import Settings
from ctid_asterisk.supervise import Stage

log = structlog.get_logger(__name__)

ARI_AGAIN_S = 2.0
ARI_REPLACED_S = 30.0
"""After another program took the application's name."""


class Supervising:
    """Keeps ARI connected for as long as AMI is, and carries out the commands of supervision.

    `act` sends an AMI action and waits for its whole answer, `channels` are those there are now, `tell`
    hands a fact on. `is_told` says whether the first snapshot is; once it is, `want_snapshot` asks for one.
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
        tell: Callable[[SupervisionChanged], None],
        is_told: Callable[[], bool],
        want_snapshot: Callable[[], None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self.version = ""
        """Asterisk's, once it is known."""
        self._pbx = pbx
        self._settings = settings
        self._clock = clock
        self._tasks = tasks
        self._act = act
        self._channels = channels
        self._tell = tell
        self._is_told = is_told
        self._want_snapshot = want_snapshot
        self._on_failure = on_failure
        self._stage: Stage | None = None
        self._last_stage: Stage | None = None

    @property
    def ready(self) -> bool:
        """Somebody can be supervised now."""
        return self._stage is not None

    def sessions(self) -> Sequence[Supervision] | None:
        """The sessions that are known; while ARI is away, those of before, which go on without us.

        None: ARI has not answered yet, and there may be some.
        """
        if self._settings.ari is None:
            return ()
        return self._last_stage.supervisions() if self._last_stage is not None else None

    async def keep(self, found: asyncio.Event) -> None:
        """Keep ARI connected for as long as AMI is; log both edges once."""
        settings = self._settings.ari
        assert settings is not None, "only started with ARI configured"  # noqa: S101 - a mistake of ours
        told = ""
        while True:
            ari = Ari(settings.url, settings.username, settings.password, settings.app)
            stage = Stage(
                ari,
                self._clock,
                self._tell,
                self._blind_transfer,
                self._set_variable,
                self._hang_up,
                self._on_failure,
            )
            try:
                await ari.open()
                events = self._tasks.spawn(f"{self._pbx}/ari/events", self._follow(stage))
                await stage.recover(self.sessions() or ())
                late = self._last_stage is None and self._is_told()
                self._stage = self._last_stage = stage
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
        stage = self._stage
        if stage is None:
            raise PbxUnavailable(
                "supervision needs Asterisk's ARI, which is not connected: see [pbx.ari] in ctid.toml"
            )
        match command:
            case StartSupervision():
                self._refuse_harm(command.supervision.mode)
                await stage.start(self._without_harm(command))
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
                await stage.take_over(command, near, back, customer.queue or "")
            case EndSupervision():
                await stage.end(command)
            case FollowSupervision() | KeepSupervision() | HandBack() | GiveNotice():
                raise SupervisionRefused("mode_not_possible", "this PBX's driver cannot do that")
            case _:
                assert_never(command)

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

    def _without_harm(self, command: StartSupervision) -> StartSupervision:
        """The command without the keys that would switch to such a mode."""
        keys = {key: mode for key, mode in command.keys.items() if not self._faults(mode)}
        return msgspec.structs.replace(command, keys=keys)

    async def _blind_transfer(self, channel: str, session: SupervisionId) -> None:
        # Asterisk accepts a transfer to a context that does not exist, and then drops the customer.
        known = await self._act(lambda: actions.show_dialplan(self._settings.takeover_context))
        if not known.ok or not known.items:
            raise PbxRefused(
                f"the PBX has no dialplan context {self._settings.takeover_context!r}: include ctid's "
                "extensions.ctid.conf in extensions.conf, and reload the dialplan"
            )
        context = self._settings.takeover_context
        reply = await self._act(
            lambda: actions.blind_transfer(self._name(channel), exten=session, context=context)
        )
        if not reply.ok:
            raise PbxRefused(f"the PBX refused to move the customer: {reply.text}")

    async def _set_variable(self, channel: str, name: str, value: str) -> None:
        reply = await self._act(lambda: actions.setvar(name, value, channel=self._name(channel)))
        if not reply.ok:
            raise SupervisionRefused("call_ended", f"the customer is no longer there: {reply.text}")

    async def _hang_up(self, channel: str) -> None:
        """Hang up a channel of ours, or one that is gone already."""
        reply = await self._act(lambda: actions.hangup(self._name(channel)))
        if not reply.ok and reply.text != "No such channel":
            raise PbxRefused(f"the PBX refused to hang up {channel}: {reply.text}")

    def _name(self, unique: str) -> str:
        """A channel's full name: its unique id may have been chosen by somebody, and look like anything."""
        channel = self._channels().by_id.get(unique)
        return channel.name if channel is not None else unique

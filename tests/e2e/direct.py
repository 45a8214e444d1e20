"""The driver itself, without the daemon around it: a connection, what it tells, and commands to it."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec.structs import replace

from ctid.clock import SystemClock
from ctid.model.commands import (
    EndSupervision,
    FollowSupervision,
    StartSupervision,
    SwitchSupervision,
    TakeOver,
)
from ctid.model.entities import Supervision
from ctid.model.facts import Fact, KeyPressed, LegChanged, LegEnded, Snapshot, SupervisionChanged
from ctid.model.ids import AgentId, CallId, LegId, PbxId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import Hear, Mode, Purpose, Scope, SupervisionState
from ctid.ports import Connection
from ctid.tasks import TaskOwner
from ctid_asterisk.driver import AsteriskDriver
from helpers.patience import until
from lab.rig import Rig

PBX = PbxId("lab")
_serial = itertools.count(1)


class Direct:
    """One connection; `sessions` and `legs` are as it told them last, `keys` those of supervisors."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.sessions: dict[SupervisionId, Supervision] = {}
        self.legs: dict[str, LegId] = {}
        self.keys: list[str] = []
        self.is_told = False

    async def follow(self) -> None:
        """Take all facts, until the connection ends."""
        async for facts in self.connection.facts():
            for fact in facts:
                self._take(fact)

    def _take(self, fact: Fact) -> None:
        match fact:
            case Snapshot():
                self.legs = {leg.device: leg.id for leg in fact.legs if leg.device is not None}
                self.sessions = {session.id: session for session in fact.supervisions or ()}
                self.is_told = True
            case LegChanged():
                if fact.leg.device is not None:
                    self.legs[fact.leg.device] = fact.leg.id
            case LegEnded():
                self.legs = {device: leg for device, leg in self.legs.items() if leg != fact.leg}
            case SupervisionChanged():
                self.sessions[fact.supervision.id] = fact.supervision
            case KeyPressed():
                self.keys.append(fact.key)
            case _:
                pass

    async def leg_of(self, device: str) -> LegId:
        """The leg of a phone, once there is one."""
        await until(lambda: device in self.legs, what=f"{device} has a leg")
        return self.legs[device]

    async def start(
        self,
        mode: Mode = Mode.LISTEN,
        *,
        agent: str | None = "1001",
        phone: str = "2001",
        scope: Scope = Scope.AGENT,
    ) -> SupervisionId:
        """Begin a session at an agent's side, or (none) one that waits."""
        now = Instant(SystemClock().now())
        ident = SupervisionId(f"s{next(_serial):06x}")
        session = Supervision(
            id=ident,
            pbx=PBX,
            state=SupervisionState.RINGING,
            mode=mode,
            since=now,
            started_at=now,
            supervisor="zoe",
            phone=phone,
            agent=AgentId(agent or "1001"),
            call=CallId("lab.1.1"),
            scope=scope,
            purpose=Purpose.TRAINING,
            note='é & <note>, "with" all; sorts \' of \\ text',
        )
        target = await self.leg_of(agent) if agent is not None else None
        command = StartSupervision(supervision=session, address=f"PJSIP/{phone}", target=target, ring_s=3.0)
        await self.connection.execute(command)
        return ident

    async def switch(
        self, ident: SupervisionId, mode: Mode, *, hear: Hear = Hear.BOTH, muted: bool = False
    ) -> None:
        """Switch it."""
        await self.connection.execute(SwitchSupervision(supervision=ident, mode=mode, hear=hear, muted=muted))

    async def side(self, ident: SupervisionId, agent: str, **changed: object) -> None:
        """Put her at another agent's side, or in an agent's next call."""
        session = replace(self.sessions[ident], agent=AgentId(agent), **changed)
        await self.connection.execute(FollowSupervision(supervision=session, target=await self.leg_of(agent)))

    async def take_over(self, ident: SupervisionId, customer: str, agent: str) -> None:
        """Take the call over."""
        legs = await self.leg_of(customer), await self.leg_of(agent)
        await self.connection.execute(TakeOver(supervision=ident, customer=legs[0], agent=legs[1]))

    async def end(self, ident: SupervisionId) -> None:
        """End it."""
        await self.connection.execute(EndSupervision(supervision=ident))

    async def is_in(self, ident: SupervisionId, state: SupervisionState) -> None:
        """Wait until the session is in a state."""
        await until(lambda: self.sessions[ident].state is state, what=f"{ident} is {state}")


@asynccontextmanager
async def direct(rig: Rig) -> AsyncIterator[Direct]:
    """A connection to a rig without ARI, whose first snapshot has been told."""
    driver = AsteriskDriver(
        PBX, {"port": rig.ports.ami, "username": "ctid", "secret": "ctid-lab", "queue_log": ""}
    )
    connection = await driver.connect()
    tasks = TaskOwner()
    try:
        made = Direct(connection)
        tasks.spawn("facts", made.follow())
        await until(lambda: made.is_told, what="the first snapshot")
        yield made
    finally:
        await connection.close()
        await tasks.close()

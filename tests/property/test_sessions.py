"""Sessions under whatever happens: calls, transfers, holds, time, orders that fail, hang or come at once."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from ctid.audit import Audit, Entry
from ctid.model.commands import (
    Command,
    EndSupervision,
    FollowSupervision,
    GiveNotice,
    HandBack,
    KeepSupervision,
    StartSupervision,
    SwitchSupervision,
    TakeOver,
)
from ctid.model.entities import Supervision
from ctid.model.errors import CtidError, PbxTimeout, SupervisionRefused
from ctid.model.facts import KeyPressed
from ctid.model.ids import SupervisionId
from ctid.model.users import User
from ctid.model.words import Hear, Mode, NoticeKind, Scope, SupervisionState
from ctid.state.changes import Change
from ctid.state.invariants import violations
from ctid.supervision import follower, service
from ctid.supervision.law import Admission, Plan
from ctid.supervision.planning import Policy
from ctid.supervision.requests import ChangeRequest, ModeAsked
from ctid.supervision.target import agent_party, conversation_of
from helpers.desk import LAB, PAUL, ROOT, SOFIA, Desk, PlayedPbx, listen
from helpers.floor import BASE

AGENTS = ("1001", "1002")
USERS = ((SOFIA, "desk"), (PAUL, "paul's"), (ROOT, "second"))
ORDERS: tuple[type[Command], ...] = (
    StartSupervision,
    SwitchSupervision,
    FollowSupervision,
    KeepSupervision,
    TakeOver,
    HandBack,
    EndSupervision,
    GiveNotice,
)
WITHIN_S = 10.0
Event = tuple[str, dict[str, Any]]
MATTERS = ("state", "mode", "hear", "muted", "agent", "call", "lead")


class KeptAudit(Audit):
    """An audit in memory."""

    def __init__(self) -> None:
        super().__init__(Path("/nowhere"))
        self.kept: list[Entry] = []

    async def write(self, entry: Entry) -> None:
        """Keep an entry."""
        await asyncio.sleep(0)
        self.kept.append(entry)

    async def unfinished(self) -> dict[SupervisionId, Supervision]:
        """None: it is new."""
        return {}


class WatchedPbx(PlayedPbx):
    """Carries orders out on the floor as well, and sees that none is one that may not be."""

    def __init__(self, world: "World") -> None:
        super().__init__(world)
        self._world = world
        self._last: dict[SupervisionId, Command] = {}

    async def _do(self, command: Command) -> None:
        self._world.check_order(command)
        if (
            isinstance(command, HandBack)
            and self._world.taken[command.supervision] not in self._world.script.legs
        ):
            raise SupervisionRefused("call_ended", "the customer has hung up")
        ident = _session_of(command)
        before = self._world.sessions.get(ident) if ident is not None else None
        await super()._do(command)
        if ident is not None:
            assert self._last.get(ident) != command, f"taken twice: {command}"
            self._last[ident] = command
        if type(command) not in self.mute:
            await self._world.carried_out(command, before)

    async def tells(self, session: Supervision, **changed: object) -> None:
        """Tell, and see who is heard."""
        await super().tells(session, **changed)
        self._world.check_voices()


def _session_of(command: Command) -> SupervisionId | None:
    match command:
        case StartSupervision() | FollowSupervision() | KeepSupervision():
            return command.supervision.id
        case SwitchSupervision() | TakeOver() | HandBack() | EndSupervision():
            return command.supervision
        case _:
            return None


class World(Desk):
    """Two agents, three supervisors, and whatever happens."""

    def __init__(self) -> None:
        self.log = KeptAudit()
        super().__init__(Path("/nowhere"), Policy(phone_keys=True), self.log)
        self.pbx = WatchedPbx(self)
        self.gate.admission = Admission(notice=NoticeKind.TONE)
        self.gate.refuses = self._refusal
        self.protected: set[str] = set()
        self.voiceless = False
        self.admitted: set[tuple[object, ...]] = set()
        self.ended_by_users: set[SupervisionId] = set()
        self.calls: dict[str, tuple[str, str]] = {"1001": ("c1", "a1")}
        """The customer's leg and the agent's, by agent."""
        self.taken: dict[SupervisionId, str] = {}
        """The customers who were taken over."""
        self._number = 1
        self.changes = self.hub.subscribe("test", kinds=frozenset({Supervision.kind}))

    def _refusal(self, plan: Plan) -> CtidError | None:
        if plan.agent in self.protected or (self.voiceless and plan.mode is not Mode.LISTEN):
            return SupervisionRefused("agent_protected", "not now")
        self.admitted.add((plan.session, plan.agent, plan.call))
        self.admitted.add((plan.session, plan.mode))
        return None

    # What may never be ---------------------------------------------------------------------------

    def check_order(self, command: Command) -> None:
        """See that an order passed the gate, and drops no customer."""
        match command:
            case StartSupervision(supervision=going) | FollowSupervision(supervision=going):
                armed_or_waits = going.call is None
                assert armed_or_waits or (going.id, going.agent, going.call) in self.admitted, command
            case SwitchSupervision(supervision=ident, mode=wanted) if wanted is not Mode.LISTEN:
                assert (ident, wanted) in self.admitted, command
            case TakeOver(supervision=ident):
                assert (ident, Mode.TAKEOVER) in self.admitted, command
            case EndSupervision(supervision=ident, unless_taken_over=False):
                gone = self.taken.get(ident) not in self.script.legs
                assert ident in self.ended_by_users or gone, f"a customer is hung up on: {command}"

    def check_voices(self) -> None:
        """See that of those in a call one is heard at most."""
        heard = Counter(
            session.call
            for session in self.sessions.values()
            if session.mode is not Mode.LISTEN
            and session.state in (SupervisionState.ACTIVE, SupervisionState.SWITCHING)
        )
        assert all(count == 1 for count in heard.values()), heard

    def check_rest(self) -> None:
        """See that every session is where it is to be, when nothing is under way any more."""
        assert violations(self.hub.store) == []
        for session in self.sessions.values():
            self._check_bounds(session)
            match session.state:
                case SupervisionState.ACTIVE if session.mode is not Mode.TAKEOVER:
                    call = self.hub.store.calls.get(session.call) if session.call else None
                    assert call is not None, session
                    assert agent_party(call, session.agent) is not None, session
                case SupervisionState.WAITING if session.scope is Scope.AGENT:
                    assert session.agent is not None
                    assert conversation_of(self.hub.store, session.agent) is None, session
                case SupervisionState.WAITING:
                    assert session.call in self.hub.store.calls, session
                    assert agent_party(self.hub.store.calls[session.call], None) is None, session
                case SupervisionState.REQUESTED:
                    assert session.agent is not None
                    found = conversation_of(self.hub.store, session.agent)
                    armed_in = self.turns.armed_in(session.id)
                    assert found is None or found[0].id == armed_in, session
        active = [s for s in self.sessions.values() if s.state is SupervisionState.ACTIVE]
        for where in {session.call for session in active}:
            assert [s.lead for s in active if s.call == where].count(True) == 1, active

    def _check_bounds(self, session: Supervision) -> None:
        if session.mode is not Mode.TAKEOVER:
            assert session.until is None or session.until > self.clock.at, session
        assert session.calls_limit is None or session.calls <= session.calls_limit, session

    def check_audit(self) -> None:
        """See that each change that matters was audited once, in order, and no agent told twice running."""
        expected = []
        while not self.changes._updates.empty():
            change = self.changes._updates.get_nowait()
            assert isinstance(change, Change)
            new = change.new
            if not isinstance(new, Supervision) or new.state is SupervisionState.SWITCHING:
                continue
            old = change.old
            if old is None or any(getattr(old, name) != getattr(new, name) for name in MATTERS):
                expected.append((new.id, new.state))
        states = {*SupervisionState}
        told = [e for e in self.log.kept if e.by == "" and e.event in states and e.supervision is not None]
        assert [(e.supervision.id, e.event) for e in told if e.supervision is not None] == expected
        last: dict[SupervisionId, tuple[object, ...]] = {}
        for entry in self.log.kept:
            told_of = entry.supervision
            if told_of is not None and entry.event == "notice":
                where = (told_of.agent, told_of.call)
                assert last.get(told_of.id) != where, f"told twice: {entry}"
                last[told_of.id] = where

    # What happens --------------------------------------------------------------------------------

    def name(self, letter: str) -> str:
        """A name for a new leg."""
        self._number += 1
        return f"{letter}{self._number}"

    async def carried_out(self, command: Command, session: Supervision | None) -> None:
        """What an order does to the legs."""
        if session is None:
            return
        if isinstance(command, TakeOver) and session.agent in self.calls:
            customer, leg = self.calls.pop(session.agent)
            self.taken[session.id] = customer
            self.script.put_leg(f"p-{session.id}", call=customer, incoming=False, supervision=session.id)
            self.script.connected(customer, f"p-{session.id}")
            self.script.hangs_up(leg)
            self.script.agent_done(session.agent, "support")
            await self.pbx.loses(session.agent)
            await self.told()
        elif isinstance(command, HandBack):
            customer, leg = self.taken.pop(session.id), self.name("a")
            self.script.rings(leg, customer, command.agent)
            self.script.connected(customer, leg)
            self.script.hangs_up(f"p-{session.id}")
            self.calls[command.agent] = (customer, leg)
            await self.told()
        elif isinstance(command, EndSupervision) and session.id in self.taken:
            await self._frees(session.id)

    async def _frees(self, ident: SupervisionId) -> None:
        legs = [leg for leg in (self.taken.pop(ident), f"p-{ident}") if leg in self.script.legs]
        self.script.hangs_up(*legs)
        await self.told()

    async def happens(self, what: str, **how: Any) -> None:
        """One thing happens."""
        await getattr(self, f"on_{what}")(**how)

    async def on_call(self, agent: str) -> None:
        """An agent has a call, or the one she has is over."""
        if agent in self.calls:
            customer, leg = self.calls.pop(agent)
            if self.script.members[agent, "support"].serving is None:  # handed back: no queue's call
                self.script.hangs_up(leg, customer)
                await self.pbx.loses(agent)
                await self.told()
            else:
                await self.hangs_up(agent, customer, leg)
            return
        customer, leg = self.calls[agent] = (self.name("c"), self.name("a"))
        await self.serves(agent, customer, leg)

    async def on_transfer(self, agent: str) -> None:
        """An agent passes her call on to her colleague, who is free."""
        other = next(ident for ident in AGENTS if ident != agent)
        if agent not in self.calls or other in self.calls:
            return
        customer, leg = self.calls.pop(agent)
        self.calls[other] = (customer, self.name("a"))
        await self.transfers(agent, customer, leg, other, self.calls[other][1])

    async def on_hold(self, agent: str) -> None:
        """An agent holds her call, or takes it back."""
        if agent in self.calls:
            leg = self.calls[agent][1]
            self.script.put_leg(leg, held=not self.script.legs[leg].held)
            await self.told()

    async def on_customer_leaves(self, session: int) -> None:
        """A customer who was taken over hangs up."""
        if self.taken:
            ident = [*self.taken][session % len(self.taken)]
            customer = self.taken[ident]
            self.script.hangs_up(*[leg for leg in (customer,) if leg in self.script.legs])
            await self.told()

    async def on_time(self, seconds: float) -> None:
        """Time passes."""
        await self.passes(seconds)

    async def on_fail(self, order: type[Command]) -> None:
        """From now on the PBX fails at orders of a kind."""
        self.pbx.fails[order] = PbxTimeout("no answer")

    async def on_slow(self, order: type[Command]) -> None:
        """From now on orders of a kind hang."""
        self.pbx.waits.setdefault(order, asyncio.Event())

    async def on_forbid(self, agent: str | None) -> None:
        """From now on the gate refuses an agent, or any voice."""
        if agent is None:
            self.voiceless = True
        else:
            self.protected.add(agent)

    async def on_heal(self) -> None:
        """The PBX does all it is asked again, what hangs goes on, and the gate is open."""
        self.pbx.fails.clear()
        for order in list(self.pbx.waits):
            self.pbx.waits.pop(order).set()
        self.protected.clear()
        self.voiceless = False

    async def on_start(self, user: int, agent: str, **asked: Any) -> None:
        """A supervisor asks for a session."""
        who, phone = USERS[user]
        request = listen(agent, phone=phone, **asked)
        self._asks("start", self.service.start(who, request))

    async def on_change(self, session: int, user: int, asked: ChangeRequest) -> None:
        """Somebody asks for a change."""
        found = self._session(session)
        if found is not None:
            self._asks("change", self.service.change(self._who(user, found), found.id, asked))

    async def on_end(self, session: int, user: int) -> None:
        """Somebody ends a session."""
        found = self._session(session)
        if found is not None:
            self.ended_by_users.add(found.id)
            self._asks("end", self.service.end(self._who(user, found), found.id))

    async def on_key(self, session: int, key: str) -> None:
        """A supervisor presses a key."""
        found = self._session(session)
        if found is not None:
            await self.feed(KeyPressed(pbx=LAB, at=BASE, supervision=found.id, key=key))

    def _session(self, number: int) -> Supervision | None:
        known = sorted(self.sessions.values(), key=lambda s: (s.started_at, s.phone))
        return known[number % len(known)] if known else None

    @staticmethod
    def _who(user: int, session: Supervision) -> User:
        return ROOT if user == 2 else next(who for who, _ in USERS if who.name == session.supervisor)

    def _asks(self, name: str, request: Coroutine[Any, Any, Supervision]) -> None:
        async def asked() -> None:
            with suppress(CtidError):
                await request

        self.tasks.spawn(f"asked/{name}", asked())

    # Rest ----------------------------------------------------------------------------------------

    async def rests(self) -> None:
        """Wait until nothing is under way that can go on."""
        hangs = self.pbx.waits or self.pbx.fails
        quiet = 0
        async with asyncio.timeout(WITHIN_S):
            while quiet < 3:
                before = self._told_so_far()
                for _ in range(20):
                    await asyncio.sleep(0)
                same = before == self._told_so_far()
                quiet = quiet + 1 if same and (hangs or not self._under_way()) else 0
                if same and self._under_way():
                    await asyncio.sleep(0.001)

    def _told_so_far(self) -> tuple[int, ...]:
        return (self.hub.store.seq, len(self.journal), len(self.log.kept))

    def _under_way(self) -> bool:
        return bool(self.follower._busy) or len(self.tasks._tasks) > 2


NUMBER = st.integers(0, 2)
AGENT = st.sampled_from([*AGENTS, AGENTS[0]])
"""The first is in a call from the beginning."""
CHANGES = st.one_of(
    st.sampled_from(list(ModeAsked)).map(lambda mode: ChangeRequest(mode=mode)),
    st.sampled_from(list(ModeAsked)).map(lambda mode: ChangeRequest(lead=True, mode=mode)),
    st.builds(
        ChangeRequest,
        mode=st.one_of(st.none(), st.sampled_from(list(ModeAsked))),
        hear=st.one_of(st.none(), st.sampled_from(list(Hear))),
        muted=st.one_of(st.none(), st.booleans()),
    ),
)

HANDOVERS = st.sampled_from([ChangeRequest(mode=ModeAsked.TAKEOVER), ChangeRequest(mode=ModeAsked.HANDBACK)])


def _events(what: str, **how: st.SearchStrategy[Any]) -> st.SearchStrategy[Event]:
    return st.tuples(st.just(what), st.fixed_dictionaries(how))


CALLS = (
    _events("call", agent=AGENT),
    _events("transfer", agent=AGENT),
    _events("hold", agent=AGENT),
    _events("customer_leaves", session=NUMBER),
)
REQUESTS = (
    _events(
        "start",
        user=NUMBER,
        agent=AGENT,
        scope=st.sampled_from(list(Scope)),
        mode=st.sampled_from(list(Mode)),
        minutes=st.sampled_from([None, 1.0, 2.0]),
    ),
    _events(
        "start",
        user=NUMBER,
        agent=AGENT,
        scope=st.just(Scope.AGENT),
        mode=st.sampled_from([Mode.LISTEN, Mode.BARGE]),
        calls=st.sampled_from([1, 2]),
    ),
    _events("change", session=NUMBER, user=NUMBER, asked=CHANGES),
    _events("change", session=NUMBER, user=NUMBER, asked=CHANGES),
    _events("change", session=NUMBER, user=NUMBER, asked=HANDOVERS),
    _events("end", session=NUMBER, user=NUMBER),
    _events("key", session=NUMBER, key=st.sampled_from("456*")),
)
TROUBLES = (
    _events("time", seconds=st.sampled_from([1.0, 20.0, 90.0])),
    _events("fail", order=st.sampled_from(ORDERS)),
    _events("slow", order=st.sampled_from(ORDERS)),
    _events("forbid", agent=st.sampled_from([*AGENTS, None])),
    _events("heal"),
    _events("heal"),
    _events("heal"),
)
LIVES = st.lists(
    st.tuples(st.lists(st.one_of(*CALLS, *REQUESTS, *TROUBLES), min_size=1, max_size=4), st.booleans()),
    min_size=8,
    max_size=16,
)
"""What happens at the same time, and whether things come to rest afterwards; and so on."""


async def _lived(life: list[tuple[list[Event], bool]]) -> None:
    async with World() as world:
        for together, rest in life:
            for what, how in together:
                await world.happens(what, **how)
            if rest:
                await world.rests()
                if not world.pbx.fails and not world.pbx.waits:
                    world.check_rest()
        await world.on_heal()
        await world.passes(1.0)
        await world.rests()
        world.check_rest()
        world.check_audit()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(LIVES)
def test_whatever_happens_sessions_keep_the_rules(life: list[tuple[list[Event], bool]]) -> None:
    """No session outlives its call, its limits or its right, and none is anywhere but where it is to be.

    No order is given twice, nobody is followed whom the gate refuses, one is heard in a call at most, no
    customer who was taken over is hung up on but by a supervisor, and each change is audited once.
    """
    with pytest.MonkeyPatch.context() as patch, capture_logs():
        patch.setattr(follower, "SETTLE_S", 0.01)
        patch.setattr(service, "SETTLE_S", 0.05)
        asyncio.run(_lived(life))

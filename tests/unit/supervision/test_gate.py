from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from ctid.model.entities import Supervision
from ctid.model.errors import CtidError
from ctid.model.ids import AgentId, CallId, PbxId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.users import Right, User, UserRole
from ctid.model.words import Mode, NoticeKind, Origin, Purpose, Scope, SupervisionState
from ctid.supervision.gate import Gate
from ctid.supervision.law import Law, Plan
from ctid.supervision.periods import Calendar, Period
from ctid.supervision.rights import Grant, Rights, Staff

MONDAY = Instant(1_767_571_200)
"""2026-01-05 00:00 UTC."""
NINE = Instant(MONDAY + 9 * 3600)
MORNING = Period(team="north", begins=540, ends=720, days=frozenset({0}))
SOFIA = User(name="sofia", role=UserRole.SUPERVISOR, teams=frozenset({"north"}))
ALICE = AgentId("1001")
STAFF = Staff(protected=frozenset({AgentId("1009")}))
PLAN = Plan(
    user=SOFIA,
    agent=ALICE,
    team="north",
    is_supervisor=False,
    call=CallId("lab.1"),
    mode=Mode.LISTEN,
    purpose=Purpose.QUALITY,
    origin=Origin.SUPERVISOR,
    scope=Scope.CALL,
)
FREE = Law(periods_required=False)


def session(ident: str, since: float, state: str = "active", **fields: Any) -> Supervision:
    """A session with Alice, as it is since so many seconds after nine."""
    known: dict[str, Any] = {
        "id": SupervisionId(ident),
        "pbx": PbxId("lab"),
        "state": SupervisionState(state),
        "mode": Mode.LISTEN,
        "since": Instant(NINE + since),
        "started_at": NINE,
        "supervisor": "sofia",
        "phone": "desk",
        "agent": ALICE,
        "call": CallId("lab.1"),
        "purpose": Purpose.QUALITY,
    }
    return Supervision(**(known | fields))


class Told(NamedTuple):
    """An entry of the audit."""

    event: str
    supervision: Supervision


def gate_with(law: Law = FREE, **seconds: float) -> Gate:
    """A gate that has seen Alice be listened to: one session a name, for so many seconds."""
    gate = Gate(law=law, staff=STAFF)
    begins = 0.0
    for ident, length in seconds.items():
        gate.saw(None, session(ident, begins))
        begins += length
        gate.saw(session(ident, begins), session(ident, begins, "ended"))
    return gate


def refused(gate: Gate, plan: Plan, now: Instant = NINE) -> CtidError:
    """Why it is."""
    with pytest.raises(CtidError) as error:
        gate.admit(plan, now)
    return error.value


@pytest.mark.parametrize("mode", list(Mode))
def test_each_mode_needs_its_own_right(mode: Mode) -> None:
    """Listen alone opens no other."""
    rights = Rights([Grant(role=SOFIA.role, teams=frozenset({"own"}), rights=frozenset({Right.LISTEN}))])
    gate = Gate(law=FREE, rights=rights)
    plan = replace(PLAN, mode=mode)
    if mode is Mode.LISTEN:
        assert gate.admit(plan, NINE).until == NINE + 1800
    else:
        error = refused(gate, plan)
        assert (error.code, error.status) == ("auth.forbidden", 403)
        assert (
            f"the mode {mode} with agent 1001 needs the right '{mode}' over the team 'north'" in error.detail
        )


def test_another_teams_agent_is_refused() -> None:
    """And so is a call in which no agent is known, to whom has no right over everybody."""
    assert refused(Gate(law=FREE), replace(PLAN, team="south")).code == "auth.forbidden"
    unknown = replace(PLAN, agent=None, team="")
    assert "with this call" in refused(Gate(law=FREE), unknown).detail
    everybody = replace(unknown, user=User(name="x", role=SOFIA.role, teams=frozenset({"*"})))
    assert Gate(law=FREE).admit(everybody, NINE).until == NINE + 1800


def test_a_protected_agent_is_monitored_by_nobody() -> None:
    """Not in an emergency, not when she asks, not with every right."""
    everything = Rights([Grant(user="sofia", teams=frozenset({"*"}), rights=frozenset(Right))])
    gate = Gate(law=FREE, rights=everything, staff=STAFF)
    plan = replace(PLAN, agent=AgentId("1009"))
    asked = replace(plan, origin=Origin.AGENT_REQUEST, purpose=Purpose.ASSISTANCE)
    for one in (plan, asked, replace(plan, purpose=Purpose.EMERGENCY, note="a threat")):
        error = refused(gate, one)
        assert (error.code, error.status) == ("supervision.agent_protected", 403)


def test_a_supervisor_is_monitored_with_a_right_of_its_own() -> None:
    """Beside that of the mode."""
    rights = [
        Grant(role=SOFIA.role, teams=frozenset({"own"}), rights=frozenset({Right.LISTEN})),
        Grant(user="paul", teams=frozenset({"*"}), rights=frozenset({Right.SUPERVISORS})),
    ]
    gate = Gate(law=FREE, rights=Rights(rights))
    plan = replace(PLAN, is_supervisor=True)
    assert "needs the right 'supervisors' over the team 'north'" in refused(gate, plan).detail
    paul = User(name="paul", role=SOFIA.role, teams=frozenset({"north"}))
    assert gate.admit(replace(plan, user=paul), NINE).until == NINE + 1800


def test_outside_the_periods_it_is_refused() -> None:
    """With when the next one begins; in one the session ends with it at the latest."""
    gate = Gate(calendar=Calendar([MORNING]))
    early = refused(gate, PLAN, Instant(NINE - 1))
    assert (early.code, early.status) == ("supervision.outside_period", 409)
    assert (
        "no listening period of the team 'north'; the next one begins 2026-01-05T09:00:00.000Z"
        in early.detail
    )
    assert gate.admit(PLAN, NINE).until == NINE + 1800
    assert gate.admit(PLAN, Instant(NINE + 3 * 3600 - 60)).until == NINE + 3 * 3600
    other = replace(PLAN, user=User(name="x", role=SOFIA.role, teams=frozenset({"*"})), team="")
    assert "of agents of no team; no next one is configured" in refused(gate, other).detail


@pytest.mark.parametrize(
    ("exempt", "fields"),
    [
        (True, {"origin": Origin.AGENT_REQUEST, "purpose": Purpose.ASSISTANCE}),
        (False, {"origin": Origin.SUPERVISOR, "purpose": Purpose.ASSISTANCE}),
        (False, {"origin": Origin.AGENT_REQUEST, "purpose": Purpose.QUALITY}),
        (True, {"purpose": Purpose.EMERGENCY, "note": "a threat"}),
        (False, {"purpose": Purpose.EMERGENCY, "note": "  "}),
    ],
)
def test_what_neither_periods_nor_quotas_bind(fields: dict[str, Any], *, exempt: bool) -> None:
    """What the agent asked for, and an emergency that is explained; their length is bound all the same."""
    plan = replace(PLAN, **fields)
    no_period = Gate()
    used_up = gate_with(replace(FREE, agent_sessions_per_day=1), s1=10)
    for gate, code in ((no_period, "outside_period"), (used_up, "quota_reached")):
        if exempt:
            assert gate.admit(plan, Instant(NINE + 20)).until == NINE + 20 + 1800
        else:
            assert refused(gate, plan, Instant(NINE + 20)).code == f"supervision.{code}"


def test_the_sessions_of_a_day() -> None:
    """The last one warns; then it is refused until midnight, and free after it."""
    gate = gate_with(FREE, s1=10, s2=10)
    assert gate.admit(PLAN, Instant(NINE + 60)).warnings == ("agent 1001 has had 3 of 3 sessions today",)
    gate.saw(None, session("s3", 60, "ringing"))
    error = refused(gate, PLAN, Instant(NINE + 61))
    assert (error.code, error.status) == ("supervision.quota_reached", 409)
    assert "has had 3 of 3 sessions today; that is free again 2026-01-06T00:00:00.000Z" in error.detail
    own = replace(PLAN, session=SupervisionId("s3"), mode=Mode.BARGE)
    assert gate.admit(own, Instant(NINE + 61)).until
    gate.saw(None, session("s3", 62, "ended"))
    assert gate.admit(PLAN, Instant(NINE + 63)).until
    assert gate.admit(PLAN, Instant(MONDAY + 86400)).warnings == ()


def test_two_requests_at_once_do_not_take_the_same_place() -> None:
    """The first holds it until it is seen."""
    gate = gate_with(FREE, s1=10, s2=10)
    now = Instant(NINE + 60)
    gate.admit(replace(PLAN, session=SupervisionId("s3")), now)
    assert refused(gate, replace(PLAN, session=SupervisionId("s4")), now).code == "supervision.quota_reached"


def test_the_minutes_of_a_week() -> None:
    """What is left bounds the session; from the warning on it is told; then it is refused until Monday."""
    law = replace(FREE, agent_sessions_per_day=0)
    later = Instant(NINE + 7200)
    unwarned = gate_with(law, s1=1500, s2=1140).admit(PLAN, later)
    assert (unwarned.until, unwarned.warnings) == (later + 16 * 60, ())
    warned = gate_with(law, s1=1500, s2=1500).admit(PLAN, later)
    assert warned.until == later + 600
    assert warned.warnings == ("agent 1001 has been listened to 50.0 of 60 minutes this week",)
    gate = gate_with(law, s1=1200, s2=1200, s3=1200)
    error = refused(gate, PLAN, later)
    assert error.code == "supervision.quota_reached"
    assert "listened to 60.0 of 60 minutes this week, none is left" in error.detail
    assert "free again 2026-01-12T00:00:00.000Z" in error.detail
    assert gate.admit(PLAN, Instant(MONDAY + 7 * 86400)).warnings == ()


def test_no_bound_is_no_bound() -> None:
    """Zeros lift each of them; a warning may stay."""
    none = Law(
        max_session_s=0,
        agent_minutes_per_week=0,
        warn_minutes_per_week=10,
        agent_sessions_per_day=0,
        calls_per_follow=0,
        periods_required=False,
    )
    gate = gate_with(none, s1=6000)
    admitted = gate.admit(replace(PLAN, scope=Scope.AGENT), Instant(NINE + 6000))
    assert (admitted.until, admitted.calls_limit) == (None, None)
    assert admitted.warnings == ("agent 1001 has been listened to 100.0 minutes this week",)
    quiet = gate_with(replace(none, warn_minutes_per_week=0), s1=6000)
    assert quiet.admit(PLAN, Instant(NINE + 6000)).warnings == ()


def test_only_a_session_that_follows_has_a_limit_of_calls() -> None:
    """The others have one call."""
    gate = Gate(law=FREE)
    limits = [gate.admit(replace(PLAN, scope=scope), NINE).calls_limit for scope in Scope]
    assert dict(zip(Scope, limits, strict=True)) == {Scope.CALL: None, Scope.NEXT: None, Scope.AGENT: 3}


def test_the_notice_is_that_of_her_team() -> None:
    """Where the configuration has none, that of the site."""
    gate = Gate(law=FREE, notices={"north": NoticeKind.TONE})
    assert gate.admit(PLAN, NINE).notice is NoticeKind.TONE
    assert gate.notice_of("south") is NoticeKind.MQTT


def test_the_audit_seeds_the_counts() -> None:
    """Each step of a session, as if it had been seen."""
    began = session("s1", 0)
    ended = session("s1", 1500, "ended")
    gate = Gate(law=FREE)
    gate.seed(
        [
            Told("ringing", session("s1", -5, "ringing")),
            Told("active", began),
            Told("ended", ended),
            Told("active", session("s2", 1600)),
        ]
    )
    now = Instant(NINE + 1700)
    assert gate.tally.listened_s(ALICE, gate.calendar.week(now), now) == 1600
    assert gate.tally.sessions(ALICE, gate.calendar.day(now), now) == 2


def test_the_teams_are_those_that_the_configuration_names() -> None:
    """Of agents, of teams and of periods; nobody's is none."""
    gate = Gate(
        staff=Staff(teams={ALICE: "north", AgentId("1002"): ""}),
        notices={"south": NoticeKind.NONE},
        calendar=Calendar([replace(MORNING, team="*"), replace(MORNING, team="east")]),
    )
    assert gate.teams() == ["east", "north", "south"]


def test_warnings_can_be_asked_for_by_themselves() -> None:
    """Of an agent as she stands."""
    gate = gate_with(FREE, s1=1400, s2=1400, s3=10)
    assert gate.warnings(ALICE, Instant(NINE + 3600)) == (
        "agent 1001 has been listened to 46.8 of 60 minutes this week",
        "agent 1001 has had 3 of 3 sessions today",
    )
    assert Gate().warnings(ALICE, NINE) == ()

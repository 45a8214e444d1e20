import pytest
from msgspec.structs import replace

from ctid.help import rules
from ctid.model.entities import Agent, Help, Supervision
from ctid.model.errors import HelpRefused
from ctid.model.ids import AgentId, CallId, HelpId, PbxId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import (
    AgentState,
    Carrier,
    HelpEnd,
    HelpState,
    Mode,
    Origin,
    Purpose,
    SupervisionState,
)
from ctid.state.store import Store
from helpers.floor import BASE, PROFILES, Floor

LAB, ANNA = PbxId("lab"), AgentId("1001")
CALL, OTHER = CallId("lab.c1"), CallId("lab.c2")
AGENT = Agent(id=ANNA, pbx=LAB, name="Anna", team="north", state=AgentState.BUSY, since=BASE)
SESSION = Supervision(
    id=SupervisionId("s1"),
    pbx=LAB,
    state=SupervisionState.ACTIVE,
    mode=Mode.LISTEN,
    since=BASE,
    started_at=BASE,
    supervisor="sofia",
    phone="desk",
    agent=ANNA,
    call=CALL,
    purpose=Purpose.ASSISTANCE,
    help=HelpId("h1"),
)
THERE = rules.Sight(conversation=CALL, session=None)
GONE = rules.Sight(conversation=None, session=None)
IN_IT = rules.Sight(conversation=CALL, session=SESSION)


def after(seconds: float) -> Instant:
    """So long after the hand was raised."""
    return Instant(BASE + seconds)


def hand(call: CallId | None = CALL) -> Help:
    """A raised hand."""
    ident = HelpId("h1")
    return rules.raised(ident, AGENT, call, by=Carrier.API, text="he shouts", now=BASE, expires_s=300.0)


def test_what_a_raised_hand_says() -> None:
    """Who, of which team, in which call, what about, and until when."""
    told = hand()
    assert (told.agent, told.team, told.call, told.text) == (ANNA, "north", CALL, "he shouts")
    assert (told.state, told.raised_at, told.expires_at) == (HelpState.OPEN, BASE, after(300))
    assert (told.wait_s, told.claimed_by) == (None, "")


def test_a_claim_ends_the_wait() -> None:
    """The waiting time is from being raised to being taken; a second claim is told who has it."""
    told = rules.claimed(hand(), "sofia", after(12.5))
    assert (told.state, told.claimed_by, told.wait_s) == (HelpState.CLAIMED, "sofia", 12.5)
    with pytest.raises(HelpRefused, match="sofia has taken it") as refused:
        rules.claimed(told, "paul", after(13))
    assert (refused.value.code, refused.value.status) == ("help.already_claimed", 409)
    assert rules.claimed(hand(), "sofia", after(-5)).wait_s == 0.0  # a clock that was set back


def test_who_asked_is_known() -> None:
    """What a supervisor raised on her behalf lifts no bound, until she asks herself; it never goes back."""
    assert rules.origin_of(hand()) is Origin.AGENT_REQUEST
    lent = replace(hand(), raised_by="sofia")
    assert rules.origin_of(lent) is Origin.SUPERVISOR
    again = rules.asked_again(lent, by=Carrier.API, raised_by="paul", text="")
    assert again == lent
    hers = rules.asked_again(lent, by=Carrier.FEATURE_CODE, raised_by="", text="")
    assert (hers.raised_by, hers.by, hers.text) == ("", Carrier.FEATURE_CODE, "he shouts")
    assert rules.asked_again(hers, by=Carrier.API, raised_by="sofia", text="louder").raised_by == ""


def test_a_claim_that_came_to_nothing_costs_her_no_time() -> None:
    """It is up again, and its end comes as much later as the phone rang."""
    told = rules.reopened(rules.claimed(hand(), "sofia", after(10)), after(30))
    assert (told.state, told.claimed_by, told.claimed_at, told.wait_s) == (HelpState.OPEN, "", None, None)
    assert told.expires_at == after(320)
    assert rules.reopened(hand(), after(1)).expires_at == after(300)


def test_nobody_came() -> None:
    """It expires, whether the PBX can be seen or not; and not before its time."""
    for sight in (THERE, None):
        assert rules.judged(hand(), sight, after(299.9)) == hand()
        told = rules.judged(hand(), sight, after(300))
        assert (told.state, told.end, told.ended_at) == (HelpState.ENDED, HelpEnd.EXPIRED, after(300))


def test_it_follows_her_call() -> None:
    """Into another call, and down with the last one, after a moment in which the PBX may tell the rest."""
    moved = rules.judged(hand(), replace(THERE, conversation=OTHER), after(1))
    assert (moved.call, moved.state) == (OTHER, HelpState.OPEN)
    assert rules.judged(hand(), replace(GONE, gone_s=0.9), after(1)) == hand()
    told = rules.judged(hand(), replace(GONE, gone_s=1.0), after(2))
    assert (told.end, told.ended_by) == (HelpEnd.CALL_ENDED, "")
    assert rules.judged(hand(call=None), replace(GONE, gone_s=9.0), after(9)) == hand(call=None)


def test_it_ends_with_the_session_that_it_led_to() -> None:
    """And never by time, once somebody has come."""
    told = replace(rules.claimed(hand(), "sofia", after(10)), supervision=SESSION.id)
    assert rules.judged(told, IN_IT, after(1000)) == told
    assert rules.judged(told, None, after(1000)) == told
    over = rules.judged(told, GONE, after(60))
    assert (over.state, over.end, over.wait_s) == (HelpState.ENDED, HelpEnd.ANSWERED, 10.0)


def test_a_claim_of_a_ctid_that_was_killed() -> None:
    """Its session, if it began after all, is found by its hand; else the hand is up again."""
    told = rules.claimed(hand(), "sofia", after(10))
    assert rules.judged(told, IN_IT, after(20)).supervision == SESSION.id
    assert rules.judged(told, THERE, after(20)).state is HelpState.OPEN


@pytest.fixture
def floor() -> Floor:
    """1001 is there, and in no call."""
    floor = Floor(Store(PROFILES))
    floor.link_up()
    floor.agent_joins("1001", "support")
    return floor


def test_what_is_a_conversation(floor: Floor) -> None:
    """A call with somebody else in it, held ones too; not one that rings, nor one that was never there."""
    store = floor.store
    assert rules.conversation(store, ANNA, None) is None
    assert rules.conversation(store, AgentId("4711"), CallId("none")) is None
    floor.customer_joins("c1", "support")
    floor.agent_offered("1001", "support", "c1", "a1")
    assert rules.conversation(store, ANNA, None) is None
    floor.agent_answers("1001", "support", "c1", "a1")
    assert rules.conversation(store, ANNA, None) == CALL
    floor.holds("a1")
    assert rules.conversation(store, ANNA, CALL) == CALL
    assert rules.conversation(store, AgentId("1002"), CALL) is None
    floor.call_over("1001", "support", "c1", "a1")
    assert rules.conversation(store, ANNA, CALL) is None


def test_what_can_be_seen(floor: Floor) -> None:
    """Nothing before the first snapshot, nor while the link is down."""
    floor = Floor(Store(PROFILES))
    assert not rules.is_visible(floor.store, hand())
    floor.link_up()
    assert not rules.is_visible(floor.store, hand())
    floor.snapshot()
    assert rules.is_visible(floor.store, hand())
    floor.link_down()
    assert not rules.is_visible(floor.store, hand())


def test_which_session_it_led_to(floor: Floor) -> None:
    """The one that it names, or else the one that names it."""
    floor.agent_serves("1001", "support", "c1", "a1")
    assert rules.session_of(floor.store, hand()) is None
    floor.supervisor("s1", "c1", help=HelpId("h1"))
    floor.supervisor("s2", "c1", phone="other")
    found = rules.session_of(floor.store, hand())
    assert found is not None
    assert found.id == "s1"
    named = rules.session_of(floor.store, replace(hand(), supervision=SupervisionId("s2")))
    assert named is not None
    assert named.id == "s2"

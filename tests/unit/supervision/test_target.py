import pytest
from msgspec.structs import replace

from ctid.model.errors import CtidError, InvalidRequest
from ctid.model.ids import AgentId, DeviceId, SupervisionId
from ctid.model.words import Scope
from ctid.supervision.requests import StartRequest
from ctid.supervision.target import conversation_of, find_target, takeover_legs
from helpers.desk import listen
from helpers.floor import Floor


@pytest.fixture
def talking(floor: Floor) -> Floor:
    """Agent 1001 talks with customer c1 in call lab.c1; 1002 has no call."""
    floor.agent_joins("1001", "support")
    floor.agent_joins("1002", "support")
    floor.agent_serves("1001", "support", "c1", "a1")
    return floor


def _code(floor: Floor, agent: str | None = None, call: str | None = None) -> str:
    with pytest.raises(CtidError) as refused:
        find_target(floor.store, listen(agent, call=call))
    return refused.value.code


def _leg(floor: Floor, request: StartRequest) -> str:
    _, _, party = find_target(floor.store, request)
    assert party is not None
    return party.leg


# Finding ----------------------------------------------------------------------------------------------


def test_an_agent_is_found_in_the_call_she_talks_in(talking: Floor) -> None:
    """By her id alone: the live call, and her own leg in it."""
    agent, call, party = find_target(talking.store, listen("1001"))
    assert (agent, call) == (talking.agent("1001"), talking.call("c1"))
    assert party == talking.party("c1", "a1")


def test_a_call_is_found_with_its_agent(talking: Floor) -> None:
    """By the call's id: the agent in it is whose leg is taken."""
    agent, call, party = find_target(talking.store, listen(None, call="lab.c1"))
    assert (agent, call) == (talking.agent("1001"), talking.call("c1"))
    assert party == talking.party("c1", "a1")


def test_a_call_on_hold_is_live(talking: Floor) -> None:
    """A supervisor may come in while the customer hears music."""
    talking.holds("a1")
    assert _leg(talking, listen("1001")) == "a1"


@pytest.mark.parametrize(("agent", "call"), [(None, None), ("1001", "lab.c1")])
def test_exactly_one_of_agent_and_call_is_named(talking: Floor, agent: str | None, call: str | None) -> None:
    """Neither, or both, is no request, and the field is told."""
    with pytest.raises(InvalidRequest) as refused:
        find_target(talking.store, listen(agent, call=call))
    assert (refused.value.code, refused.value.field) == ("request.invalid", "agent")


def test_whom_nobody_knows_is_not_found(talking: Floor) -> None:
    """An unknown agent and an unknown call have codes of their own."""
    assert _code(talking, agent="9999") == "agent.unknown"
    assert _code(talking, call="lab.c9") == "call.unknown"
    assert _code(talking, call="") == "call.unknown"
    assert _code(talking, agent="") == "agent.unknown"


def test_an_agent_without_a_call_cannot_be_listened_to(talking: Floor) -> None:
    """Ready, or logged out: there is nothing to step into."""
    assert _code(talking, agent="1002") == "supervision.no_live_call"
    talking.agent_leaves("1002", "support")
    assert _code(talking, agent="1002") == "supervision.no_live_call"


def test_a_call_that_only_rings_at_her_is_not_live(talking: Floor) -> None:
    """Neither by the agent nor by the call, before she has answered."""
    talking.customer_joins("c2", "support")
    assert _code(talking, call="lab.c2") == "supervision.no_live_call"
    talking.agent_offered("1002", "support", "c2", "a2")
    assert _code(talking, agent="1002") == "supervision.no_live_call"
    assert _code(talking, call="lab.c2") == "supervision.no_live_call"


def test_a_call_without_an_agent_is_not_for_listening(talking: Floor) -> None:
    """Two strangers who talk are nobody's to supervise."""
    talking.customer_dials("x1")
    talking.put_leg("x2", call="x1", incoming=False)
    talking.connected("x1", "x2")
    assert _code(talking, call="lab.x1") == "supervision.no_live_call"


def test_of_two_agents_the_one_named_is_found(talking: Floor) -> None:
    """A call between colleagues has a leg for each, and each can be asked for."""
    talking.put_leg("b1", call="b1", incoming=True, device=DeviceId("1002"), dialled="1003")
    talking.agent_joins("1003", "support")
    talking.rings("b2", "b1", "1003")
    talking.connected("b1", "b2")
    assert _leg(talking, listen("1002")) == "b1"
    assert _leg(talking, listen("1003")) == "b2"


def test_an_agent_who_rings_into_a_conversation_is_not_in_it_yet(talking: Floor) -> None:
    """A colleague who is being added rings still: it is not her who can be whispered to."""
    talking.rings("a2", "c1", "1002")
    assert _code(talking, agent="1002") == "supervision.no_live_call"
    assert _leg(talking, listen(None, call="lab.c1")) == "a1"


@pytest.mark.parametrize("scope", [Scope.NEXT, Scope.AGENT])
def test_for_a_later_call_an_agent_will_do(talking: Floor, scope: Scope) -> None:
    """She need not talk yet, and her call is taken if there is one; whom nobody knows is not found."""
    agent = talking.agent("1002")
    assert find_target(talking.store, listen("1002", scope=scope)) == (agent, None, None)
    talking.customer_joins("c2", "support")
    talking.agent_offered("1002", "support", "c2", "a2")
    assert find_target(talking.store, listen("1002", scope=scope)) == (talking.agent("1002"), None, None)
    assert _leg(talking, listen("1001", scope=scope)) == "a1"
    with pytest.raises(CtidError) as refused:
        find_target(talking.store, listen("9999", scope=scope))
    assert refused.value.code == "agent.unknown"


def test_who_cannot_be_listened_to_now_may_be_waited_for(talking: Floor) -> None:
    """The refusal names the cure."""
    with pytest.raises(CtidError, match="the scope `next` waits for one"):
        find_target(talking.store, listen("1002"))


def test_an_agent_whom_no_queue_knows_may_talk_in_a_call(talking: Floor) -> None:
    """Then there is a party, and no agent to tell of."""
    call = talking.call("c1")
    stranger = tuple(replace(p, agent=None) if p.agent is not None else p for p in call.parties)
    talking.store.calls[call.id] = replace(call, parties=stranger)
    agent, _, party = find_target(talking.store, listen(None, call=call.id))
    assert (agent, party and party.leg) == (None, "a1")


def test_an_agents_conversation(talking: Floor) -> None:
    """The call she talks or holds in, and her party; nobody's, a ringing one, or another's is none."""
    assert conversation_of(talking.store, AgentId("1001")) == (
        talking.call("c1"),
        talking.party("c1", "a1"),
    )
    assert conversation_of(talking.store, AgentId("1002")) is None
    assert conversation_of(talking.store, AgentId("9999")) is None
    talking.rings("a2", "c1", "1002")
    assert talking.agent("1002").call == "lab.c1"
    assert conversation_of(talking.store, AgentId("1002")) is None


# Taking over ------------------------------------------------------------------------------------------


def test_the_customer_is_kept_and_the_agent_released(talking: Floor) -> None:
    """Of a call of two, with the supervisor's own leg and those who only ring left out."""
    assert takeover_legs(talking.call("c1"), AgentId("1001")) == ("c1", "a1")
    talking.rings("a2", "c1", "1002")
    talking.put_leg("p1", call="c1", incoming=False, supervision=SupervisionId("s1"))
    talking.connected("c1", "a1", "p1")
    assert takeover_legs(talking.call("c1"), AgentId("1001")) == ("c1", "a1")
    assert takeover_legs(talking.call("c1"), None) == ("c1", "a1")


def test_a_conference_cannot_be_taken_over(talking: Floor) -> None:
    """With two others it is not said who is to stay."""
    talking.put_leg("c2", call="c1", incoming=False)
    talking.connected("c1", "a1", "c2")
    with pytest.raises(CtidError, match="talks with 2 parties") as refused:
        takeover_legs(talking.call("c1"), AgentId("1001"))
    assert refused.value.code == "supervision.mode_not_possible"


def test_an_agent_who_left_cannot_be_released(talking: Floor) -> None:
    """The call is no longer hers: over, or another agent's."""
    talking.rings("a2", "c1", "1002")
    talking.connected("c1", "a2")
    talking.hangs_up("a1")
    with pytest.raises(CtidError) as refused:
        takeover_legs(talking.call("c1"), AgentId("1001"))
    assert refused.value.code == "supervision.call_ended"

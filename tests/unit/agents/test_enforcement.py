from hypothesis import given
from hypothesis import strategies as st

from ctid.agents.enforcement import Memory, missing, observed
from ctid.model.commands import PauseAgent, ResumeAgent
from ctid.model.entities import AfterCallWork, Agent, Membership
from ctid.model.ids import AgentId, PbxId, QueueId
from ctid.model.instant import Instant
from ctid.model.words import AgentState

WORK = "after_call_work"
QUEUES = ("desk", "sales", "support")
SINCE = Instant(100.0)


def alice(pauses: dict[str, str | None], work: Instant | None = SINCE) -> Agent:
    """An agent in queues, with the reason of her pause in each; `work`: since when she works."""
    memberships = tuple(
        Membership(
            queue=QueueId(queue),
            state=AgentState.UNKNOWN,
            paused=reason is not None,
            paused_reason=reason or "",
        )
        for queue, reason in pauses.items()
    )
    working = (
        AfterCallWork(queue=QueueId("support"), since=work, ends_at=Instant(work + 10)) if work else None
    )
    return Agent(
        id=AgentId("1001"),
        pbx=PbxId("lab"),
        name="Alice",
        state=AgentState.UNKNOWN,
        since=SINCE,
        after_call_work=working,
        queues=memberships,
    )


def test_a_pause_is_asked_for_once() -> None:
    """Where a pause was asked for, or somebody else's holds, none is asked for."""
    agent = alice({"support": None, "sales": "lunch"})
    memory = observed(agent, WORK, None)
    assert [command.queue for command in missing(agent, WORK, memory)] == ["support"]
    asked = Memory(since=SINCE, asked=frozenset({QueueId("support")}))
    assert missing(agent, WORK, observed(agent, WORK, asked)) == ()


def test_other_work_begins_afresh() -> None:
    """A memory of earlier work is none of this one."""
    earlier = Memory(since=Instant(1.0), asked=frozenset({QueueId("support")}), over=True)
    agent = alice({"support": None})
    assert missing(agent, WORK, earlier) == ()
    assert observed(agent, WORK, earlier) == Memory(since=SINCE)


def test_a_resumption_by_hand_ends_the_work() -> None:
    """A pause that held and holds no more says that the work is over, and nothing is asked for from then."""
    memory = observed(alice({"support": WORK, "sales": WORK}), WORK, None)
    agent = alice({"support": None, "sales": WORK})
    for _ in range(2):
        memory = observed(agent, WORK, memory)
        assert memory is not None
        assert memory.over
        assert missing(agent, WORK, memory) == ()


def test_ours_is_asked_for_again_after_somebody_elses() -> None:
    """A pause for another reason takes the place of ours; when it ends, ours is due."""
    memory = Memory(since=SINCE, asked=frozenset({QueueId("support")}), held=frozenset({QueueId("support")}))
    after = observed(alice({"support": "lunch"}), WORK, memory)
    agent = alice({"support": None})
    after = observed(agent, WORK, after)
    assert after == Memory(since=SINCE)
    assert [command.queue for command in missing(agent, WORK, after)] == ["support"]


pauses = st.dictionaries(st.sampled_from(QUEUES), st.sampled_from([None, WORK, "lunch"]))
memories = st.none() | st.builds(
    Memory,
    since=st.sampled_from([SINCE, Instant(1.0)]),
    asked=st.frozensets(st.sampled_from([QueueId(queue) for queue in QUEUES])),
    held=st.frozensets(st.sampled_from([QueueId(queue) for queue in QUEUES])),
)


@given(hers=pauses, working=st.booleans(), memory=memories)
def test_nobody_elses_pause_is_touched(
    *, hers: dict[str, str | None], working: bool, memory: Memory | None
) -> None:
    """At work only the free are paused; at no work exactly its own pauses are ended."""
    agent = alice(hers, SINCE if working else None)
    seen = observed(agent, WORK, memory)
    commands = missing(agent, WORK, seen)
    for command in commands:
        if working:
            assert isinstance(command, PauseAgent)
            assert (hers[command.queue], command.reason) == (None, WORK)
        else:
            assert isinstance(command, ResumeAgent)
    if not working:
        assert seen is None
        assert {command.queue for command in commands} == {q for q in hers if hers[q] == WORK}

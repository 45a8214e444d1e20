from ctid.events.topics import Topics
from ctid.model.entities import Agent, Entity, Pbx
from ctid.model.ids import AgentId, PbxId
from ctid.model.instant import Instant
from ctid.model.words import AgentState, LinkState
from ctid.publish.tree import SYNCHRONIZED_FOR_S, Due, RetainedTree
from ctid.state.changes import Change

AT = Instant(1.0)
LINK = Pbx(id=PbxId("p"), driver="d", state=LinkState.CONNECTED, since=AT, synchronized_at=AT)


def agent(ident: str, reason: str = "") -> Agent:
    """An agent."""
    return Agent(
        id=AgentId(ident), pbx=PbxId("p"), name="", state=AgentState.NOT_READY, reason=reason, since=AT
    )


def change(old: Entity | None, new: Entity | None, seq: int = 1) -> Change:
    """A change of an entity."""
    return Change(seq=seq, at=AT, old=old, new=new)


def drain(tree: RetainedTree) -> list[Due]:
    """Everything that is due, in order."""
    found = []
    while (due := tree.peek()) is not None:
        tree.take(due)
        found.append(due)
    return found


def paths(found: list[Due]) -> list[tuple[str, bool]]:
    """Topics, and whether they have a document."""
    return [(due.topic.removeprefix("ctid/lab/"), due.version is not None) for due in found]


def new_tree(*entities: Entity) -> RetainedTree:
    """A tree that begins with a snapshot."""
    tree = RetainedTree(Topics("ctid", "lab"))
    tree.replace(entities, 0, AT, after=0, now=0.0)
    return tree


def test_only_the_newest_document_waits() -> None:
    """Of many changes of one entity, one document is due, the newest, at the place of the first."""
    tree = new_tree()
    tree.apply(change(None, agent("1")), after=1, now=0.0)
    tree.apply(change(None, agent("2")), after=2, now=0.0)
    tree.apply(change(agent("1"), agent("1", "lunch"), seq=3), after=3, now=0.0)
    first, second = drain(tree)
    assert first.version is not None
    assert (first.version.entity, first.version.seq, first.after) == (agent("1", "lunch"), 3, 1)
    assert second.topic == "ctid/lab/agents/2"


def test_removal_comes_after_its_last_event() -> None:
    """A removal moves to the end, behind the event that tells of the end."""
    tree = new_tree()
    tree.apply(change(None, agent("1")), after=1, now=0.0)
    tree.apply(change(None, agent("2")), after=2, now=0.0)
    tree.apply(change(agent("1"), None), after=4, now=0.0)
    found = drain(tree)
    assert paths(found) == [("agents/2", True), ("agents/1", False)]
    assert found[1].after == 4


def test_snapshot_removes_what_it_does_not_have() -> None:
    """A new snapshot has everything written, and what it lacks removed."""
    tree = new_tree(agent("1"), agent("2"))
    drain(tree)
    tree.replace((agent("2"),), 5, AT, after=0, now=0.0)
    assert sorted(paths(drain(tree))) == [("agents/1", False), ("agents/2", True)]


def test_rewrite_keeps_removals_that_wait() -> None:
    """After a reconnect all documents are due, and so are the removals of the time away."""
    tree = new_tree(agent("1"), agent("2"))
    drain(tree)
    tree.apply(change(agent("1"), None), after=1, now=0.0)
    tree.rewrite()
    assert sorted(paths(drain(tree))) == [("agents/1", False), ("agents/2", True)]


def test_what_was_not_written_is_due_again() -> None:
    """A document or a removal that the connection lost comes back, unless something newer waits already."""
    tree = new_tree(agent("1"), agent("2"))
    tree.apply(change(agent("2"), None), after=1, now=0.0)
    lost = drain(tree)
    tree.apply(change(agent("1"), agent("1", "lunch"), seq=8), after=2, now=0.0)
    for due in lost:
        tree.put_back(due)
    found = drain(tree)
    assert sorted(paths(found)) == [("agents/1", True), ("agents/2", False)]
    assert [due.version.seq for due in found if due.version is not None] == [8]


def test_leftover_waits_for_its_pbx() -> None:
    """What an earlier run left goes once its PBX was heard and did not name it, not before."""
    tree = new_tree()
    tree.found("ctid/lab/agents/1", "p")
    tree.found("ctid/lab/agents/9", "p")
    tree.settle(5.0, everything=False)
    assert drain(tree) == []
    tree.apply(change(None, LINK), after=0, now=10.0)
    tree.settle(10.0, everything=False)
    tree.apply(change(None, agent("1")), after=0, now=10.0)
    tree.settle(10.0 + 2 * SYNCHRONIZED_FOR_S, everything=False)
    assert paths(drain(tree)) == [("pbx/p", True), ("agents/1", True), ("agents/9", False)]
    assert tree.leftovers == {}


def test_everything_left_goes_in_the_end() -> None:
    """When the time is up, leftovers of PBXs never heard, or of none, go as well."""
    tree = new_tree()
    tree.found("ctid/lab/agents/9", "gone")
    tree.found("ctid/lab/calls/x", None)
    tree.settle(0.0, everything=True)
    assert paths(drain(tree)) == [("agents/9", False), ("calls/x", False)]


def test_what_is_true_is_no_leftover() -> None:
    """A document found at the broker of an entity that is, or that goes already, is not a leftover."""
    tree = new_tree(agent("1"), agent("2"))
    tree.apply(change(agent("2"), None), after=0, now=0.0)
    tree.found("ctid/lab/agents/1", "p")
    tree.found("ctid/lab/agents/2", "p")
    assert tree.leftovers == {}

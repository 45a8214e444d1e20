"""What a store keeps of what is no more, and what it does not."""

import pytest

from ctid.model.ids import AgentId
from ctid.state import store as rooms
from helpers.floor import Floor


def test_agents_of_no_queue_are_forgotten_beyond_a_bound(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who left last stays known as logged out; of the others nothing is left."""
    monkeypatch.setattr(rooms, "AGENTS_KEPT", 2)
    for agent in ("1001", "1002", "1003", "1004"):
        floor.agent_joins(agent, "support")
    floor.snapshot()
    floor.members.clear()
    floor.snapshot()
    assert [*floor.store.agents] == ["1001", "1002"]
    assert [*floor.store.stories] == ["1001", "1002"]
    floor.agent_joins("1003", "support")
    assert floor.agent("1003").since == floor.now


def test_missed_calls_go_with_the_membership(floor: Floor) -> None:
    """Also when it is a snapshot that ends it."""
    floor.agent_joins("1001", "support")
    floor.agent_joins("1002", "support")
    floor.store.rows[floor.pbx].miss(AgentId("1001"), floor.members["1001", "support"].queue)
    floor.store.rows[floor.pbx].miss(AgentId("1002"), floor.members["1002", "support"].queue)
    del floor.members["1001", "support"]
    floor.snapshot()
    assert [*floor.store.rows[floor.pbx].missed] == ["1002"]


def test_a_configured_queue_that_the_pbx_lists_no_more_is_not_stale(floor: Floor) -> None:
    """It stays, empty, and is as fresh as the link; whatever number of snapshots it was not in."""
    floor.agent_joins("1001", "support")
    for _ in range(2):
        floor.members.clear()
        floor.queues.clear()
        floor.snapshot()
    floor.link_down()
    floor.link_up()
    floor.snapshot()
    assert not floor.queue("support").stale
    assert not floor.store.rows[floor.pbx].queue_agents
    assert not floor.store.rows[floor.pbx].waiting


def test_the_suspicion_of_a_call_ends_with_it(floor: Floor) -> None:
    """A later one of the same key is not suspected for it."""
    floor.customer_joins("c1", "support")
    floor.snapshot()
    for _ in range(2):
        floor.wait(5 * 3600.0)
        floor.snapshot()
    assert floor.store._suspects
    floor.legs.clear()
    floor.snapshot()
    assert not floor.store._suspects


def test_a_leg_of_no_name_is_nobodys_caller(floor: Floor) -> None:
    """An agent who is offered nobody is in no call, whatever a driver tells."""
    floor.agent_joins("1002", "sales")
    floor.customer_joins("", "sales")
    floor.put_member("1002", "sales", penalty=1)
    assert floor.agent("1002").call is None

import gc

import msgspec
import pytest

from ctid.model.entities import Queue
from ctid.model.facts import Fact, Leg, LegChanged, LegEnded, LinkDown
from ctid.model.ids import LegId, PbxId, QueueId
from ctid.model.instant import dec_hook, enc_hook
from ctid.model.users import User, UserRole
from ctid.model.words import AgentState
from helpers.floor import BASE


def test_a_fact_goes_through_json_by_its_tag() -> None:
    """A recorded fact is read again as what it was."""
    leg = Leg(id=LegId("c1"), call="c1", created_at=BASE, incoming=True)
    for fact in (
        LegChanged(pbx=PbxId("lab"), at=BASE, leg=leg),
        LegEnded(pbx=PbxId("lab"), at=BASE, leg=LegId("c1"), cause=16),
        LinkDown(pbx=PbxId("lab"), at=BASE, driver="asterisk", reason="lost"),
    ):
        text = msgspec.json.encode(fact, enc_hook=enc_hook)
        assert msgspec.json.decode(text, type=Fact, dec_hook=dec_hook) == fact


def test_entities_are_frozen() -> None:
    """Nobody changes the state behind the store's back."""
    queue = Queue(id=QueueId("support"), pbx=PbxId("lab"), name="Support", since=BASE)
    with pytest.raises(AttributeError):
        queue.name = "Sales"  # type: ignore[misc] # that it is refused is what is tested


def test_two_queues_do_not_share_their_counts() -> None:
    """A default that can be changed belongs to one entity alone."""
    one, two = (Queue(id=QueueId(q), pbx=PbxId("lab"), name=q, since=BASE) for q in ("a", "b"))
    one.agents[AgentState.READY] = 1
    assert two.agents == {}


def test_facts_are_not_tracked_by_the_collector() -> None:
    """Thousands a second of them cost the garbage collector nothing."""
    assert not gc.is_tracked(Leg(id=LegId("c1"), call="c1", created_at=BASE, incoming=True))


def test_a_user_without_phones_has_none() -> None:
    """Rights over phones are given, never assumed."""
    assert User(name="sofia", role=UserRole.SUPERVISOR).phones == frozenset()

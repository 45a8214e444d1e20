"""Calls of the lab, recorded with the lists that Asterisk gave in the middle of them.

In this order: a direct call with hold; a queue call that is transferred blindly; one that is abandoned; one
that is declined, offered again and abandoned; one to a member of the form Local/…/n, with a second caller who
gives up; one to a Local member whose pair is optimised away; a pause with a reason.
"""

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from ctid.model.entities import Agent, Call
from ctid.model.instant import Instant
from ctid.model.words import Role
from ctid_asterisk.lists import Lists
from ctid_asterisk.wire import AmiReader, Message
from replay.wire import Floor, recorded

NOW = Instant(1795417439.0)
LISTS = {
    "CoreShowChannel": "channels",
    "QueueParams": "queues",
    "QueueMember": "queues",
    "QueueEntry": "queues",
    "Status": "holds",
}


def messages() -> Iterator[Message]:
    """The wire's messages."""
    for message in AmiReader().feed(recorded("lab-calls")):
        if isinstance(message, Message):
            yield message


class Taken:
    """The lists of one moment, as they come along."""

    def __init__(self) -> None:
        self.items: dict[str, list[Message]] = {"channels": [], "queues": [], "holds": []}

    def lists(self) -> Lists:
        """All of them."""
        return Lists(self.items["channels"], self.items["queues"], (), self.items["holds"])


def timeless(entity: Call | Agent) -> Call | Agent:
    """What of a call or an agent can be compared between two that learned of it in different ways."""
    if isinstance(entity, Agent):
        queues = tuple(sorted(entity.queues, key=lambda membership: membership.queue))
        queues = tuple(replace(q, last_call_at=None, missed=0, paused_at=None) for q in queues)
        return replace(entity, since=NOW, confirmed_at=None, after_call_work=None, queues=queues)
    parties = tuple(sorted((replace(p, since=NOW) for p in entity.parties), key=lambda p: p.leg))
    # When it began to be what it is, and where it was before, no list tells.
    answered = NOW if entity.answered_at is not None else None
    return replace(
        entity,
        since=NOW,
        started_at=NOW,
        confirmed_at=None,
        answered_at=answered,
        dialled="",
        queue=None,
        parties=parties,
        aliases=tuple(party.leg for party in parties),
    )


def picture(floor: Floor) -> dict[str, Call | Agent]:
    """The calls and agents of a floor."""
    everyone: list[Call | Agent] = [*floor.store.calls.values(), *floor.store.agents.values()]
    return {entity.id: timeless(entity) for entity in everyone}


class Replayed:
    """The floor after it all, and the pictures of each moment at which the lists were taken."""

    def __init__(self) -> None:
        first = Taken()
        self.pictures: list[tuple[dict[str, Call | Agent], dict[str, Call | Agent]]] = []
        for message in messages():
            if message.tagged and message.name in LISTS:
                first.items[LISTS[message.name]].append(message)
            if message.name == "StatusComplete":
                break
        members = [item for item in first.items["queues"] if item.name != "QueueEntry"]
        self.floor = Floor(Lists((), members, (), ()), NOW)
        taken = Taken()
        for message in messages():
            if not message.tagged:
                self.floor.hear(message, NOW)
            elif message.name in LISTS:
                taken.items[LISTS[message.name]].append(message)
            elif message.name == "StatusComplete":
                again = Floor(taken.lists(), NOW)
                self.pictures.append((picture(self.floor), picture(again)))
                taken = Taken()


@pytest.fixture(scope="module")
def told() -> Replayed:
    """The wire, read once."""
    return Replayed()


def test_a_direct_call_that_is_held(told: Replayed) -> None:
    """From ringing to talking, held, talking again, and its end."""
    states = ["initiated", "alerting", "connected", "held", "connected", "initiated", "ended"]
    assert told.floor.call("1001") == states


def test_a_queue_call_that_is_transferred(told: Replayed) -> None:
    """It rings again where it is transferred to, and is the same call to its end."""
    states = told.floor.call("7000", 0)
    assert states[:4] == ["initiated", "queued", "alerting", "connected"]
    assert states[4:] == ["initiated", "alerting", "connected", "initiated", "ended"]
    (served, *_) = told.floor.occurrences("call_served")
    assert (served.by, served.agent, served.figures) == ("transfer", "1001", {"hold_s": 2.0, "talk_s": 0.0})


def test_calls_that_are_abandoned(told: Replayed) -> None:
    """Alone, after a decline, and behind another caller: each is told with its wait."""
    assert told.floor.call("7000", 1) == ["initiated", "queued", "alerting", "queued", "initiated", "ended"]
    assert told.floor.call("7002", 1) == ["initiated", "queued", "initiated", "ended"]
    abandoned = told.floor.occurrences("caller_abandoned")
    assert [(it.queue, it.figures["wait_s"]) for it in abandoned] == [
        ("support", 1.0),
        ("support", 2.0),
        ("desk", 0.0),
    ]


def test_a_call_that_is_declined(told: Replayed) -> None:
    """It is missed, waits on, and is offered again."""
    states = told.floor.call("7000", 2)
    assert states == ["initiated", "queued", "alerting", "queued", "alerting", "initiated", "ended"]
    (missed,) = told.floor.occurrences("offer_missed")
    assert (missed.agent, missed.queue, missed.figures) == ("1001", "support", {"ring_s": 1.0})


def test_a_call_to_a_local_member(told: Replayed) -> None:
    """Behind a pair that is kept it is a call of two parties like any other."""
    assert told.floor.call("7002") == ["initiated", "queued", "alerting", "connected", "initiated", "ended"]


def test_a_call_whose_local_pair_is_optimised_away(told: Replayed) -> None:
    """While the phone takes the pair's place nothing changes: the caller is with the agent all the time."""
    states = told.floor.call("7001")
    assert states[:4] == ["initiated", "queued", "alerting", "connected"]
    assert states[4:] == ["initiated", "ended"]
    served = told.floor.occurrences("call_served")[-1]
    assert (served.agent, served.queue, served.by) == ("1007", "sales", "agent")


def test_the_agents(told: Replayed) -> None:
    """Each is offered and busy as her calls are."""
    alice = told.floor.agent("1001")
    assert alice[:6] == ["ready", "offered", "busy_other", "ready", "offered", "busy"]
    assert alice[6:] == ["ready", "offered"] * 3 + ["ready", "not_ready", "ready"]
    grace = told.floor.agent("1007")
    assert grace[:3] == ["ready", "offered", "busy"]
    assert grace[-4:] == ["ready", "offered", "busy", "ready"]


def test_everything_is_over(told: Replayed) -> None:
    """No call is left, nobody waits."""
    assert told.floor.store.calls == {}
    assert [queue.waiting for queue in told.floor.store.queues.values()] == [(), (), ()]


def test_at_each_moment_the_lists_tell_what_the_events_told(told: Replayed) -> None:
    """A daemon that starts in the middle of a call sees what one sees that was there from its beginning.

    But after a transfer: that the caller came through a queue, no list tells.
    """
    transferred = "lab.1795417443.2"
    assert len(told.pictures) == 7
    for number, (by_events, by_lists) in enumerate(told.pictures):
        if number == 2:
            before, after = by_events.pop(transferred), by_lists.pop(transferred)
            assert isinstance(before, Call)
            assert isinstance(after, Call)
            assert [party.role for party in before.parties] == [Role.CUSTOMER, Role.OTHER]
            assert [party.role for party in after.parties] == [Role.OTHER, Role.OTHER]
        assert by_lists == by_events

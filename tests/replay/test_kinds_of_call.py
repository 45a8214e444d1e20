"""Every kind of call of a call centre, as a real Asterisk told it, against its queue log and its lists."""

from collections.abc import Iterable

import pytest

from ctid.model.facts import CallerLeft, QueueMoment
from ctid.model.words import LeaveReason, Registration
from ctid_asterisk import queue_log
from replay.kinds import kind, names, sections, short
from replay.wire import PBX

LOGGED = [name for name in names() if f"{name}.queue_log" in sections()]

PARKED = "CallTransferred 1001 blind 700"
PARKED_BRIEFLY = "CallTransferred 1001 blind 730"


def figures(moments: Iterable[QueueMoment]) -> list[tuple[object, ...]]:
    """What of moments a report counts, in an order of its own."""
    fields = ("queue", "leg", "agent", "reason", "by", "hold_s", "talk_s", "wait_s")
    told = [(type(m).__name__, *(str(getattr(m, field, "")) for field in fields)) for m in moments]
    return sorted(told)


@pytest.mark.parametrize("name", names())
def test_nothing_is_left(name: str) -> None:
    """At the end no call, no waiting caller, no engaged member is left, and every fact says whence it is."""
    one = kind(name)
    assert one.floor.store.calls == {}
    assert [queue.waiting for queue in one.floor.store.queues.values() if queue.waiting] == []
    members = one.floor.normalizer.members.by_key.values()
    assert [member for member in members if member.offered or member.serving] == []
    assert [fact for fact in one.facts if not fact.source] == []


@pytest.mark.parametrize("name", names())
def test_the_lists_tell_the_same(name: str) -> None:
    """Who starts in the middle of it finds the same legs in the same calls, conversations and queues."""
    assert kind(name).disagreements == []


@pytest.mark.parametrize("name", LOGGED)
def test_the_queues_moments_are_the_logs(name: str) -> None:
    """Joining, answers, misses, leaving and service: as often, of whom, how long and why as in queue_log."""
    one = kind(name)
    lines = [queue_log.parse(line) for line in sections()[f"{name}.queue_log"].splitlines()]
    members = queue_log.Names(one.floor.normalizer.members.by_key)
    story = queue_log.tell([line for line in lines if line is not None], PBX, members)
    assert figures(one.queue_moments()) == figures(story.moments)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("blind-to-phone", ["CallTransferred 1001 blind 2001"]),
        ("blind-to-queue", ["CallTransferred 1001 blind 7001"]),
        ("blind-code", ["CallTransferred 1001 blind 2001"]),
        ("blind-fail", []),
        ("desk-blind-to-queue", ["CallTransferred 1007 blind 7001"]),
        ("transfer-blind-by-customer", ["CallTransferred 3001 blind 1005"]),
        ("attended-transfer", ["CallTransferred 1001 attended 1005"]),
        ("attended-transfer-abandoned", []),
        ("attended-transfer-external", ["CallTransferred 1001 attended 3004"]),
        ("attended-transfer-local-n", ["CallTransferred 1007 attended 1005"]),
        ("attended-transfer-ringing", ["CallTransferred 1001 attended 1005"]),
        ("attended-transfer-to-queue-agent", ["CallTransferred 1001 attended 1005"]),
        ("attended-transfer-to-waiting-queue", ["CallTransferred 1001 attended 7001"]),
        ("feature-atxfer", ["CallTransferred 1001 attended 1005"]),
        ("atxfer-code-abandoned", []),
        ("atxfer-code-threeway", []),
        ("atxfer-code-ringing", ["CallTransferred 1001 attended 2001"]),
        ("pickup-group", ["CallPickedUp 1002 1001"]),
        ("pickup-queue", ["CallPickedUp 1002 1005"]),
        ("pickup-desk", ["CallPickedUp 1002 1007"]),
        ("park-ami", ["CallParked 3001 701", "CallRetrieved 3001 701 timeout"]),
        ("park-giveup", [PARKED, "CallParked 3001 701", "CallRetrieved 3001 701 caller"]),
        ("park-timeout", [PARKED_BRIEFLY, "CallParked 3001 731", "CallRetrieved 3001 731 timeout"]),
        ("park-retrieve", [PARKED, "CallParked 3001 701", "CallRetrieved 3001 701 retriever"]),
    ],
)  # fmt: skip
def test_the_moments_of_calls(name: str, told: list[str]) -> None:
    """Who passed the call on, took it or was parked, in which way and where to."""
    assert sorted(kind(name).moments()) == sorted(told)


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("attended-transfer-ringing", "16"),
        ("pickup-group", "47"),
        ("pickup-queue", "50"),
        ("pickup-desk", "53"),
        ("park-retrieve", "58"),
        ("confbridge", "69"),
        ("conf-redirect", "73"),
        ("click-to-dial-local", "click-2"),
        ("forward-302", "40"),
    ],
)
def test_calls_that_become_one_keep_the_oldest_key(name: str, first: str) -> None:
    """The other call ends in the oldest, which goes on to the end."""
    calls = kind(name).calls()
    assert [ident for ident, states in calls.items() if states[-1] == "ended"] == [first]
    assert {states[-1] for ident, states in calls.items() if ident != first} <= {f"ended into {first}"}


class TestMembers:
    """Whom the queue's members are busy with."""

    @pytest.mark.parametrize(
        ("name", "queue", "agent"),
        [
            ("attended-transfer", "support", "1001"),
            ("attended-transfer-local-n", "desk", "1007"),
            ("atxfer-code-threeway", "support", "1001"),
            ("desk-blind-to-queue", "desk", "1007"),
            ("desk-blind-to-queue", "sales", "1005"),
            ("forward-302-queue", "support", "1001"),
            ("local-optimised", "local", "1006"),
            ("pool", "pool", "1006"),
        ],
    )
    def test_she_serves_the_caller_once(self, name: str, queue: str, agent: str) -> None:
        """From the connection until she is out of the call, and then nobody."""
        assert kind(name).serving(queue, agent) == ["", "3001", ""]

    @pytest.mark.parametrize(
        ("name", "queue", "agent"), [("pickup-desk", "desk", "1007"), ("pickup-queue", "sales", "1005")]
    )
    def test_whose_call_was_picked_up_serves_nobody(self, name: str, queue: str, agent: str) -> None:
        """The queue believes that its member took the call; her phone is idle."""
        assert kind(name).serving(queue, agent) == [""]

    def test_the_consulting_agents_caller_is_the_one_she_has(self) -> None:
        """Into a queue that was consulted comes the customer, in the place of the agent who asked."""
        one = kind("attended-transfer-to-waiting-queue")
        assert one.serving("sales", "1005") == ["", "3001", ""]
        assert ("sales", 1) in {(leg.queue, leg.position) for leg in one.legs("3001")}
        assert one.legs("1001")[-1].position is None


class TestLocalChannels:
    """What is hidden stays hidden."""

    def test_the_customer_waits_where_the_half_does(self) -> None:
        """Her agent has transferred her to another queue through a pair that stays."""
        one = kind("desk-blind-to-queue")
        places = [(leg.queue, leg.position) for leg in one.legs("3001")]
        assert ("sales", 1) in places
        assert places[-1] == ("sales", None)
        assert {m.leg for m in one.queue_moments()} == {one.legs("3001")[0].id}
        assert set(one.calls()) == {short(one.legs("3001")[0].id)}

    @pytest.mark.parametrize("name", ["local-optimised", "forward-302", "feature-atxfer", "pool"])
    def test_a_pair_stands_aside_without_a_trace(self, name: str) -> None:
        """While a phone takes the pair's place the call is connected all the time."""
        (states,) = [states for states in kind(name).calls().values() if "connected" in states]
        assert states[states.index("connected") :].count("connected") == 1 + (name == "feature-atxfer")


class TestDeparture:
    """Why callers left their queues."""

    @pytest.mark.parametrize(
        ("name", "queue", "reason"),
        [
            ("overflow", "short", LeaveReason.TIMEOUT),
            ("strict-leave", "strict", LeaveReason.EMPTY),
            ("key-exit", "keys", LeaveReason.KEY),
            ("withdraw", "sales", LeaveReason.WITHDRAWN),
        ],
    )
    def test_the_reason(self, name: str, queue: str, reason: LeaveReason) -> None:
        """As the variable QUEUESTATUS says, or a key."""
        left = [moment for moment in kind(name).queue_moments() if isinstance(moment, CallerLeft)]
        assert [(moment.queue, moment.reason) for moment in left] == [(queue, reason)]

    def test_who_was_not_let_in_has_not_left(self) -> None:
        """A queue without members refuses the caller: it has nothing to tell of him."""
        assert kind("strict-full").queue_moments() == []


class TestElsewhere:
    """Places that are no conversation of two."""

    def test_parked(self) -> None:
        """The parked party is told with his place, and hears nobody until he is retrieved."""
        told = [(leg.parked, leg.conversation is not None) for leg in kind("park-retrieve").legs("3001")]
        assert ("701", False) in told
        assert told[-1][0] == ""

    def test_a_room(self) -> None:
        """Who is in a room is told with its name, and all in it are one call for as long."""
        one = kind("confbridge")
        assert {leg.conference for leg in one.legs("2001")} == {"", "7100"}
        assert {short(leg.call) for leg in one.legs("2001") if leg.conference} == {"69"}

    def test_an_agent_of_the_pool_is_in_no_call_while_she_waits(self) -> None:
        """Her standing channel is a leg while she talks, in the customer's call, and its key is no call's."""
        one = kind("pool")
        talking = [leg for leg in one.legs("1006") if leg.conversation is not None]
        assert {leg.call for leg in talking} == {one.legs("3001")[0].id}
        assert {leg.incoming for leg in talking} == {False}
        assert {leg.call for leg in one.legs("3001")} == {one.legs("3001")[0].id}
        assert min(leg.created_at for leg in talking) > one.legs("3001")[0].created_at

    def test_three_who_talk(self) -> None:
        """The consulting agent brings both together, and holds nobody any more."""
        one = kind("atxfer-code-threeway")
        assert [leg.held for leg in one.legs("1001")][-1] is False
        rooms = {leg.conversation for phone in ("3001", "1001", "2001") for leg in one.legs(phone)[-2:]}
        assert len(rooms - {None}) <= 2

    def test_hold(self) -> None:
        """Whoever presses it is told as holding, until she takes the call back."""
        held = kind("queue-hold")
        for phone in ("1001", "3001"):
            assert [leg.held for leg in held.legs(phone)].count(True) == 1
            assert not held.legs(phone)[-1].held


def test_registration() -> None:
    """A phone registers, does not answer any more, comes back under another address, and goes."""
    steps = [
        Registration.REGISTERED,
        Registration.UNREACHABLE,
        Registration.REGISTERED,
        Registration.UNREGISTERED,
    ]
    assert kind("qualify").devices("1008") == steps


def test_quality() -> None:
    """The reports of a call on one machine: no loss, little jitter, and the best that G.711 can be."""
    told = kind("rtcp").qualities()
    assert {fact.leg for fact in told} == {
        leg.id for phone in ("3001", "1001") for leg in kind("rtcp").legs(phone)
    }
    assert {fact.quality.loss for fact in told} == {0.0}
    assert all(fact.quality.mos == 4.4 and fact.quality.jitter_ms < 20 for fact in told)
    assert any(fact.quality.round_trip_ms is not None for fact in told)

from collections.abc import Mapping

import pytest

from ctid.model.facts import (
    CallerAbandoned,
    CallerAnswered,
    CallerLeft,
    CallerQueued,
    CallServed,
    Member,
    OfferMissed,
)
from ctid.model.ids import AgentId, PbxId, QueueId
from ctid.model.words import LeaveReason
from ctid.ports import MemberName
from ctid_asterisk.members import Key
from ctid_asterisk.queue_log import Line, Names, Story, parse, tell, whole

PBX = PbxId("lab")

REAL = """\
1795426305|NONE|NONE|NONE|QUEUESTART|
1795426305|1795426305.0|support|NONE|ENTERQUEUE||3001|1
1795426305|1795426305.0|support|Alice Martin|CONNECT|0|1795426305.1|0
1795426306|1795426305.0|support|Alice Martin|COMPLETECALLER|0|1|1
1795426308|1795426308.6|desk|NONE|ENTERQUEUE||3001|1
1795426308|1795426308.6|desk|Grace Laurent|CONNECT|0|1795426308.7|0
1795426309|1795426308.8|sales|NONE|ENTERQUEUE||3001|1
1795426309|1795426308.8|sales|Farid Benali|CONNECT|0|1795426309.10|0
1795426310|1795426308.8|sales|Farid Benali|COMPLETEAGENT|0|1|1
1795426310|1795426308.6|desk|Grace Laurent|COMPLETEAGENT|0|2|1
1795426311|1795426311.11|sales|NONE|ENTERQUEUE||3001|1
1795426311|1795426311.11|sales|Farid Benali|RINGNOANSWER|1500
1795426312|1795426311.11|sales|Farid Benali|RINGCANCELED|6
1795426312|1795426311.11|sales|NONE|ABANDON|1|2|3
1795426313|1795426312.14|sales|Farid Benali|BLINDTRANSFER|9000|from-internal|4|5|1
1795426318|1795426314.16|short|NONE|EXITWITHTIMEOUT|1|1|4
1795426320|1795426319.18|keys|NONE|EXITWITHKEY|1|2|3|9
"""
"""Of the lab's Asterisk 22, the blind transfer of a Local member among it; some figures changed."""


def members(*known: tuple[str, str, str]) -> dict[Key, Member]:
    """Members by queue, interface and name."""
    return {
        (queue, interface): Member(
            queue=QueueId(queue), agent=AgentId(interface.partition("/")[2].partition("@")[0]), name=name
        )
        for queue, interface, name in known
    }


def floor() -> dict[Key, Member]:
    """The lab's members."""
    return members(
        ("support", "PJSIP/1001", "Alice Martin"),
        ("sales", "PJSIP/1006", "Farid Benali"),
        ("desk", "Local/1007@from-queue/n", "Grace Laurent"),
    )


def told(text: str, known: Mapping[Key, Member] | None = None, **names: object) -> Story:
    """Tell a log's text."""
    lines = [line for raw in text.splitlines() if (line := parse(raw)) is not None]
    asked = Names(floor() if known is None else known, **names)  # type: ignore[arg-type]
    return tell(lines, PBX, asked)


def test_a_real_log() -> None:
    """Each line of a caller is its moment; the sales' part of the desk's call is the customer's own leg's."""
    story = told(REAL)
    found = [(type(m), int(m.at), str(m.queue), str(m.leg), getattr(m, "agent", "")) for m in story.moments]
    assert found == [
        (CallerQueued, 1795426305, "support", "1795426305.0", ""),
        (CallerAnswered, 1795426305, "support", "1795426305.0", "1001"),
        (CallServed, 1795426306, "support", "1795426305.0", "1001"),
        (CallerQueued, 1795426308, "desk", "1795426308.6", ""),
        (CallerAnswered, 1795426308, "desk", "1795426308.6", "1007"),
        (CallerQueued, 1795426309, "sales", "1795426308.6", ""),
        (CallerAnswered, 1795426309, "sales", "1795426308.6", "1006"),
        (CallServed, 1795426310, "sales", "1795426308.6", "1006"),
        (CallServed, 1795426310, "desk", "1795426308.6", "1007"),
        (CallerQueued, 1795426311, "sales", "1795426311.11", ""),
        (OfferMissed, 1795426311, "sales", "1795426311.11", "1006"),
        (CallerAbandoned, 1795426312, "sales", "1795426311.11", ""),
        (CallServed, 1795426313, "sales", "1795426312.14", "1006"),
        (CallerLeft, 1795426318, "short", "1795426314.16", ""),
        (CallerLeft, 1795426320, "keys", "1795426319.18", ""),
    ]
    assert (story.nameless, story.unknown, story.unread) == ({}, {}, 0)
    assert {moment.source for moment in story.moments} >= {"queue_log ENTERQUEUE", "queue_log ABANDON"}


def test_figures_of_a_real_log() -> None:
    """Hold, ring, wait and talk stand at each event's own place; the ringing is in milliseconds."""
    moments = told(REAL).moments
    missed, abandoned, transferred, timeout, key = moments[-5:]
    assert isinstance(missed, OfferMissed)
    assert missed.ring_s == 1.5
    assert isinstance(abandoned, CallerAbandoned)
    assert (abandoned.position, abandoned.wait_s) == (1, 3.0)
    assert isinstance(transferred, CallServed)
    assert (transferred.hold_s, transferred.talk_s, transferred.by) == (4.0, 5.0, "transfer")
    assert isinstance(timeout, CallerLeft)
    assert (timeout.reason, timeout.position, timeout.wait_s) == (LeaveReason.TIMEOUT, 1, 4.0)
    assert isinstance(key, CallerLeft)
    assert (key.reason, key.position, key.wait_s) == (LeaveReason.KEY, 2, 9.0)


@pytest.mark.parametrize(
    "where",
    ["BRIDGE|b1|7|8|1", "APP|Queue|7|8|1", "LINK|PJSIP/a-1|PJSIP/b-2|7|8|1"],
)
def test_attended_transfer(where: str) -> None:
    """Whatever an attended transfer went to, its last three figures are those of any ending."""
    (moment,) = told(f"9|9.1|sales|Farid Benali|ATTENDEDTRANSFER|{where}\n").moments
    assert isinstance(moment, CallServed)
    assert (moment.hold_s, moment.talk_s, moment.by) == (7.0, 8.0, "transfer")


def test_other_ends_of_a_wait() -> None:
    """Channels that could not be joined are an abandon, after as long as it was; so are the other exits."""
    text = (
        "5|5.1|sales|NONE|ENTERQUEUE||x|1\n9|5.1|sales|Farid Benali|SYSCOMPAT|\n"
        "9|6.1|sales|NONE|EXITEMPTY|1|1|3\n9|7.1|sales|NONE|WITHDRAW|1|1|3|why | not\n"
        "9|8.1|sales|Farid Benali|ABANDON|1|1|3\n"
    )
    _, compat, empty, withdrawn, connecting = told(text).moments
    assert isinstance(compat, CallerAbandoned)
    assert compat.wait_s == 4.0
    assert isinstance(empty, CallerLeft)
    assert empty.reason is LeaveReason.EMPTY
    assert isinstance(withdrawn, CallerLeft)
    assert (withdrawn.reason, withdrawn.wait_s) == (LeaveReason.WITHDRAWN, 3.0)
    assert isinstance(connecting, CallerAbandoned)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1|2|3|4",
        "x|1.1|q|a|CONNECT|1",
        "٣|1.1|q|a|CONNECT|1",
        "9" * 400 + "|1.1|q|a|CONNECT",
        "5|" + "1" * 256 + "|q|a|CONNECT",
    ],
)
def test_no_line(text: str) -> None:
    """What is not of the log's form is none of its lines."""
    assert parse(text) is None


def test_name_with_a_bar() -> None:
    """A bar in a member's name shifts the fields; the event is found all the same."""
    assert parse("5|5.1|sales|A|B|C|CONNECT|1|5.2|3") == Line(
        5, "5.1", "sales", "A|B|C", "CONNECT", ("1", "5.2", "3")
    )
    assert parse("5|5.1|sales|A|NEWEVENT|1") == Line(5, "5.1", "sales", "A", "NEWEVENT", ("1",))


def test_what_is_not_understood_is_counted() -> None:
    """An event that is none of Asterisk's own is counted, and so is a moment that lacks a figure."""
    story = told("5|5.1|sales|X|SURVEY|5\n5|5.1|sales|NONE|ABANDON|1\n5|5.1|sales|NONE|ENTERQUEUE||1|first\n")
    assert (story.moments, story.unknown, story.unread) == ((), {"SURVEY": 1}, 2)


def test_names() -> None:
    """By the queue's members, then all members, then those remembered, then by an interface as the name."""
    remembered = (
        MemberName(queue=QueueId("sales"), name="Old", agent=AgentId("1009")),
        MemberName(queue=QueueId("sales"), name="Twins", agent=AgentId("1")),
        MemberName(queue=QueueId("sales"), name="Twins", agent=AgentId("2")),
        MemberName(queue=QueueId("sales"), name="Alice Martin", agent=AgentId("9999")),
    )
    asked = Names(floor(), remembered)
    assert asked.agent("sales", "Farid Benali") == "1006"
    assert asked.agent("sales", "Alice Martin") == "1001", "of another queue, and known now"
    assert asked.agent("sales", "Old") == "1009"
    assert asked.agent("support", "Old") == "1009"
    assert asked.agent("sales", "Twins") is None
    assert asked.agent("sales", "Nobody") is None
    assert asked.agent("sales", "Local/1008@from-queue/n") == "1008"
    assert {(name.queue, name.name, name.agent) for name in asked.known()} == {
        ("support", "Alice Martin", "1001"),
        ("sales", "Farid Benali", "1006"),
        ("desk", "Grace Laurent", "1007"),
    }


def test_two_of_a_name() -> None:
    """Who answered is known by her channel while it lives, and for the end of that call."""
    known = members(("sales", "PJSIP/1001", "Anna"), ("sales", "Local/1002@from-queue/n", "Anna"))
    text = (
        "5|5.1|sales|Anna|RINGNOANSWER|1000\n6|5.1|sales|Anna|CONNECT|1|6.2|0\n"
        "7|5.1|sales|Anna|COMPLETEAGENT|1|1|1\n8|8.1|sales|Anna|CONNECT|1|8.2|0\n"
    )
    story = told(text, known, channels={"6.2": "Local/1002@from-queue-00000001;1"})
    assert [moment.agent for moment in story.moments if not isinstance(moment, CallerQueued)] == [  # type: ignore[union-attr]
        "",
        "1002",
        "1002",
        "",
    ]
    assert story.nameless == {"Anna": 2}


@pytest.mark.parametrize(
    "text",
    [
        f"5|5.1|sales|NONE|ENTERQUEUE||x|{'9' * 20}",
        "5|5.1|sales|NONE|ABANDON|1|1|nan",
        "5|5.1|sales|NONE|ABANDON|1|1|inf",
        f"5|5.1|sales|NONE|ABANDON|{'9' * 20}|1|1",
        f"5|5.1|sales|NONE|EXITEMPTY|{'9' * 20}|1|1",
        "5|5.1|sales|NONE|EXITEMPTY|1|1|nan",
        "5|5.1|sales|Farid Benali|CONNECT|inf|5.2|1",
        "5|5.1|sales|Farid Benali|RINGNOANSWER|1e400",
        "5|5.1|sales|Farid Benali|COMPLETEAGENT|1|nan|1",
        "5|5.1|sales|Farid Benali|BLINDTRANSFER|1|c|nan|1|1",
    ],
)
def test_figures_that_are_none(text: str) -> None:
    """A figure that no ledger can hold makes the line one that was not read."""
    story = told(text)
    assert (story.moments, story.unread) == ((), 1)


def test_a_byte_that_is_no_text() -> None:
    """A leg is told as events tell it, with U+FFFD for the byte; so are the queue and the channel."""
    line = parse("5|5.\udcff1|s\udcff|A\udcff|CONNECT|1|5.\udcff2|1")
    assert line == Line(5, "5.\ufffd1", "s\ufffd", "A\ufffd", "CONNECT", ("1", "5.\ufffd2", "1"))


def test_a_call_through_an_id_that_was_chosen() -> None:
    """A Local channel whose id tells nothing has no other half that could be known."""
    moments = told("5|5.1|desk|Grace Laurent|CONNECT|1|chosen|0\n").moments
    assert len(moments) == 1


OLD = """\
5|5.0|desk|NONE|ENTERQUEUE||{caller}|1
6|5.0|desk|Grace Laurent|CONNECT|1|5.3|0
{between}7|5.5|sales|NONE|ENTERQUEUE||{other}|1
9|5.5|sales|Farid Benali|CONNECT|2|7.9|0
"""
"""Of the lab's Asterisk 16: between the two halves of a Local channel is a number that no channel has."""


def old(
    between: str = "", other: str = "3001", caller: str = "3001", channels: Mapping[str, str] | None = None
) -> tuple[list[str], set[str]]:
    """Whose legs the sales' moments are told as, and which are strange."""
    story = told(OLD.format(caller=caller, other=other, between=between), channels=channels)
    return [str(moment.leg) for moment in story.moments if moment.queue == "sales"], set(story.strange)


HERS, OTHERS, STRANGE = ["5.0", "5.0"], ["5.5", "5.5"], {"5.5"}


@pytest.mark.parametrize(
    ("caller", "other", "legs", "strange"),
    [
        ("3001", "3001", HERS, set()),
        ("3001", "3002", OTHERS, set()),
        ("3001", "anonymous", OTHERS, set()),
        ("", "", OTHERS, STRANGE),
        ("anonymous", "anonymous", OTHERS, STRANGE),
        ("000", "000", OTHERS, STRANGE),
    ],
)
def test_a_half_that_was_not_made_at_once(
    caller: str, other: str, legs: list[str], strange: set[str]
) -> None:
    """It is the caller's where it comes with the caller's own number; no number, and it is not known."""
    assert old(caller=caller, other=other) == (legs, strange)


def test_another_id_lies_between() -> None:
    """Where the log has an id nearer to the first half, the further one may be anybody's."""
    assert old("7|5.4|support|NONE|ENTERQUEUE||3009|1\n") == (OTHERS, STRANGE)
    assert old(channels={"5.4": "PJSIP/3009-00000001"}) == (OTHERS, STRANGE)


def test_a_trunk_s_number() -> None:
    """A number that a third caller comes with as well says of nobody that he is the same."""
    assert old("7|6.9|support|NONE|ENTERQUEUE||3001|1\n") == (OTHERS, STRANGE)


def test_a_leg_that_was_told_before() -> None:
    """Who has entered a queue before the member answered is no half of her channel, nor who was dialled."""
    text = "5|5.5|support|NONE|ENTERQUEUE||3001|1\n" + OLD.format(caller="3001", other="3001", between="")
    story = told(text)
    assert [moment.leg for moment in story.moments if moment.queue == "sales"] == OTHERS
    dialled = "5|4.0|sales|Farid Benali|CONNECT|2|5.5|0\n" + OLD.format(
        caller="3001", other="3001", between=""
    )
    assert {moment.leg for moment in told(dialled).moments} == {"4.0", "5.0", "5.5"}
    next_one = (
        "4|5.4|support|NONE|ENTERQUEUE||3009|1\n5|5.0|desk|Grace Laurent|CONNECT|1|5.3|0\n"
        "6|5.4|sales|NONE|ENTERQUEUE||3009|1\n"
    )
    assert [moment.leg for moment in told(next_one).moments] == ["5.4", "5.0", "5.4"]


def test_a_leg_that_lives() -> None:
    """A channel's name says whether it is the other half, however far its id is, and whatever its number."""
    first, second = "Local/1007@from-queue-00000004;1", "Local/1007@from-queue-00000004;2"
    assert old(channels={"5.5": "PJSIP/3001-00000001"}) == (OTHERS, set())
    assert old(channels={"5.3": first, "5.5": "PJSIP/3001-00000001"}) == (OTHERS, set())
    assert old(channels={"5.3": first, "5.5": second}) == (HERS, set())
    assert old(channels={"5.3": first, "5.5": second}, other="") == (HERS, set())
    assert old(channels={"5.3": first, "5.4": second}) == (OTHERS, set())


def test_a_conversation_that_is_over() -> None:
    """Who enters after the member has hung up is nobody whom she has sent on."""
    over = "6|5.0|desk|Grace Laurent|COMPLETEAGENT|1|1|1\n"
    assert old(over) == (OTHERS, set())
    assert old(over.replace("desk", "support")) == (HERS, set())


def test_a_phone_has_no_other_half() -> None:
    """After a member who is reached directly, the next unique id is somebody else's."""
    text = "5|5.1|sales|Farid Benali|CONNECT|1|5.2|0\n5|5.3|sales|NONE|ENTERQUEUE||x|1\n"
    assert [moment.leg for moment in told(text).moments] == ["5.1", "5.3"]
    unknown = "5|5.1|sales|Somebody|CONNECT|1|5.2|0\n5|5.3|sales|NONE|ENTERQUEUE||x|1\n"
    assert [moment.leg for moment in told(unknown).moments] == ["5.1", "5.3"]


def test_whole_calls() -> None:
    """To have a leg whole, the caller who talks through it must be whole too."""
    lines = [line for raw in REAL.splitlines() if (line := parse(raw)) is not None]
    legs, since = whole(lines, {"1795426308.8"}, lambda leg: float(leg.partition(".")[0]))
    assert (legs, since) == ({"1795426308.8", "1795426308.6"}, 1795426308.0)
    assert whole([Line(5, "5.1", "q", "a", "CONNECT", ())], set(), lambda _: 0.0) == (set(), 0.0)

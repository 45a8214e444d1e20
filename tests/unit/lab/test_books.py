"""The comparison with the PBX's books finds what differs, and nothing where they agree."""

from collections.abc import Iterable
from typing import Any

import pytest

from e2e import books, records

LOG = """\
1795426720|NONE|NONE|NONE|QUEUESTART|
1795426720|1795426720.0|support|NONE|ENTERQUEUE||3001|1
1795426720|1795426720.0|support|Alice Martin|RINGNOANSWER|1000
1795426722|1795426720.0|support|Alice Martin|CONNECT|2|1795426720.1|1
1795426725|1795426720.0|support|Alice Martin|BLINDTRANSFER|700|from-internal|2|3|1
1795426725|1795426720.0|sales|NONE|ENTERQUEUE||3001|1
1795426726|1795426720.0|sales|Emma O'Neil|CONNECT|1|1795426726.4|1
1795426729|1795426720.0|sales|Emma O'Neil|ATTENDEDTRANSFER|BRIDGE|ef01|1|3|1
1795426730|1795426730.9|keys|NONE|ENTERQUEUE||3002|1
1795426733|1795426730.9|keys|NONE|EXITWITHKEY|1|1|1|3
1795426733|1795426730.9|short|NONE|ENTERQUEUE||3002|1
1795426737|1795426730.9|short|NONE|EXITWITHTIMEOUT|1|1|4
1795426737|1795426730.9|sales|NONE|ENTERQUEUE||3002|1
1795426739|1795426730.9|sales|NONE|ABANDON|1|1|2
1795426739|MANAGER|support|Alice Martin|PAUSE|lunch
"""
MOMENTS = list(books.of_log(records.parse_queue_log(LOG)))


def occurrences(moments: Iterable[books.Moment]) -> list[dict[str, Any]]:
    """The moments as ctid's stream tells them, among others."""
    drift: dict[str, Any] = {
        "name": "state_drifted",
        "queue": None,
        "leg": None,
        "agent": None,
        "by": "",
        "figures": {},
    }
    told = [
        {
            "name": moment.name,
            "queue": moment.queue,
            "leg": moment.leg,
            "agent": moment.agent or None,
            "by": moment.by,
            "figures": {"position": 1, **moment.lengths},
        }
        for moment in moments
    ]
    return [drift, *told]


def differ(told: Iterable[books.Moment]) -> list[str]:
    """Compare the log with what ctid would have told."""
    return list(books.moments_differ(MOMENTS, books.of_ctid(occurrences(told)), {}))


def test_queue_log_is_read_as_moments() -> None:
    """Each line that tells of a caller is a moment, its lengths where that kind of line has them."""
    keys = [" ".join(filter(None, moment.key)) for moment in MOMENTS]
    assert keys == [
        "caller_queued support 1795426720.0",
        "offer_missed support 1795426720.0 1001",
        "caller_answered support 1795426720.0 1001",
        "call_served support 1795426720.0 1001 transfer",
        "caller_queued sales 1795426720.0",
        "caller_answered sales 1795426720.0 1005",
        "call_served sales 1795426720.0 1005 transfer",
        "caller_queued keys 1795426730.9",
        "caller_left keys 1795426730.9 key",
        "caller_queued short 1795426730.9",
        "caller_left short 1795426730.9 timeout",
        "caller_queued sales 1795426730.9",
        "caller_abandoned sales 1795426730.9",
    ]
    assert [dict(MOMENTS[at].lengths) for at in (1, 2, 3, 6, 8, 10, 12)] == [
        {"ring_s": 1.0},
        {"hold_s": 2.0, "ring_s": 1.0},
        {"hold_s": 2.0, "talk_s": 3.0},
        {"hold_s": 1.0, "talk_s": 3.0},
        {"wait_s": 3.0},
        {"wait_s": 4.0},
        {"wait_s": 2.0},
    ]


def test_the_same_moments_agree_in_any_order() -> None:
    """A difference of up to a second is that of whole seconds."""
    told = [m._replace(lengths={k: v + 0.9 for k, v in m.lengths.items()}) for m in reversed(MOMENTS)]
    assert differ(told) == []


@pytest.mark.parametrize("at", range(len(MOMENTS)))
def test_each_moment_that_is_missing_or_twice_or_another_is_found(at: int) -> None:
    """No moment can be left out, told twice, or told of another caller or agent."""
    one = MOMENTS[at]
    assert differ([*MOMENTS[:at], *MOMENTS[at + 1 :]]) == [
        f"ctid did not tell {' '.join(one.key)} {dict(one.lengths)}"
    ]
    assert len(differ([*MOMENTS, one])) == 1
    others = (
        one._replace(queue="x"),
        one._replace(leg="x"),
        one._replace(agent="x"),
        one._replace(by="x"),
    )
    for other in others:
        assert len(differ([*MOMENTS[:at], other, *MOMENTS[at + 1 :]])) == 2
    for length in one.lengths:
        longer = one._replace(lengths={**one.lengths, length: one.lengths[length] + 1.1})
        assert len(differ([*MOMENTS[:at], longer, *MOMENTS[at + 1 :]])) == 1


def test_a_caller_is_known_by_several_ids() -> None:
    """A Local half waits for a phone; who takes a transferer's place has her id in the log."""
    wire = (
        b"Event: Newchannel\r\nChannel: Local/7000@from-queue-1;1\r\nUniqueid: 5\r\nLinkedid: 1\r\n\r\n"
        b"Event: Newchannel\r\nChannel: PJSIP/1001-1\r\nUniqueid: 6\r\nLinkedid: 1\r\n\r\n"
        b"Event: AttendedTransfer\r\nDestType: App\r\n"
        b"SecondTransfererUniqueid: 7\r\nTransfereeUniqueid: 1\r\n\r\n"
    )
    assert books.aliases(wire) == {"5": "1", "7": "1"}
    log = [MOMENTS[0]._replace(leg="5"), MOMENTS[2]._replace(leg="7")]
    told = [MOMENTS[0]._replace(leg="1"), MOMENTS[2]._replace(leg="1")]
    assert list(books.moments_differ(log, told, books.aliases(wire))) == []


def test_figures_are_counted_from_the_log() -> None:
    """Each figure of each queue and agent is compared; those that are missing count as none."""
    queues = [
        {"queue": "support", "offered": 1, "answered": 1, "missed": 1, "served": 1, "hold_s": 2, "talk_s": 3},
        {
            "queue": "sales",
            "offered": 2,
            "answered": 1,
            "abandoned": 1,
            "served": 1,
            "hold_s": 1,
            "talk_s": 3,
        },
        {"queue": "keys", "offered": 1, "left": {"key": 1}},
        {"queue": "short", "offered": 1, "left": {"timeout": 1}},
    ]
    agents = [
        {"agent": "1001", "answered": 1, "missed": 1, "served": 1, "talk_s": 3},
        {"agent": "1005", "answered": 1, "served": 1, "talk_s": 3},
    ]
    assert list(books.figures_differ(MOMENTS, {"queues": queues, "agents": agents})) == []
    found = "\n".join(books.figures_differ(MOMENTS, {"queues": queues[1:], "agents": agents[1:]}))
    assert "figures of support: offered is 0, in queue_log 1" in found
    assert "figures of agent 1001: missed is 0, in queue_log 1" in found
    queues[2]["left"] = {"timeout": 1}
    found = "\n".join(books.figures_differ(MOMENTS, {"queues": queues, "agents": agents}))
    assert found == "figures of keys: left ['timeout'], in queue_log ['key']"


def row(unique: str, linked: str, start: str, end: str, application: str = "Queue") -> records.CallRecord:
    """A CDR of that day."""
    day = "2026-11-23"
    channel, start, end = f"PJSIP/3001-{unique}", f"{day} {start}", f"{day} {end}"
    return records.CallRecord(
        "3001", "7000", "from-customers", channel, "", application, "", start, start, end, 1, 1, "ANSWERED",
        unique, linked, 0,
    )  # fmt: skip


def call(began: str, over: str, *aliases: str, into: str | None = None) -> dict[str, Any]:
    """A call that ended that day."""
    day = "2026-11-23T"
    return {
        "started_at": f"{day}{began}Z",
        "ended_at": f"{day}{over}Z",
        "aliases": list(aliases),
        "merged_into": into,
    }


def test_calls_are_those_of_the_cdrs() -> None:
    """A call's rows may bear its linked id or one of its legs'; a merged call's are those of both."""
    rows = [row("1.1", "1.1", "10:00:00", "10:00:09"), row("1.3", "1.1", "10:00:04", "10:00:06")]
    first = call("10:00:00.700", "10:00:09.900", "1.1")
    second = call("10:00:04.200", "10:00:06.100", "1.3", into="lab.1.1")
    assert list(books.records_differ(rows, {"lab.1.1": first, "lab.1.3": second})) == []
    standing = row("1.0", "1.0", "09:00:00", "10:00:00", "AgentLogin")
    assert list(books.records_differ([*rows, standing], {"lab.1.1": first, "lab.1.3": second})) == []


def test_calls_that_the_cdrs_do_not_have_are_found() -> None:
    """A call too many, a row without a call, and other times."""
    rows = [row("1.1", "1.1", "10:00:00", "10:00:09")]
    good = call("10:00:00.700", "10:00:09.900", "1.1")
    extra = call("10:00:00.700", "10:00:09.900", "1.2")
    assert list(books.records_differ(rows, {"lab.1.1": good, "lab.1.2": extra})) == [
        "call lab.1.2 has no CDR"
    ]
    assert len(list(books.records_differ(rows, {}))) == 1
    late = call("10:00:03.000", "10:00:12.500", "1.1")
    assert len(list(books.records_differ(rows, {"lab.1.1": late}))) == 2

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from api.support import NOW, PBX, Floor
from api.test_http import assert_problem
from ctid.api.figures import midnight
from ctid.history.entries import Entry
from ctid.history.words import LedgerStatus
from ctid.model.ids import AgentId, LegId, QueueId
from ctid.model.instant import Instant, to_rfc3339


def entry(kind: str, at: float, leg: str, agent: str = "", queue: str = "support") -> Entry:
    """A moment, `at` seconds from now."""
    return Entry(
        pbx=PBX, kind=kind, queue=QueueId(queue), leg=LegId(leg), agent=AgentId(agent), at=Instant(NOW + at)
    )


@pytest.fixture
def day(floor: Floor) -> Floor:
    """A floor with three callers in the ledger: one was served, one gave up, and one came yesterday."""
    floor.history.ledger.remember(PBX, until=NOW, began_at=Instant(NOW - 100_000), counters=b"", names=b"")
    floor.history.ledger.add(
        [
            entry("caller_queued", -90_000, "0.1"),
            entry("caller_queued", -300, "1.1"),
            replace(entry("caller_answered", -290, "1.1", "1001"), hold_s=10.0, ring_s=2.0),
            replace(entry("call_served", -100, "1.1", "1001"), hold_s=10.0, talk_s=190.0, by="agent"),
            entry("caller_queued", -50, "2.1"),
            replace(entry("caller_abandoned", -20, "2.1"), wait_s=30.0, position=1),
        ],
        {},
    )
    return floor


async def test_figures_of_today(day: Floor) -> None:
    """Since midnight where ctid runs, up to now, with what each figure is."""
    told = (await day.get("/figures")).json
    (queue,) = told["queues"]
    assert (queue["offered"], queue["answered"], queue["abandoned"], queue["answer_rate"]) == (2, 1, 1, 0.5)
    assert (queue["mean_hold_s"], queue["talk_s"], queue["left"]) == (10.0, 190.0, {})
    (agent,) = told["agents"]
    assert (agent["agent"], agent["answered"], agent["served"]) == ("1001", 1, 1)
    assert told["since"] == to_rfc3339(midnight(NOW))
    assert told["until"] == to_rfc3339(NOW)
    assert (told["complete"], told["gaps"]) == (True, [])
    assert told["formulas"]["offered"].startswith("callers who entered the queue")


async def test_period_and_selection(day: Floor) -> None:
    """A period as date-times of any offset, a queue, an agent."""
    long_ago = datetime.fromtimestamp(NOW - 95_000, UTC).isoformat()
    assert (await day.get(f"/figures?since={long_ago.replace('+', '%2B')}")).json["queues"][0]["offered"] == 3
    assert (await day.get(f"/figures?since={long_ago}")).json["queues"][0]["offered"] == 3, (
        "+ read as a blank"
    )
    assert (await day.get("/figures?queue=sales")).json["queues"] == []
    told = (await day.get("/figures?agent=1001")).json["queues"][0]
    assert (told["offered"], told["answered"], told["answer_rate"]) == (0, 1, None)


async def test_moments_behind_a_figure(day: Floor) -> None:
    """Each figure opens into its moments, page by page; no number and no name is among them."""
    found = (await day.get("/figures/calls?kind=caller_abandoned")).json
    assert found["next"] is None
    assert found["items"] == [
        {
            "pbx": "lab",
            "kind": "caller_abandoned",
            "queue": "support",
            "leg": "2.1",
            "agent": "",
            "at": to_rfc3339(NOW - 20),
            "source": "event",
            "by": "",
            "position": 1,
            "hold_s": None,
            "ring_s": None,
            "wait_s": 30.0,
            "talk_s": None,
        }
    ]
    assert len((await day.get("/figures/calls?by=agent")).json["items"]) == 1
    first = (await day.get("/figures/calls?limit=3")).json
    second = (await day.get(f"/figures/calls?limit=3&cursor={first['next']}")).json
    assert [len(first["items"]), len(second["items"]), second["next"]] == [3, 2, None]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("figures?since=yesterday", "since"),
        ("figures?until=2026-01-01T00:00:00", "until"),
        ("figures?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "until"),
        ("figures/calls?kind=call", "kind"),
        ("figures/calls?by=nobody", "by"),
        ("figures/calls?cursor=x", "cursor"),
        ("figures/calls?cursor=aWQ6eDp5", "cursor"),
        ("figures/calls?cursor=aWQ6MTox", "cursor"),
        ("figures/calls?cursor=YXQ6bmFuOjE", "cursor"),  # at:nan:1
        ("figures/calls?cursor=YXQ6MTo5OTk5OTk5OTk5OTk5OTk5OTk5OQ", "cursor"),  # more than any id
        ("figures/calls?limit=0", "limit"),
    ],
)
async def test_refusals(day: Floor, query: str, field: str) -> None:
    """What is no date-time, kind, reason or cursor is refused by its name."""
    assert_problem(await day.get(f"/{query}"), 422, "request.invalid", field)


async def test_ledger_that_cannot_be_read(day: Floor) -> None:
    """It is told with the cure; the live state is answered as ever, and says that the ledger is behind."""
    day.history.broken = "the disk is full: make room"
    reply = await day.get("/figures")
    assert_problem(reply, 503, "history.unavailable")
    assert reply.json["detail"] == "the disk is full: make room"
    day.history.known = LedgerStatus(behind=True, reason="full", waiting=7, dropped=2, gaps_open=1)
    status = (await day.get("/status")).json
    assert status["ready"]
    assert status["history"] == {
        "behind": True,
        "reason": "full",
        "since": None,
        "waiting": 7,
        "dropped": 2,
        "gaps_open": 1,
    }
    metrics = (await day.request("GET", "/metrics")).text
    for line in (
        "ctid_history_behind 1",
        "ctid_history_waiting 7",
        "ctid_history_gaps_open 1",
        "ctid_history_dropped_total 2",
    ):
        assert f"\n{line}\n" in metrics

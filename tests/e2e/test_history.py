"""The ledger of the queues against Asterisk's own queue_log, line by line, whatever ctid did not see."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from ctid.model.instant import from_rfc3339
from e2e import bus
from e2e.books import TOLERANCE_S
from e2e.conftest import leave_quiet
from e2e.floor import Floor, floor_of
from helpers.patience import until
from lab import daemon, roster
from lab.rig import Rig

pytestmark = pytest.mark.lab

FILLED_S = 20.0
"""By then a gap is filled, and compared once more, on a busy machine as well."""
_AGENTS = {agent.name: agent.number for agent in roster.AGENTS}
_BY = {"COMPLETECALLER": "caller", "COMPLETEAGENT": "agent"}
_LEFT = {"EXITWITHTIMEOUT": "timeout", "EXITWITHKEY": "key"}


class Told(NamedTuple):
    """One line, or one row: what, where, whose, when in whole seconds, and its lengths in seconds."""

    what: str
    queue: str
    leg: str
    agent: str
    by: str
    lengths: tuple[float, ...]


@pytest.fixture(scope="module")
def mortal_rig() -> Iterator[Rig]:
    """A rig of this module's own: its daemon is killed."""
    with Rig.for_tests(
        scenarios=True,
        services=(
            bus.watcher,
            daemon.maker(),
        ),
    ) as running:
        yield running


@pytest.fixture
async def mortal(mortal_rig: Rig) -> AsyncIterator[Floor]:
    """A floor on it."""
    async with floor_of(mortal_rig, leave_quiet) as opened:
        await filled(opened)
        yield opened


def log_of(rig: Rig) -> list[tuple[int, Told]]:
    """The lines of queue_log, rotated ones first, that are a caller's, and when each was written."""
    current = rig.paths.queue_log
    files = [*sorted(current.parent.glob("queue_log.*")), current]
    found = []
    for line in "".join(file.read_text() for file in files).splitlines():
        at, leg, queue, member, event, *data = line.split("|")
        agent = _AGENTS.get(member, "")
        match event:
            case "ENTERQUEUE":
                told = Told("caller_queued", queue, leg, "", "", ())
            case "CONNECT":
                told = Told("caller_answered", queue, leg, agent, "", (float(data[0]), float(data[2])))
            case "COMPLETECALLER" | "COMPLETEAGENT":
                told = Told("call_served", queue, leg, agent, _BY[event], (float(data[0]), float(data[1])))
            case "BLINDTRANSFER":
                told = Told("call_served", queue, leg, agent, "transfer", (float(data[2]), float(data[3])))
            case "ATTENDEDTRANSFER":
                told = Told("call_served", queue, leg, agent, "transfer", (float(data[-3]), float(data[-2])))
            case "ABANDON":
                told = Told("caller_abandoned", queue, leg, "", "", (float(data[2]),))
            case "EXITWITHTIMEOUT":
                told = Told("caller_left", queue, leg, "", _LEFT[event], (float(data[2]),))
            case "EXITWITHKEY":
                told = Told("caller_left", queue, leg, "", _LEFT[event], (float(data[3]),))
            case "RINGNOANSWER":
                told = Told("offer_missed", queue, leg, agent, "", (float(data[0]) / 1000,))
            case _:
                continue
        found.append((int(at), told))
    return found


async def ledger_of(floor: Floor) -> list[dict[str, Any]]:
    """All rows of the ledger, page after page."""
    items: list[dict[str, Any]] = []
    path = f"/figures/calls?since={quote('2020-01-01T00:00:00Z')}&limit=7"
    cursor = ""
    while True:
        page = await floor.api.get(f"{path}&cursor={cursor}")
        items += page["items"]
        if page["next"] is None:
            return items
        cursor = page["next"]


def told_of(row: dict[str, Any]) -> Told:
    """A row in the words of a line."""
    lengths = [row[name] for name in ("hold_s", "ring_s", "wait_s", "talk_s") if row[name] is not None]
    return Told(row["kind"], row["queue"], row["leg"], row["agent"], row["by"], tuple(lengths))


async def equals_the_log(floor: Floor) -> None:
    """Assert that ledger and queue_log tell the same, each line once, and at the same time."""

    async def same() -> bool:
        return not any(await differences(floor))

    try:
        await until(same, within=FILLED_S, what="the ledger equals queue_log")
    except AssertionError:
        missing, surplus = await differences(floor)
        raise AssertionError(f"missing: {missing}; surplus: {surplus}") from None
    rows = await ledger_of(floor)
    at_of: dict[tuple[str, ...], list[int]] = {}
    for at, told in log_of(floor.rig):
        at_of.setdefault((told.what, told.queue, told.agent), []).append(at)
    for key, times in at_of.items():
        mine = [row["at"] for row in rows if (row["kind"], row["queue"], row["agent"]) == key]
        late = [from_rfc3339(at) - when for at, when in zip(mine, sorted(times), strict=True)]
        assert all(-0.1 < seconds < 2.5 for seconds in late), (key, late)


async def differences(floor: Floor) -> tuple[list[Told], list[Told]]:
    """What the ledger lacks, and what it has too much; lengths may differ by `TOLERANCE_S`.

    The log names the other half of a Local channel where a caller waits whom its member has sent on; the
    ledger has that caller's own leg.
    """
    lines = [told for _, told in log_of(floor.rig)]
    rows = [told_of(row) for row in await ledger_of(floor)]
    halves = {told.leg for told in lines} - {told.leg for told in rows}
    callers = {told.leg for told in rows if told.queue == "desk"}
    log = Counter(told._replace(leg="desk") if told.leg in halves | callers else told for told in lines)
    ledger = Counter(told._replace(leg="desk") if told.leg in callers else told for told in rows)
    surplus = list((ledger - log).elements())
    missing = [told for told in (log - ledger).elements() if not _taken(told, surplus)]
    return missing, surplus


def _taken(told: Told, among: list[Told]) -> bool:
    """Whether the same moment is among these, which is then taken out."""
    for other in among:
        far = max((abs(a - b) for a, b in zip(told.lengths, other.lengths, strict=False)), default=0.0)
        if told._replace(lengths=()) == other._replace(lengths=()) and far <= TOLERANCE_S:
            among.remove(other)
            return True
    return False


async def filled(floor: Floor) -> None:
    """Wait until no gap is left to be filled."""

    async def none_open() -> bool:
        return bool((await floor.api.get("/status"))["history"]["gaps_open"] == 0)

    await until(none_open, within=FILLED_S, what="every gap is filled")


async def last_gap(floor: Floor) -> Any:
    """The last gap that is told with the figures."""
    return (await floor.api.get("/figures?since=2020-01-01T00:00:00Z"))["gaps"][-1]


async def test_killed_in_the_middle_of_calls(mortal: Floor) -> None:
    """Killed with -9: what ended, began and went on meanwhile is in the ledger as in queue_log, once."""
    first, second, third, agent = await mortal.phones.open("3001", "3002", "3003", "1006")
    await until(lambda: mortal.agent_is("1006", "ready"), what="1006 is ready")
    began = (await mortal.api.get("/status"))["at"][:19] + "Z"  # the log tells whole seconds
    await first.dial("7001")
    await agent.answer()
    await second.dial("7001")
    await until(lambda: mortal.call_is("1006", "connected"), what="ctid has seen the call")
    mortal.rig.kill("ctid")
    await first.hangup()
    await agent.wait_state("ringing")
    await agent.decline()
    await agent.wait_state("ringing")
    await agent.answer()
    await third.dial("7001")
    await third.hangup()
    await third.dial("7001")
    mortal.rig.restart("ctid")
    await agent.hangup()
    await agent.wait_state("ringing")
    await agent.answer()
    await third.hangup()
    await equals_the_log(mortal)
    await filled(mortal)
    gap = await last_gap(mortal)
    assert (gap["state"], gap["cause"], gap["detail"]) == ("filled", "away", "")
    assert gap["found"] >= 6
    sources = {row["source"] for row in await ledger_of(mortal)}
    assert sources == {"event", "log"}
    figures = await mortal.api.get(f"/figures?since={began}")
    sales = next(row for row in figures["queues"] if row["queue"] == "sales")
    counts = {key: sales[key] for key in ("offered", "answered", "abandoned", "missed", "served")}
    assert counts == {"offered": 4, "answered": 3, "abandoned": 1, "missed": 1, "served": 3}
    assert sales["answer_rate"] == 3 / 4
    farid = next(row for row in figures["agents"] if row["agent"] == "1006")
    assert (farid["answered"], farid["missed"], farid["served"]) == (3, 1, 3)


async def test_killed_twice_and_log_rotated(mortal: Floor) -> None:
    """Killed again while it fills, with the log rotated in between: still each line once."""
    caller, agent = await mortal.phones.open("3001", "1006")
    await until(lambda: mortal.agent_is("1006", "ready"), what="1006 is ready")
    mortal.rig.kill("ctid")
    await caller.dial("7001")
    await agent.answer()
    mortal.rig.asterisk_cli("logger rotate")
    await caller.hangup()
    mortal.rig.restart("ctid")
    mortal.rig.kill("ctid")
    await caller.dial("7001")
    await agent.wait_state("ringing")
    await agent.decline()
    await agent.wait_state("ringing")
    mortal.rig.restart("ctid")
    await agent.answer()
    await caller.hangup()
    await equals_the_log(mortal)
    await filled(mortal)
    assert (await last_gap(mortal))["state"] == "filled"
    await equals_the_log(mortal)


@pytest.mark.parametrize("seen", [True, False], ids=["seen", "not seen"])
async def test_calls_of_every_kind(mortal: Floor, *, seen: bool) -> None:
    """Overflow, exit by key, transfers: by events or from the log, the ledger tells what queue_log does."""
    caller, agent, local = await mortal.phones.open("3001", "1006", "1007")
    await until(lambda: mortal.agent_is("1007", "ready"), what="1007 is ready")
    if not seen:
        mortal.rig.kill("ctid")
    await caller.dial("7003")  # four seconds, then on into sales
    await agent.wait_state("ringing", within=12.0)
    await agent.answer()
    await agent.transfer("9000")
    await caller.hangup()
    await caller.dial("7009")
    await caller.dtmf("1")
    await agent.wait_state("ringing", within=12.0)
    await caller.hangup()
    await caller.dial("7002")
    await local.answer()
    await local.transfer("7001")  # the other half of her Local channel waits there
    await agent.wait_state("ringing")
    await agent.answer()
    await agent.hangup()
    await caller.wait_state("idle")
    if not seen:
        mortal.rig.restart("ctid")
    await equals_the_log(mortal)
    await filled(mortal)
    rows = await ledger_of(mortal)
    last = next(row for row in reversed(rows) if row["queue"] == "desk")
    assert [row for row in rows if row["leg"] == last["leg"] and row["queue"] == "sales"], (
        "what follows in sales is told of the same caller"
    )
    if not seen:
        assert (await last_gap(mortal))["state"] == "filled"
    # Once more with all of the log: what was seen is what it tells, and no moment is there twice.
    mortal.rig.kill("ctid")
    mortal.rig.restart("ctid")
    await filled(mortal)
    await equals_the_log(mortal)


async def test_asterisk_restarted(mortal: Floor) -> None:
    """A PBX that is killed in a call leaves no moment that its log lacks, and a gap that is filled."""
    caller, agent = await mortal.phones.open("3001", "1006")
    await until(lambda: mortal.agent_is("1006", "ready"), what="1006 is ready")
    await caller.dial("7001")
    await agent.answer()
    await until(lambda: mortal.call_is("1006", "connected"), what="ctid has seen the call")
    mortal.rig.kill_asterisk()
    mortal.rig.restart_asterisk()
    await filled(mortal)

    async def told() -> bool:
        gaps = (await mortal.api.get("/figures?since=2020-01-01T00:00:00Z"))["gaps"]
        return bool(gaps) and bool(gaps[-1]["cause"] == "link_down")

    await until(told, within=FILLED_S, what="the gap is told")
    await filled(mortal)
    await mortal.phones.close()
    await equals_the_log(mortal)
    assert (await last_gap(mortal))["state"] == "filled"


async def test_without_a_log_it_counts(mortal: Floor) -> None:
    """With no log to read, the PBX's counters tell how many, and the gap says that this is all."""
    configuration = mortal.rig.base / "ctid" / "ctid.toml"
    before = configuration.read_text()
    log = f'queue_log = "{mortal.rig.paths.queue_log}"'
    assert log in before
    caller, agent = await mortal.phones.open("3001", "1006")
    try:
        configuration.write_text(before.replace(log, 'queue_log = ""'))
        mortal.rig.restart("ctid")
        await filled(mortal)
        await until(lambda: mortal.agent_is("1006", "ready"), what="1006 is ready")
        await caller.dial("7001")
        await agent.answer()
        await caller.hangup()

        async def one_seen() -> bool:
            rows = [row for row in await ledger_of(mortal) if row["kind"] == "call_served"]
            return bool(rows) and (await mortal.api.get("/status"))["history"]["waiting"] == 0

        await until(one_seen, what="the call is in the ledger")
        mortal.rig.kill("ctid")
        await caller.dial("7001")
        await agent.answer()
        await caller.hangup()
        await caller.dial("7001")
        await caller.hangup()
        assert mortal.rig.wait(lambda: not mortal.rig.channels(), 5.0)
        mortal.rig.restart("ctid")
        await filled(mortal)
        gap = await last_gap(mortal)
        assert gap["state"] == "partly", gap
        assert "queue_log is empty" in gap["detail"]
        assert {(c["queue"], c["agent"], c["served"], c["unserved"]) for c in gap["counts"]} == {
            ("sales", None, 1, 1),
            ("sales", "1006", 1, None),
        }
        assert (await mortal.api.get("/figures"))["complete"] is False
        mortal.rig.kill("ctid")
        mortal.rig.asterisk_cli("queue reset stats")
        mortal.rig.restart("ctid")
        await filled(mortal)
        gap = await last_gap(mortal)
        assert gap["state"] == "unknown"
        assert "started anew" in gap["detail"]
    finally:
        configuration.write_text(before)
        mortal.rig.restart("ctid")

"""Callers whom queue_log has under other legs than ctid: across a gap, each moment of theirs counts once."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest

from e2e import bus
from e2e.conftest import leave_quiet
from e2e.floor import Floor, floor_of
from e2e.test_history import FILLED_S, filled, last_gap, ledger_of, log_of, told_of
from helpers.patience import until
from lab import daemon
from lab.rig import Rig

pytestmark = pytest.mark.lab


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


async def counts_as_the_log(floor: Floor) -> None:
    """Wait until the ledger has as many of everything as queue_log, of whichever leg."""

    async def same() -> bool:
        log = Counter(told._replace(leg="", lengths=()) for _, told in log_of(floor.rig))
        rows = map(told_of, await ledger_of(floor))
        return log == Counter(told._replace(leg="", lengths=()) for told in rows)

    await until(same, within=FILLED_S, what="the ledger counts what queue_log does")


async def test_a_local_half_waits(mortal: Floor) -> None:
    """Whom the log knows by a Local half, and events by himself, is told once, also across a gap."""
    caller, agent = await mortal.phones.open("3001", "1006")
    await until(lambda: mortal.agent_is("1006", "ready"), what="1006 is ready")
    lines = len(log_of(mortal.rig))
    before = len(await ledger_of(mortal))
    dial = "channel originate Local/80003001@from-internal/n extension 7001@from-internal"
    mortal.rig.asterisk_cli(dial)
    await caller.wait_state("ringing")
    await caller.answer()
    await agent.wait_state("ringing")

    async def seen() -> bool:
        return len(await ledger_of(mortal)) > before

    await until(seen, what="that he waits is in the ledger")
    mortal.rig.kill("ctid")
    await agent.decline()
    await agent.wait_state("ringing")
    await agent.answer()
    mortal.rig.restart("ctid")
    await filled(mortal)
    await agent.hangup()
    await caller.wait_state("idle")

    await counts_as_the_log(mortal)
    kinds = ["call_served", "caller_answered", "caller_queued", "offer_missed"]
    rows = (await ledger_of(mortal))[before:]
    assert sorted(row["kind"] for row in rows) == kinds
    (half,) = {told.leg for _, told in log_of(mortal.rig)[lines:]}
    assert {row["leg"] for row in rows if row["source"] == "event"} - {half}, "events know him by his own leg"
    gap = await last_gap(mortal)
    assert (gap["state"], gap["found"], gap["detail"]) == ("filled", 2, "")
    # Once more with all of the log: no moment is there twice.
    mortal.rig.kill("ctid")
    mortal.rig.restart("ctid")
    await filled(mortal)
    assert (await last_gap(mortal))["found"] == 0
    await counts_as_the_log(mortal)


async def test_another_takes_the_place(mortal: Floor) -> None:
    """Who is transferred into a queue in which his agent waits is told once, also if that was not seen."""
    (caller,) = await mortal.phones.open("3001")
    (first,) = await mortal.phones.open("1001", lines=2)
    await until(lambda: mortal.agent_is("1001", "ready"), what="1001 is ready")
    await caller.dial("7000")
    await first.answer()
    await first.hold()
    before = len(await ledger_of(mortal))
    await first.dial("7001", line=2)

    async def seen() -> bool:
        return len(await ledger_of(mortal)) > before

    await until(seen, what="that she waits is in the ledger")
    mortal.rig.kill("ctid")
    await first.join()
    (second,) = await mortal.phones.open("1006")
    await second.wait_state("ringing", within=12.0)
    await second.answer()
    mortal.rig.restart("ctid")
    await filled(mortal)
    await second.hangup()
    await caller.wait_state("idle")
    await counts_as_the_log(mortal)
    gap = await last_gap(mortal)
    assert (gap["state"], gap["detail"]) == ("filled", "")
    mortal.rig.kill("ctid")
    mortal.rig.restart("ctid")
    await filled(mortal)
    assert (await last_gap(mortal))["found"] == 0
    await counts_as_the_log(mortal)

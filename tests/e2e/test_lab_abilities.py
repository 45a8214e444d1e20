"""The lab's newer abilities proved on itself: phones with two calls, diversion, load, a cut line to AMI."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest

from e2e import records, truth
from e2e.conftest import leave_quiet
from e2e.floor import Floor, floor_of
from helpers.patience import until
from lab import daemon, sipp
from lab.cutter import Cutter
from lab.errors import LabError, PhoneError
from lab.phone_client import Phone
from lab.phones import Phones
from lab.rig import Rig

pytestmark = pytest.mark.lab


async def consulting(phones: Phones, *, answered: bool) -> tuple[Phone, Phone, Phone]:
    """A customer whom 1001 has on hold, while 1001 calls 1005 on her second line."""
    customer, colleague = await phones.open("3001", "1005")
    (agent,) = await phones.open("1001", lines=2)
    await customer.dial("7000")
    await agent.answer()
    await phones.hears_exactly(customer, {"1001"})
    await agent.hold()
    await agent.dial("1005", line=2)
    if answered:
        await colleague.answer()
        await phones.hears_exactly(colleague, {"1001"})
        await phones.hears_exactly(agent, {"1005"})
    else:
        await colleague.wait_state("ringing")
    await phones.hears_exactly(customer, set())
    return customer, agent, colleague


async def test_a_second_call_waits_and_both_are_held_in_turn(phones: Phones) -> None:
    """With two lines a second call rings; each call is held for itself; a third caller hears busy."""
    first, second, third = await phones.open("3001", "3002", "3003")
    (agent,) = await phones.open("1001", lines=2)
    await first.dial("1001")
    await agent.answer()
    await second.start_dialing("1001")
    await agent.wait_state("ringing", line=2)
    await agent.hold()
    await agent.answer(line=2)
    await phones.hears_exactly(agent, {"3002"})
    await phones.hears_exactly(first, set())
    await third.start_dialing("1001")
    await third.until(lambda: third.code == 486, "refused as busy")
    await agent.hold(line=2)
    await agent.unhold()
    await phones.hears_exactly(agent, {"3001"})
    await phones.hears_exactly(second, set())
    assert {number: line.state for number, line in agent.lines.items()} == {1: "connected", 2: "held"}
    await first.hangup()
    await agent.wait_state("idle")
    await agent.unhold(line=2)
    await phones.hears_exactly(second, {"1001"})
    await agent.hangup(line=2)
    await second.wait_state("idle")


async def test_attended_transfer_after_a_word(phones: Phones) -> None:
    """After the consultation both others hear each other, and she is out of both calls."""
    customer, agent, colleague = await consulting(phones, answered=True)
    await agent.join()
    await phones.hears_exactly(customer, {"1005"})
    await phones.hears_exactly(colleague, {"3001"})
    await phones.hears_exactly(agent, set())
    assert {line.state for line in agent.lines.values()} == {"idle"}


async def test_attended_transfer_while_it_rings(phones: Phones) -> None:
    """She goes before the other has answered; who answers then hears the customer."""
    customer, agent, colleague = await consulting(phones, answered=False)
    await agent.join()
    await colleague.answer()
    await phones.hears_exactly(customer, {"1005"})
    await phones.hears_exactly(colleague, {"3001"})


async def test_attended_transfer_abandoned(phones: Phones) -> None:
    """She ends the consultation and takes the customer back."""
    customer, agent, colleague = await consulting(phones, answered=True)
    await agent.hangup(line=2)
    await colleague.wait_state("idle")
    await agent.unhold()
    await phones.hears_exactly(customer, {"1001"})
    await phones.hears_exactly(agent, {"3001"})


async def test_what_makes_no_sense_is_refused_by_the_phone(phones: Phones) -> None:
    """A line that the phone lacks, a line in use, and a join with nobody are errors that say so."""
    (agent,) = await phones.open("1001")
    with pytest.raises(PhoneError, match="no line 2"):
        await agent.start_dialing("9000", line=2)
    with pytest.raises(PhoneError, match="no call on line 1"):
        await agent.join()
    await agent.dial("9000")
    with pytest.raises(PhoneError, match="a call already"):
        await agent.start_dialing("9000")
    assert await agent.refused_transfer("5999") >= 400
    await phones.hears_exactly(agent, {"1001"})


async def test_diversion_by_302(phones: Phones) -> None:
    """A call that a phone diverts rings at the other, and is heard there."""
    customer, agent, other = await phones.open("3001", "1001", "1005")
    await customer.start_dialing("1001")
    await agent.divert("1005")
    await other.answer()
    await phones.hears_exactly(other, {"3001"})
    await phones.hears_exactly(customer, {"1005"})
    assert agent.state == "idle"


async def test_an_unplugged_phone_takes_no_other_along(rig: Rig) -> None:
    """Among phones that share a process, one that was opened alone vanishes alone, and says no goodbye."""
    async with Phones(rig.ports.sip, per_process=4) as shared:
        customer, bystander = await shared.open("3001", "1005")
        (agent,) = await shared.open("1001", alone=True)
        await customer.dial("1001")
        await agent.answer()
        await shared.hears_exactly(customer, {"1001"})
        await agent.drop()
        await shared.hears_exactly(customer, set())
        assert [name for name, *_ in rig.channels() if name.startswith("PJSIP/1001-")]
        assert customer.state == "connected"
        assert bystander.registered
        rig.asterisk_cli("channel request hangup all")
        await customer.wait_state("idle")
    assert rig.wait(lambda: not rig.channels(), 40.0)


async def test_each_call_leaves_its_records(rig: Rig, phones: Phones) -> None:
    """The call records have a row with unique id, linkedid and sequence; the queue log has the call too."""
    customer, agent = await phones.open("3001", "1005")
    await customer.dial("7001")
    await agent.answer()
    (caller,) = [c for c in records.parse_channels(rig.asterisk_cli("core show channels concise"))
                 if c.phone == "3001"]  # fmt: skip
    await customer.hangup()
    await agent.wait_state("idle")

    def rows() -> list[records.CallRecord]:
        text = rig.paths.call_records.read_text() if rig.paths.call_records.exists() else ""
        return [row for row in records.parse_call_records(text) if row.uniqueid == caller.uniqueid]

    await until(lambda: bool(rows()), what="the call record is written")
    (row,) = rows()
    assert (row.source, row.destination, row.linkedid) == ("3001", "7001", caller.uniqueid)
    assert (row.disposition, row.channel) == ("ANSWERED", caller.name)
    log = records.parse_queue_log(rig.paths.queue_log.read_text())
    events = [line.event for line in log if line.call == caller.uniqueid]
    assert events == ["ENTERQUEUE", "CONNECT", "COMPLETECALLER"]


def registered(rig: Rig) -> set[str]:
    """The numbers of the phones that are."""
    lines = [line.split() for line in rig.asterisk_cli("pjsip show contacts").splitlines()]
    return {words[1].partition("/")[0] for words in lines if words[:1] == ["Contact:"]}


async def test_a_burst_of_calls_is_counted_alike_by_both_sides(rig: Rig) -> None:
    """Each call of SIPp's goes as it should, the PBX's books have it as served or given up, nothing stays."""
    before = len(records.parse_queue_log(rig.paths.queue_log.read_text()))
    seen = {row.uniqueid for row in call_records(rig)}
    load = sipp.Load(
        calls=24, rate=8.0, at_once=8, caller_stays_s=(0.5, 3.0), callee_stays_s=(0.3, 2.0), ring_s=(0.1, 0.6)
    )
    outcome = await sipp.burst(rig, load)
    assert (outcome.callers.made, outcome.callers.good, outcome.callers.failed) == (24, 24, 0)
    assert outcome.callees.failed == 0
    assert rig.wait(lambda: not rig.channels(), 15.0)
    made = {row.uniqueid: row.application for row in call_records(rig) if row.uniqueid not in seen}
    assert len(made) == 24
    log = records.parse_queue_log(rig.paths.queue_log.read_text())[before:]
    # Answer() waits half a second for audio, which SIPp does not send: a short call may never get further.
    assert set(made.values()) <= {"Answer", "Queue"}
    queued = {leg for leg, application in made.items() if application == "Queue"}
    assert sorted(line.call for line in log if line.event == "ENTERQUEUE") == sorted(queued)
    counts = Counter(line.event for line in log)
    assert counts["CONNECT"] > 0
    assert counts["COMPLETEAGENT"] + counts["COMPLETECALLER"] + counts["ABANDON"] == len(queued)
    assert counts["CONNECT"] == counts["COMPLETEAGENT"] + counts["COMPLETECALLER"]
    # A caller who gives up just as her call is taken is told as ABANDON alone.
    rung = counts["CONNECT"] + counts["RINGCANCELED"]
    assert rung <= outcome.callees.made <= rung + counts["ABANDON"]
    assert rig.wait(lambda: registered(rig).isdisjoint(load.callees), 15.0), "SIPp's phones are gone again"
    leave_quiet(rig)


def call_records(rig: Rig) -> list[records.CallRecord]:
    """The call records so far; there is no file before the first."""
    book = rig.paths.call_records
    return records.parse_call_records(book.read_text()) if book.exists() else []


async def test_a_burst_without_its_callees_says_so(rig: Rig) -> None:
    """A callee whom the registrar does not know is an error, and nothing is left running."""
    with pytest.raises(LabError, match="refused 1999"):
        await sipp.burst(rig, sipp.Load(calls=1, callees=("1999",)))


@pytest.fixture(scope="module")
def cutter() -> Iterator[Cutter]:
    """A relay between ctid and AMI."""
    with Cutter() as relay:
        yield relay


@pytest.fixture(scope="module")
def cut_rig(cutter: Cutter) -> Iterator[Rig]:
    """A rig whose daemon reaches AMI by the relay."""
    with Rig.for_tests(services=(daemon.maker(through=cutter),)) as running:
        yield running


@pytest.fixture
async def cut_floor(cut_rig: Rig, cutter: Cutter) -> AsyncIterator[Floor]:
    """A floor on it, whose line is whole before and after."""
    async with floor_of(cut_rig, leave_quiet) as opened:
        yield opened
        cutter.restore()


async def link_is(floor: Floor, state: str) -> bool:
    """Whether ctid says so of its link to the PBX."""
    return bool((await floor.api.get("/status"))["pbxs"][0]["state"] == state)


@pytest.mark.parametrize("reset", [True, False])
async def test_a_cut_line_is_noticed_and_mended(cut_floor: Floor, cutter: Cutter, *, reset: bool) -> None:
    """Cut by RST or in order, ctid says that the link is down; restored, it has what came meanwhile."""
    customer, _ = await cut_floor.talk()
    assert cutter.connections == 1
    cutter.cut(reset=reset)
    await until(lambda: link_is(cut_floor, "down"), what="the link is down")
    await customer.hangup()
    cutter.restore()
    await until(lambda: link_is(cut_floor, "connected"), within=15.0, what="the link is back")
    await truth.agree(cut_floor.rig, cut_floor.api, within=5.0)


async def test_a_stalled_line_goes_on_without_a_loss(cut_floor: Floor, cutter: Cutter) -> None:
    """While the line stalls ctid knows nothing new and breaks nothing off; then it knows all of it."""
    customer, agent = await cut_floor.talk()
    passed = cutter.passed
    cutter.stall()
    await agent.hold()
    await customer.hangup()
    await agent.wait_state("idle")
    assert cutter.passed == passed
    assert await cut_floor.call_is("1001", "connected")
    cutter.restore()
    await truth.agree(cut_floor.rig, cut_floor.api)
    assert cutter.connections == 1


async def test_a_killed_daemon_comes_back_with_its_state(cut_floor: Floor) -> None:
    """After SIGKILL the daemon starts again with the same state directory, in a call that goes on."""
    customer, _ = await cut_floor.talk()
    call = (await cut_floor.api.get("/agents/1001"))["call"]
    began = (await cut_floor.api.get("/status"))["boot_id"]
    cut_floor.rig.kill("ctid")
    cut_floor.rig.restart("ctid")

    async def is_back() -> bool:
        with suppress(OSError):
            return bool((await cut_floor.api.get("/agents/1001"))["call"] == call)
        return False

    await until(is_back, within=10.0, what="the call is known again")
    assert (await cut_floor.api.get("/status"))["boot_id"] != began
    await truth.agree(cut_floor.rig, cut_floor.api)
    await customer.hangup()

"""The lab proved on itself: what the phones hear is what the PBX connects, and nothing is left behind."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers.lab_command import run_lab
from lab import processes
from lab.config import CHECKOUT
from lab.errors import PhoneError, PortTakenError
from lab.phones import Phones
from lab.ports import free_ports
from lab.rig import Rig, load_state

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(("queue", "member"), [("7000", "1001"), ("7001", "1005"), ("7002", "1007")])
async def test_queue_call_is_heard_both_ways(phones: Phones, queue: str, member: str) -> None:
    """A customer in a queue and the member who answers, Local or not, hear each other and nobody else."""
    customer, agent, bystander = await phones.open("3001", member, "2001")
    await customer.dial(queue)
    await agent.answer()
    await phones.hears_exactly(agent, {"3001"})
    await phones.hears_exactly(customer, {member})
    await phones.hears_exactly(bystander, set())
    assert await phones.hears(agent, 0.5) == {"3001"}


async def test_hold_is_silent_both_ways(phones: Phones) -> None:
    """While an agent holds, neither hears the other; taken back, both hear each other again."""
    customer, agent = await phones.open("3001", "1001")
    await customer.dial("7000")
    await agent.answer()
    await phones.hears_exactly(customer, {"1001"})
    began = time.monotonic() - 0.3
    await agent.hold()
    await phones.hears_exactly(customer, set())
    await phones.hears_exactly(agent, set())
    await agent.unhold()
    await phones.hears_exactly(customer, {"1001"})
    await phones.hears_exactly(agent, {"3001"})
    assert (await phones.timeline(customer, "1001", began)).longest_gap() > 0.5


async def test_blind_transfer_by_refer(phones: Phones) -> None:
    """An agent's REFER takes the customer to another queue, and the agent out of the call."""
    customer, first, second = await phones.open("3001", "1001", "1005")
    await customer.dial("7000")
    await first.answer()
    await phones.hears_exactly(customer, {"1001"})
    await first.transfer("7001")
    await second.answer()
    await phones.hears_exactly(customer, {"1005"})
    await phones.hears_exactly(second, {"3001"})
    assert first.state == "idle"


async def test_direct_media_is_heard_both_ways(direct_rig: Rig, direct_phones: Phones) -> None:
    """Where the phones exchange their media directly, they hear each other, and no media passes Asterisk."""
    customer, agent = await direct_phones.open("3002", "1002")
    await customer.dial("7000")
    await agent.answer()

    def is_direct() -> bool:
        bridges = direct_rig.asterisk_cli("bridge show all")
        return "native_rtp" in bridges

    assert direct_rig.wait(is_direct, 5.0), direct_rig.asterisk_cli("bridge show all")
    await direct_phones.hears_exactly(agent, {"3002"})
    await direct_phones.hears_exactly(customer, {"1002"})


async def test_a_gap_is_measured_as_long_as_it_was(phones: Phones) -> None:
    """A silence in somebody's tone is measured to 40 ms below and 80 ms above, its end to 200 ms."""
    caller, called = await phones.open("2001", "2002")
    await caller.dial("2002")
    await called.answer()
    await phones.hears_exactly(called, {"2001"})
    began = time.monotonic() - 0.3
    await caller.tone(on=False)
    silent = time.monotonic()
    await asyncio.sleep(0.2)
    await caller.tone(on=True)
    lasted = time.monotonic() - silent
    await phones.hears_exactly(called, {"2001"})
    timeline = await phones.timeline(called, "2001", began)
    assert lasted - 0.04 <= timeline.longest_gap() <= lasted + 0.08
    assert lasted - 0.04 <= timeline.missing() <= lasted + 0.08
    again = (await phones.timeline(called, "2001", silent + lasted)).first_heard()
    assert again is not None
    assert again - (silent + lasted) < 0.2


async def test_keys_busy_decline_and_echo(phones: Phones) -> None:
    """A key reaches the other phone; busy and declined calls tell their SIP status; 9000 echoes."""
    caller, called = await phones.open("2001", "1001")
    await caller.dial("1001")
    await called.answer()
    await caller.dtmf("5")
    await called.until(lambda: called.digits == "5", "pressed 5")
    await caller.hangup()
    await called.wait_state("idle")
    await caller.start_dialing("1001")
    await called.busy()
    await caller.wait_state("idle")
    assert caller.code == 486
    with pytest.raises(PhoneError) as refused:
        await caller.dial("1002")
    assert refused.value.code >= 400
    await caller.dial("9000")
    await phones.hears_exactly(caller, {"2001"})


async def test_pause_by_keys(rig: Rig, phones: Phones) -> None:
    """*452 pauses the agent in every queue with the reason `lunch`, a Local member as well; *46 resumes."""
    for handset in await phones.open("1003", "1007"):
        await handset.dial("*452")
        await handset.wait_state("idle")
    shown = rig.asterisk_cli("queue show")
    assert shown.count("paused:lunch") == 3, shown
    for number in ("1003", "1007"):
        await phones[number].dial("*46")
        await phones[number].wait_state("idle")
    assert "paused" not in rig.asterisk_cli("queue show")


async def test_dropped_phone_and_two_calls_in_a_process(rig: Rig) -> None:
    """Phones that share a process have calls of their own, and a dropped phone says no goodbye."""
    async with Phones(rig.ports.sip, per_process=2) as shared:
        customer, agent, other, victim = await shared.open("3001", "1001", "3002", "1005")
        await customer.dial("7000")
        await agent.answer()
        await other.dial("7001")
        await victim.answer()
        await shared.hears_exactly(agent, {"3001"})
        await shared.hears_exactly(victim, {"3002"})
        await victim.drop()
        assert [name for name, *_ in rig.channels() if name.startswith("PJSIP/1005-")]
        assert not victim.registered
        await shared.hears_exactly(agent, {"3001"})
        rig.asterisk_cli("channel request hangup all")
        await customer.wait_state("idle")
    assert rig.wait(lambda: not rig.channels(), 40.0)
    assert "1005/" not in rig.asterisk_cli("pjsip show contacts"), "nobody calls it where it is not"


def test_crash_and_return_of_asterisk() -> None:
    """Asterisk killed in its work is back in seconds, with its registrations and its configuration."""
    with Rig.for_tests() as rig:
        began = time.monotonic()
        rig.kill_asterisk()
        assert not rig.is_alive("asterisk")
        rig.restart_asterisk()
        assert time.monotonic() - began < 10.0
        assert "support has 0 calls" in rig.asterisk_cli("queue show support")


def test_up_is_idempotent_cleans_a_crash_and_down_leaves_nothing(tmp_path: Path) -> None:
    """`up` twice is one rig; after a crash it is a new one; `down` leaves no process, also twice."""
    try:
        first = run_lab(tmp_path, "up", "--free-ports")
        assert first.returncode == 0, first.stderr
        before = load_state(tmp_path)
        assert before is not None
        assert "already" in run_lab(tmp_path, "up").stdout
        assert load_state(tmp_path) == before
        console = subprocess.run(  # noqa: S603  # a wrapper that the lab wrote
            [tmp_path / "bin/asterisk", "core", "show", "version"], check=True, capture_output=True, text=True
        )
        assert console.stdout.startswith("Asterisk ")
        processes.signal_process(before.processes["asterisk"], signal.SIGKILL)
        assert processes.wait_until(lambda: not processes.is_alive(before.processes["asterisk"]), 5.0)
        assert run_lab(tmp_path, "status").returncode == 1
        assert run_lab(tmp_path, "up", "--free-ports").returncode == 0
        assert run_lab(tmp_path, "status").returncode == 0
        assert not processes.is_alive(before.processes["mosquitto"])
    finally:
        ended = run_lab(tmp_path, "down")
    assert ended.returncode == 0, ended.stderr
    assert processes.marked(tmp_path) == []
    assert "no lab is up" in run_lab(tmp_path, "down").stdout


def test_down_ends_what_no_file_tells_of(tmp_path: Path) -> None:
    """Where the state file is lost, `down` finds the rig's processes all the same."""
    assert run_lab(tmp_path, "up", "--free-ports").returncode == 0
    (tmp_path / "rig.json").unlink()
    assert processes.marked(tmp_path)
    run_lab(tmp_path, "down")
    assert processes.marked(tmp_path) == []


def test_taken_port_is_named_with_its_owner(tmp_path: Path) -> None:
    """A rig whose port somebody holds does not start, and the error names port, pid and command."""
    ports = free_ports()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", ports.ami))
        holder.listen()
        with pytest.raises(PortTakenError) as taken:
            Rig(tmp_path, ports).start()
    assert f"AMI tcp port {ports.ami} is held by pid {os.getpid()} (" in str(taken.value)
    assert processes.marked(tmp_path) == []


def test_a_test_rig_dies_with_its_runner() -> None:
    """When the maker of a test rig is killed the kernel ends the rig, and the next rig sweeps its folder."""
    program = (
        "import time; from lab.rig import Rig\n"
        "rig = Rig.for_tests(); rig.start(); print(rig.base, flush=True); time.sleep(600)"
    )
    path = f"{CHECKOUT / 'hardware-lab'}:{CHECKOUT}"
    runner = subprocess.Popen(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    )
    assert runner.stdout is not None
    with runner.stdout:
        base = Path(runner.stdout.readline().decode().strip())
    try:
        state = load_state(base)
        assert state is not None
        assert all(processes.is_alive(identity) for identity in state.processes.values())
    finally:
        runner.kill()
        runner.wait()
    assert processes.wait_until(lambda: processes.marked(base) == [], 5.0)
    with Rig.for_tests():
        assert not base.exists()

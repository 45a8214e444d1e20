import asyncio
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ctid.capture import Capture, CaptureError, CaptureFile, Record
from ctid.model.errors import LinkError, LinkRefused
from ctid.model.facts import Snapshot
from ctid.model.ids import PbxId
from ctid.ports import CaptureOrder, RecordingDriver, ReplayingFactory
from ctid_asterisk import recording as module
from ctid_asterisk.driver import AsteriskDriver
from ctid_asterisk.recording import Blocks, Recorder
from ctid_asterisk.replaying import replay
from helpers.ami_server import CLOSE, AmiServer, ami_server, answer, block
from helpers.patience import until

PBX = PbxId("main")
HELD = block(
    "Event: Hold", "Channel: PJSIP/1001-00000001", "CallerIDNum: 0612345678", "Uniqueid: 1795417440.1"
)


class Clock:
    """A clock that stands still."""

    def now(self) -> float:
        """Some time in 2026."""
        return 1795417439.0


def driver(server: AmiServer) -> AsteriskDriver:
    """A driver for the server; ARI is configured, and nobody is there."""
    ari = {"url": "http://127.0.0.1:9", "username": "ctid", "password": "s"}
    return AsteriskDriver(PBX, {"port": server.port, "username": "ctid", "secret": "t0ps3cret", "ari": ari})


def read(path: Path) -> tuple[list[Record], Capture]:
    """All of a capture."""
    capture = Capture(path)
    return list(capture.records()), capture


def order(path: Path, **other: Any) -> CaptureOrder:
    """Record into the path, without snapshots by a timer."""
    return CaptureOrder(path=path, **({"reconcile_s": 0.0} | other))


# The whole of it ----------------------------------------------------------------------------------


async def test_everything_that_is_sent_is_recorded_but_the_login(tmp_path: Path) -> None:
    """From the banner on, with the requests that the answers are to; nothing of user, secret or challenge."""
    path = tmp_path / "calls.capture.xz"
    async with ami_server() as server:
        recording = await driver(server).record(order(path, raw=True))
        server.tell(HELD)
        await recording.snapshot()
        assert await recording.close("enough") == "enough"
        assert await recording.close("again") == "enough"
    records, capture = read(path)
    assert (capture.end, capture.cut, capture.header.scrubbed, capture.header.pbx) == (
        "enough",
        "",
        False,
        PBX,
    )
    texts = [record.message for record in records]
    assert texts[0] == b"Asterisk Call Manager/11.0.0"
    assert HELD.strip().encode() in texts
    sent = [record.sent for record in records if record.sent is not None]
    assert sent[0] == "CoreSettings"
    assert sent.count("CoreShowChannels") == sent.count("Setvar") == 2
    assert all(record.fence for record in records if record.sent == "Setvar")
    text = "".join(map(str, records))
    for secret in ("t0ps3cret", "Login", "Challenge", "Authentication accepted"):
        assert secret not in text
    times = [record.t for record in records]
    assert times == sorted(times)
    assert recording.totals.messages == sum(record.message is not None for record in records)
    assert recording.totals.file_bytes == path.stat().st_size


async def test_scrubbed_is_the_default_and_is_replayed(tmp_path: Path) -> None:
    """Nobody's number is in the file, which says that it is scrubbed; the driver reads it back."""
    path = tmp_path / "calls.capture.gz"
    async with ami_server() as server:
        recording = await driver(server).record(order(path))
        server.tell(HELD)
        await recording.snapshot()
        await recording.close("enough")
    records, capture = read(path)
    assert capture.header.scrubbed
    assert not [record for record in records if b"0612345678" in (record.message or b"")]
    facts = [fact for step in replay(Capture(path)) for fact in step.facts]
    assert sum(isinstance(fact, Snapshot) for fact in facts) == 2


async def test_the_supervisors_application_stays_the_daemons(tmp_path: Path) -> None:
    """A capture never connects to ARI: that would take the application's events from the daemon."""
    async with ami_server() as server:
        recording = await driver(server).record(order(tmp_path / "x"))
        connection: Any = recording._connection
        assert connection._settings.ari is None
        assert server.count("ListCommands") == 0, "nor does it take up sessions that ChanSpy carries"
        await recording.close("enough")


async def test_a_lost_link_ends_it_with_what_it_has(tmp_path: Path) -> None:
    """The reason is told, and is in the file."""
    path = tmp_path / "x"
    async with ami_server() as server:
        recording = await driver(server).record(order(path))
        server.tell(HELD)
        server.hang_up()
        async with asyncio.timeout(5):
            reason = await recording.ended()
        assert reason.startswith("the link was lost: AMI: eof")
        assert await recording.close(reason) == reason
    records, capture = read(path)
    assert capture.end == reason
    assert any(b"Event: Hold" in (record.message or b"") for record in records)


async def test_snapshots_are_taken_on_a_timer(tmp_path: Path) -> None:
    """As the daemon takes them; one that is refused is no end."""
    async with ami_server() as server:
        recording = await driver(server).record(order(tmp_path / "x", reconcile_s=0.01))
        await until(lambda: server.count("CoreShowChannels") > 2)
        server.says["CoreShowChannels"] = answer("Message: Permission denied", status="Error")
        asked = server.count("CoreShowChannels")
        await until(lambda: server.count("CoreShowChannels") > asked + 1)
        server.hang_up()
        async with asyncio.timeout(5):
            assert (await recording.ended()).startswith("the link was lost")
        await recording.close("late")


async def test_a_refused_login_leaves_no_file(tmp_path: Path) -> None:
    """Nor does a PBX that is not there."""
    path = tmp_path / "x"
    async with ami_server() as server:
        server.says["Login"] = answer("Message: Authentication failed", status="Error")
        with pytest.raises(LinkRefused):
            await driver(server).record(order(path))
        assert not path.exists()
        server.says["Login"] = lambda _: CLOSE
        with pytest.raises(LinkError):
            await driver(server).record(order(path))
    assert not path.exists()


async def test_a_file_that_is_there_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    """The PBX does not even see a connection."""
    (tmp_path / "x").touch()
    async with ami_server() as server:
        with pytest.raises(CaptureError, match="is there already"):
            await driver(server).record(order(tmp_path / "x"))
        assert server.connections == 0


async def test_a_full_disk_ends_it_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written stays readable; closing tells it again."""
    path = tmp_path / "x"
    monkeypatch.setattr(module, "FLUSH_S", 0.01)
    async with ami_server() as server:
        recording = await driver(server).record(order(path))
        await until(lambda: recording.totals.file_bytes > 500)

        def full(_file: int, _data: bytes) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("ctid.capture.os.write", full)
        server.tell(HELD)
        async with asyncio.timeout(5):
            reason = await recording.ended()
        assert reason.endswith("x cannot be written: No space left on device")
        with pytest.raises(CaptureError, match="No space left"):
            await recording.close(reason)
    assert read(path)[1].cut


async def test_a_defect_of_a_task_is_raised(tmp_path: Path) -> None:
    """Nobody is to believe that a capture goes on which nobody drains."""
    async with ami_server() as server:
        recording = await driver(server).record(order(tmp_path / "x"))
        recording._failed(ZeroDivisionError("a defect"))
        recording._failed(ZeroDivisionError("another"))
        recording._end("too late")
        with pytest.raises(ZeroDivisionError, match="a defect"):
            await recording.ended()
        await recording.close("defect")


async def test_no_snapshot_before_there_is_a_link(tmp_path: Path) -> None:
    """It is told, not waited for."""
    recording = module.Recording(PBX, order(tmp_path / "x"), Clock())
    with pytest.raises(LinkError):
        await recording.snapshot()
    await recording.close("enough")


def test_the_driver_says_that_it_can() -> None:
    """The command line asks before it begins."""
    assert isinstance(AsteriskDriver(PBX, {"username": "u", "secret": "s"}), RecordingDriver)
    assert isinstance(AsteriskDriver, ReplayingFactory)


# The writer's thread ------------------------------------------------------------------------------


class Stuck:
    """A disk that takes nothing until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        self.stuck = threading.Event()
        flush: Callable[[CaptureFile], None] = CaptureFile.flush

        def waiting(file: CaptureFile) -> None:
            if threading.current_thread() is not threading.main_thread():
                self.stuck.set()
                assert self.go.wait(10)
            flush(file)

        monkeypatch.setattr(CaptureFile, "flush", waiting)


def test_a_slow_disk_never_makes_the_reader_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound the capture ends, says why, and holds what came before."""
    monkeypatch.setattr(module, "FLUSH_S", 0.01)
    disk = Stuck(monkeypatch)
    ended = threading.Event()
    recorder = Recorder(PBX, order(tmp_path / "x"), Clock(), lambda _: ended.set(), most_waiting=10_000)
    recorder.received(b"Asterisk Call Manager/11.0.0\r\n")
    assert disk.stuck.wait(10)
    for _ in range(1000):
        recorder.received(HELD.encode())
    disk.go.set()
    assert ended.wait(10)
    reason = recorder.close("enough")
    assert reason.startswith("the disk does not keep up: 10")
    records, capture = read(tmp_path / "x")
    assert capture.end == reason
    assert 10 < len(records) < 200


def test_what_waits_is_bounded_by_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill costs the last seconds alone: a quiet PBX's messages are in the file soon."""
    monkeypatch.setattr(module, "FLUSH_S", 0.01)
    path = tmp_path / "x.xz"
    flushed = threading.Event()
    flush: Callable[[CaptureFile], None] = CaptureFile.flush

    def telling(file: CaptureFile) -> None:
        waited = file.waiting
        flush(file)
        if waited and threading.current_thread() is not threading.main_thread():
            flushed.set()

    monkeypatch.setattr(CaptureFile, "flush", telling)
    recorder = Recorder(PBX, order(path), Clock(), lambda _: None)
    recorder.received(b"Asterisk Call Manager/11.0.0\r\n")
    assert flushed.wait(10)
    records, capture = read(path)
    assert len(records) == 1
    assert capture.cut
    assert recorder.close("enough") == "enough"


def test_much_at_once_is_flushed_by_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not pile up in memory until the time comes."""
    monkeypatch.setattr(module, "FLUSH_BYTES", 1000)
    path = tmp_path / "x"
    recorder = Recorder(PBX, order(path, raw=True), Clock(), lambda _: None)
    recorder.received(b"Asterisk Call Manager/11.0.0\r\n")
    for _ in range(100):
        recorder.received(HELD.encode())
    assert recorder.close("enough") == "enough"
    assert len(read(path)[0]) == 101


def test_a_disk_that_fails_at_the_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing raises it."""

    def broken(_file: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    recorder = Recorder(PBX, order(tmp_path / "x"), Clock(), lambda _: None)
    monkeypatch.setattr("ctid.capture.os.fsync", broken)
    with pytest.raises(CaptureError, match="Input/output error"):
        recorder.close("enough")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_blocks_come_out_of_any_split(size: int) -> None:
    """With any line ends, and with empty lines between them; what is not whole stays inside."""
    wire = (
        b"Asterisk Call Manager/11.0.0\r\nEvent: A\r\nKey: 1\r\n\r\n\r\nEvent: B\nKey: 2\n\nEvent: C\r\nCut"
    )
    blocks = Blocks()
    found = [block for at in range(0, len(wire), size) for block in blocks.feed(wire[at : at + size])]
    assert found == [b"Asterisk Call Manager/11.0.0", b"Event: A\r\nKey: 1", b"Event: B\nKey: 2"]

import asyncio
import io
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ctid.capture import FORMAT, Capture
from ctid.cli import replay as replay_command
from ctid.cli.capture import _on_signals, _record
from ctid.cli.output import Output
from ctid.cli.replay import _paced
from ctid.model.ids import PbxId
from ctid.model.instant import Instant
from ctid.ports import CaptureOrder, Replayed
from ctid_asterisk.driver import AsteriskDriver
from helpers.ami_server import AmiServer, answer, block
from helpers.captures import REPLAYS, header, heard, shipped, written

Run = Callable[..., tuple[int, str, str]]
CALLS = str(REPLAYS / "queue-calls.capture.xz")
OFTEN = ("--reconcile", "0.02")
HELD = block("Event: Hold", "Channel: PJSIP/1001-00000001", "CallerIDNum: 0612345678")


class Pbx:
    """An AMI server in a thread of its own."""

    def __init__(self) -> None:
        self.server = AmiServer()
        self._loop = asyncio.new_event_loop()
        self._up, self._end = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._thread.start()
        assert self._up.wait(10)

    async def _serve(self) -> None:
        server = await asyncio.start_server(self.server.serve, "127.0.0.1", 0)
        self.server.port = server.sockets[0].getsockname()[1]
        self._up.set()
        await self._end.wait()
        server.close()
        if self.server._writer is not None:
            self.server._writer.close()
        await server.wait_closed()

    def soon(self, holds: Callable[[], bool], act: Callable[[], None]) -> None:
        """Do something in the server's thread once a condition holds."""

        async def wait() -> None:
            while not holds():  # noqa: ASYNC110 - what holds is another thread's
                await asyncio.sleep(0.005)
            act()

        asyncio.run_coroutine_threadsafe(wait(), self._loop)

    def stop(self) -> None:
        """End it, and wait for the thread's end."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._loop.close()


@pytest.fixture
def pbx() -> Iterator[Pbx]:
    """A PBX to record."""
    made = Pbx()
    yield made
    made.stop()


@pytest.fixture
def config(tmp_path: Path, pbx: Pbx) -> Path:
    """A configuration that names it."""
    return configured(tmp_path, pbx.server.port)


def configured(folder: Path, port: int) -> Path:
    """A configuration of a PBX at a port."""
    path = folder / "ctid.toml"
    path.write_text(
        f'state_directory = "{folder}/state"\n'
        f'[[pbx]]\nid = "main"\ndriver = "asterisk"\nport = {port}\nusername = "ctid"\nsecret = "t0p"\n'
    )
    return path


def synchronized(pbx: Pbx) -> Callable[[], bool]:
    """Whether the capture goes on: it has asked for a snapshot by its timer."""
    return lambda: pbx.server.count("CoreShowChannels") > 1


# capture --------------------------------------------------------------------------------------------


def test_a_capture_of_some_seconds(run: Run, config: Path, tmp_path: Path) -> None:
    """It ends by itself, whole, and says what it holds."""
    path = tmp_path / "calls.capture.xz"
    code, out, err = run("capture", "--config", str(config), "-o", str(path), "--seconds", "0.3")
    assert (code, err) == (0, "")
    assert "ended: the time was over\nscrubbed: " in out
    capture = Capture(path)
    records = list(capture.records())
    assert f"{sum(record.message is not None for record in records)} messages" in out
    assert (capture.end, capture.header.scrubbed, capture.header.pbx) == ("the time was over", True, "main")


def test_raw_is_said_and_told(run: Run, config: Path, tmp_path: Path, pbx: Pbx) -> None:
    """In the file, and to whoever has it made."""
    path = tmp_path / "x"
    pbx.soon(synchronized(pbx), lambda: pbx.server.tell(HELD))
    code, out, _ = run(
        "capture", "--config", str(config), "-o", str(path), "--seconds", "0.5", "--raw", *OFTEN
    )
    assert code == 0
    assert "handle it as personal data" in out
    capture = Capture(path)
    assert any(b"0612345678" in (record.message or b"") for record in capture.records())
    assert not capture.header.scrubbed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_whole(
    run_json: Callable[..., tuple[int, Any]], config: Path, tmp_path: Path, pbx: Pbx, number: int
) -> None:
    """That is how it is meant to be ended, so it is no failure."""
    path = tmp_path / "x"
    pbx.soon(synchronized(pbx), lambda: os.kill(os.getpid(), number))
    code, document = run_json("capture", "--config", str(config), "-o", str(path), *OFTEN)
    assert (code, document["reason"], document["raw"]) == (0, "interrupted", False)
    capture = Capture(path)
    assert len(list(capture.records())) > document["messages"] > 10
    assert capture.end == "interrupted"
    assert document["file_bytes"] == path.stat().st_size


def test_a_signal_before_there_is_a_link_leaves_nothing(
    run: Run, config: Path, tmp_path: Path, pbx: Pbx
) -> None:
    """Nor does it wait for the PBX."""
    pbx.server.says["CoreShowChannels"] = lambda _: ""
    pbx.soon(lambda: pbx.server.count("CoreShowChannels") > 0, lambda: os.kill(os.getpid(), signal.SIGINT))
    code, _, _ = run("capture", "--config", str(config), "-o", str(tmp_path / "x"))
    assert code == 130
    assert not (tmp_path / "x").exists()


async def test_a_second_signal_changes_nothing() -> None:
    """While the file is closed, Ctrl-C again does not cut it."""
    until = asyncio.timeout(None)
    with _on_signals(until):
        async with until:
            pass
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.01)
    assert not until.expired()


def test_a_lost_link_ends_it_and_is_a_failure(run: Run, config: Path, tmp_path: Path, pbx: Pbx) -> None:
    """What there is, is whole and is told; the exit code says that it is less than was asked."""
    pbx.soon(synchronized(pbx), pbx.server.hang_up)
    code, out, _ = run("capture", "--config", str(config), "-o", str(tmp_path / "x"), *OFTEN)
    assert code == 1
    assert "ended: the link was lost: AMI: eof" in out
    capture = Capture(tmp_path / "x")
    assert list(capture.records())
    assert capture.end.startswith("the link was lost")


def test_a_pbx_that_is_not_configured_is_told(run: Run, config: Path, tmp_path: Path) -> None:
    """By its name, with those there are."""
    begin = ("capture", "--config", str(config), "-o", str(tmp_path / "x"), "--seconds", "0.2")
    code, _, err = run(*begin, "--pbx", "nice")
    assert (code, err) == (2, "ctid: there is no PBX 'nice' in the configuration; there is main\n")
    assert run(*begin, "--pbx", "main")[0] == 0


async def test_on_a_terminal_it_says_how_much_it_has(tmp_path: Path, pbx: Pbx) -> None:
    """A line that is drawn again and again."""
    screen = io.StringIO()
    output = Output(as_json=False)
    output.console = Console(file=screen, force_terminal=True, width=120)
    driver = AsteriskDriver(PbxId("main"), {"port": pbx.server.port, "username": "u", "secret": "s"})
    await _record(output, driver, CaptureOrder(path=tmp_path / "x"), 0.3)
    assert "messages in 0:00" in screen.getvalue()
    assert "Ctrl-C ends it" in screen.getvalue()


def test_what_is_wrong_is_told_by_the_exit_code(run: Run, config: Path, tmp_path: Path, pbx: Pbx) -> None:
    """The configuration, the file, the login and the link each have one of their own."""
    path = tmp_path / "x"
    begin = ("capture", "-o", str(path), "--seconds", "0.2")
    assert run(*begin, "--config", str(tmp_path / "none"))[0] == 3
    path.touch()
    code, _, err = run(*begin, "--config", str(config))
    assert (code, "is there already; captures are not overwritten" in err) == (1, True)
    path.unlink()
    pbx.server.says["Login"] = answer("Message: Authentication failed", status="Error")
    assert run(*begin, "--config", str(config))[0] == 5
    pbx.server.greeting = "SSH-2.0\r\n"
    assert run(*begin, "--config", str(config))[0] == 4
    assert not path.exists()


def test_a_driver_that_cannot_is_told(
    run: Run, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither record nor replay is asked of every driver."""
    monkeypatch.setattr("ctid.cli.capture.make_driver", lambda _: object())
    code, _, err = run("capture", "--config", str(config), "-o", str(tmp_path / "x"))
    assert (code, err) == (1, "ctid: the driver 'asterisk' cannot record\n")
    monkeypatch.setattr(replay_command, "find_driver", lambda _: object)
    code, _, err = run("replay", CALLS)
    assert (code, err) == (1, "ctid: the driver 'asterisk' cannot replay\n")


@pytest.mark.parametrize("seconds", ["-1", "0", "nan", "soon", "1e12"])
def test_seconds_are_seconds(run: Run, capsys: pytest.CaptureFixture[str], seconds: str) -> None:
    """Anything else is a mistake of the command line."""
    with pytest.raises(SystemExit) as ended:
        run("capture", "-o", "x", f"--seconds={seconds}")
    assert ended.value.code == 2
    assert "say seconds" in capsys.readouterr().err


def test_the_file_may_stand_by_itself(run: Run, config: Path, tmp_path: Path) -> None:
    """Before the options or after them, as with `-o`."""
    options = ("--config", str(config), "--seconds", "0.2")
    for name, command in (
        ("a", (str(tmp_path / "a"), *options)),
        ("b", (*options, "--raw", str(tmp_path / "b"))),
    ):
        assert run("capture", *command)[0] == 0
        assert Capture(tmp_path / name).header.pbx == "main"


@pytest.mark.parametrize(
    ("files", "told"), [((), "FILE -o/--output is required"), (("x", "-o", "y"), "not allowed with")]
)
def test_one_file(run: Run, capsys: pytest.CaptureFixture[str], files: tuple[str, ...], told: str) -> None:
    """There is always one, and never two."""
    with pytest.raises(SystemExit) as ended:
        run("capture", *files)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


# replay ---------------------------------------------------------------------------------------------


def test_a_replay_tells_changes_and_the_floor(run: Run) -> None:
    """A line a change, with its second; then the floor as `ctid watch` shows it."""
    code, out, err = run("replay", CALLS)
    assert (code, err) == (0, "")
    assert "connected -> held" in out
    assert "caller_abandoned" in out
    assert "ended -> gone" in out
    assert "Alice Martin" in out.partition("AGENT  NAME")[2]
    assert out.endswith("it ended: done\n")


def test_two_replays_are_equal(run: Run) -> None:
    """Byte by byte, as text and as JSON."""
    assert run("replay", CALLS) == run("replay", CALLS)
    assert run("replay", CALLS, "--json") == run("replay", CALLS, "--json")


def test_json_is_what_the_event_socket_tells(run: Run) -> None:
    """Changes and occurrences, then the snapshot of the end, then how it was."""
    _, out, _ = run("replay", CALLS, "--json")
    documents = [json.loads(line) for line in out.splitlines()]
    kinds = [document["type"] for document in documents]
    assert set(kinds[:-2]) == {"change", "occurrence"}
    assert kinds[-2:] == ["snapshot", "replayed"]
    assert [document["seq"] for document in documents[:-2]] == list(range(1, len(documents) - 1))
    end = documents[-1]
    assert (end["end"], end["cut"], end["troubles"], end["messages"]) == (
        "done",
        "",
        [],
        len(shipped("queue-calls")),
    )


def test_until_stops_in_the_middle(run: Run) -> None:
    """The floor is then as it was at that second, and nothing is missing."""
    code, out, err = run("replay", CALLS, "--until", "2.5", "--json")
    assert (code, err) == (0, "")
    end = json.loads(out.splitlines()[-1])
    assert 0 < end["seconds"] <= 2.5
    assert 0 < end["messages"] < len(shipped("queue-calls"))


def test_names_come_from_the_configuration(run: Run, tmp_path: Path) -> None:
    """Those of queues and teams; a configuration that is wrong is told."""
    config = configured(tmp_path, 5038)
    config.write_text(config.read_text() + '\n[[queue]]\nid = "support"\nname = "Hotline"\n')
    assert "Hotline" in run("replay", CALLS, "--config", str(config))[1]
    assert run("replay", CALLS, "--config", str(tmp_path / "none"))[0] == 3


def test_a_cut_capture_is_told_and_what_is_whole_is_replayed(run: Run, tmp_path: Path) -> None:
    """On standard error, and by the exit code; when only its beginning is asked for, it is not missing."""
    path = written(tmp_path / "cut", shipped("queue-calls")[:200], None)
    code, out, err = run("replay", str(path))
    assert code == 1
    assert "cut is cut: its end is missing" in err
    assert "200 messages" in out
    assert run("replay", str(path), "--until", "1")[0] == 0


def test_what_is_no_capture_or_a_newer_one_is_told(run: Run, tmp_path: Path) -> None:
    """With the file's name and what to do."""
    other = tmp_path / "other"
    other.write_text("Asterisk Call Manager/11.0.0\r\n")
    assert run("replay", str(other))[::2] == (1, f"ctid: {other} is no capture of ctid\n")
    newer = written(tmp_path / "newer", [], ctid_capture=FORMAT + 1)
    code, _, err = run("replay", str(newer))
    assert (code, "replay it with the ctid that wrote it" in err) == (1, True)
    foreign = written(tmp_path / "foreign", [], driver="nortel")
    code, _, err = run("replay", str(foreign))
    assert (code, "no driver 'nortel'" in err) == (1, True)
    assert header().ctid_capture == FORMAT


def test_what_cannot_be_read_is_told_with_its_second(run: Run, tmp_path: Path) -> None:
    """The rest is replayed."""
    records = [*shipped("queue-calls"), heard(99.0, "Event: Hangup", "Cause: 16")]
    code, _, err = run("replay", str(written(tmp_path / "odd", records)))
    assert code == 0
    assert "not read at 99.000 s: Hangup: KeyError" in err


def test_an_empty_capture_is_an_empty_floor(run: Run, tmp_path: Path) -> None:
    """Nothing is told, and nothing breaks."""
    code, out, _ = run("replay", str(written(tmp_path / "empty", [])))
    assert (code, "0 messages" in out) == (0, True)


def test_at_speed_one_each_step_comes_when_it_came() -> None:
    """What is late already is not waited for."""
    now = [100.0]
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(round(seconds, 3))
        now[0] += seconds

    steps = (Replayed(t=t, at=Instant(t)) for t in (0.0, 0.5, 0.5, 2.0))
    assert len(list(_paced(steps, lambda: now[0], sleep))) == 4
    assert slept == [0.5, 1.5]


def test_speed_one_is_the_same_floor(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only slower."""
    monkeypatch.setattr("ctid.cli.replay.time.sleep", lambda _: None)
    assert run("replay", CALLS, "--speed", "1") == run("replay", CALLS)

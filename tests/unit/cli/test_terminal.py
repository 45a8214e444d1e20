import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ctid.cli.exits import Exit

from .conftest import AGENT, AT, SESSION, SNAPSHOT, FakeCtid, problem

ROOT = Path(__file__).parents[3]


class Terminal:
    """The command in a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(  # noqa: S603 - this very program
            [sys.executable, "-m", "ctid", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=ROOT,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "150", "LINES": "40"},
        )
        os.close(theirs)
        self.text = ""

    def press(self, keys: str) -> None:
        """Type keys."""
        os.write(self._ours, keys.encode())

    def until(self, text: str) -> None:
        """Read until `text` was written after all that was read for earlier."""
        deadline = time.monotonic() + 20
        while text not in self.text:
            ready, _, _ = select.select([self._ours], [], [], max(deadline - time.monotonic(), 0))
            assert ready, f"{text!r} was not written: {self.text[-2000:]!r}"
            try:
                self.text += os.read(self._ours, 65536).decode("utf-8", "replace")
            except OSError as error:  # EIO: the other side is closed
                raise AssertionError(f"ended without writing {text!r}: {self.text[-2000:]!r}") from error
        self.text = self.text.partition(text)[2]

    def ended(self) -> int:
        """Wait for the end; returns the exit code."""
        return self.process.wait(20)

    def close(self) -> None:
        """End what still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(20)
        os.close(self._ours)


Open = Callable[..., Terminal]


@pytest.fixture
def terminal() -> Iterator[Open]:
    """Open terminals, and leave no process behind."""
    opened: list[Terminal] = []

    def open_terminal(*arguments: str) -> Terminal:
        opened.append(Terminal(*arguments))
        return opened[-1]

    yield open_terminal
    for each in opened:
        each.close()


SUPERVISE = ("supervise", "1001", "--phone", "2001", "--purpose", "quality")


@pytest.fixture
def supervising(server: FakeCtid, terminal: Open) -> Terminal:
    """A terminal that stays with a session."""
    server.answers["GET /agents/1001"] = (200, AGENT)
    server.answers["POST /supervisions"] = (201, SESSION)
    server.answers["PATCH /supervisions/s1"] = (200, SESSION)
    server.answers["DELETE /supervisions/s1"] = (200, {**SESSION, "state": "ended"})
    server.messages = [{**SNAPSHOT, "entities": {"supervisions": [SESSION]}}]
    opened = terminal(*SUPERVISE)
    opened.until("t take over (twice)")
    return opened


def acts(server: FakeCtid) -> list[tuple[str, str | None]]:
    """The switches and ends that were asked for."""
    return [
        (method, body and body.get("mode"))
        for method, _, body in server.asked
        if method in ("PATCH", "DELETE")
    ]


def await_socket(server: FakeCtid) -> None:
    """Wait until the command follows its session."""
    deadline = time.monotonic() + 20
    while not server.opened:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_keys_switch(server: FakeCtid, supervising: Terminal) -> None:
    """w, b and l switch, each with one request; other keys do nothing; q leaves, and the call goes on."""
    for key, mode, said in (
        ("w", "whisper", "the agent alone hears you"),
        ("xb", "barge", "agent and customer hear"),
        ("L", "listen", "nobody hears"),
    ):
        server.answers["PATCH /supervisions/s1"] = (200, {**SESSION, "mode": mode})
        supervising.press(key)
        supervising.until(said)
    supervising.press("q")
    supervising.until("left; the call goes on")
    assert supervising.ended() == Exit.OK
    assert acts(server) == [("PATCH", "whisper"), ("PATCH", "barge"), ("PATCH", "listen"), ("DELETE", None)]


def test_takeover_is_confirmed(server: FakeCtid, supervising: Terminal) -> None:
    """Key t takes over only when pressed twice; leaving then does not hang up on the customer."""
    supervising.press("t")
    supervising.until("press t again")
    supervising.press("x")
    supervising.press("t")
    supervising.until("press t again")
    assert acts(server) == []
    server.answers["PATCH /supervisions/s1"] = (200, {**SESSION, "mode": "takeover"})
    supervising.press("t")
    supervising.until("the customer is yours")
    supervising.press("q")
    supervising.until("the customer stays with you")
    assert supervising.ended() == Exit.OK
    assert acts(server) == [("PATCH", "takeover")]


def test_keys_for_the_rest(server: FakeCtid, supervising: Terminal) -> None:
    """Space mutes and lets pass again, h changes whom she hears, d takes the lead; one request each."""
    await_socket(server)
    message = {"type": "change", "seq": 9, "at": AT, "kind": "supervision", "id": "s1"}
    server.push({**message, "entity": {**SESSION, "mode": "barge"}})
    supervising.until("agent and customer hear you")
    for key, changed, said in (
        (" ", {"mode": "barge", "muted": True}, "you are muted, nobody hears you"),
        (" ", {"mode": "barge"}, "agent and customer hear you"),
        ("h", {"hear": "agent"}, "you hear the agent alone"),
        ("h", {"hear": "customer"}, "you hear the customer alone"),
        ("h", {"lead": False}, "another session leads"),
        ("d", {}, ": nobody hears you"),
    ):
        server.answers["PATCH /supervisions/s1"] = (200, {**SESSION, **changed})
        supervising.press(key)
        supervising.until(said)
    supervising.press("dq")
    supervising.until("left; the call goes on")
    assert supervising.ended() == Exit.OK
    asked = [body for method, _, body in server.asked if method == "PATCH"]
    assert asked == [
        {"muted": True},
        {"muted": False},
        {"hear": "agent"},
        {"hear": "customer"},
        {"hear": "both"},
        {"lead": True},
    ]


def test_hand_back(server: FakeCtid, supervising: Terminal) -> None:
    """Key r hands the customer back, and the command ends with the session."""
    server.answers["PATCH /supervisions/s1"] = (
        200,
        {**SESSION, "mode": "takeover", "state": "ended", "end": "handed_back"},
    )
    supervising.press("r")
    supervising.until("the session ended: handed back")
    assert supervising.ended() == Exit.OK
    assert acts(server) == [("PATCH", "handback")]


def test_a_session_that_follows_is_told(server: FakeCtid, supervising: Terminal) -> None:
    """It waits for the next call, is in it, or with the call's next agent."""
    message = {"type": "change", "seq": 9, "at": AT, "kind": "supervision", "id": "s1"}
    await_socket(server)
    for changed, said in (
        ({"state": "waiting", "scope": "agent"}, "waiting for the next call of agent 1001"),
        ({"scope": "agent"}, "with agent 1001"),
        ({"state": "waiting"}, "waiting for the next agent of the call"),
        ({"agent": "1002"}, "with agent 1002"),
        ({"state": "waiting", "call": None}, "waiting for the next agent"),
    ):
        server.push({**message, "entity": {**SESSION, **changed}})
        supervising.until(said)
    supervising.press("q")
    supervising.until("left")
    assert supervising.ended() == Exit.OK


def test_an_armed_session_can_be_left(server: FakeCtid, terminal: Open) -> None:
    """The command stays with it until its call begins; leaving withdraws it."""
    armed = {**SESSION, "state": "requested", "scope": "next", "call": None}
    server.answers["GET /agents/1001"] = (200, AGENT)
    server.answers["POST /supervisions"] = (201, armed)
    server.answers["DELETE /supervisions/s1"] = (200, {**armed, "state": "ended"})
    server.messages = [{**SNAPSHOT, "entities": {"supervisions": [armed]}}]
    opened = terminal(*SUPERVISE, "--scope", "next")
    opened.until("armed: your phone rings with the next call of agent 1001")
    await_socket(server)
    server.push({"type": "change", "seq": 9, "at": AT, "kind": "supervision", "id": "s1", "entity": SESSION})
    opened.until("with agent 1001")
    opened.press("q")
    opened.until("left")
    assert opened.ended() == Exit.OK
    assert acts(server) == [("DELETE", None)]


def test_refused_switch_is_told(server: FakeCtid, supervising: Terminal) -> None:
    """A switch that ctid refuses is told, and the terminal stays with the session."""
    server.answers["PATCH /supervisions/s1"] = (409, {"status": 409, "code": "c", "detail": "not now"})
    supervising.press("w")
    supervising.until("not switched, still listen: not now")
    supervising.press("q")
    assert supervising.ended() == Exit.OK


def test_session_ends_by_itself(server: FakeCtid, supervising: Terminal) -> None:
    """The mode as another client switched it is told, and so is the session's end, with its reason."""
    message = {"type": "change", "seq": 9, "at": AT, "kind": "supervision", "id": "s1"}
    await_socket(server)
    server.push({**message, "entity": {**SESSION, "mode": "barge"}})
    supervising.until("agent and customer hear you")
    server.push({**message, "entity": {**SESSION, "state": "ended", "end": "call_ended"}})
    supervising.until("the session ended: call ended")
    assert supervising.ended() == Exit.OK
    assert acts(server) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_leaves(server: FakeCtid, supervising: Terminal, number: signal.Signals) -> None:
    """Ctrl-C, a termination and a closed terminal end the session: nobody is listened to by accident."""
    supervising.process.send_signal(number)
    assert supervising.ended() == Exit.OK
    assert acts(server) == [("DELETE", None)]


def test_leaving_while_it_rings(server: FakeCtid, terminal: Open) -> None:
    """Who gives up while her phone rings stops the ringing, without waiting for its end."""
    server.answers["GET /agents/1001"] = (200, AGENT)
    ringing = {**SESSION, "state": "ringing"}
    server.answers["GET /supervisions"] = (200, {"items": [ringing], "next": None, "seq": 7})
    server.answers["POST /supervisions"] = problem(409, "supervision.ended", "ended")
    server.answers["DELETE /supervisions/s1"] = (200, {**SESSION, "state": "ended"})
    server.ringing = True
    opened = terminal(*SUPERVISE)
    opened.until("(q leaves)")
    opened.press("q")
    opened.until("not begun")
    assert opened.ended() == Exit.OK
    assert acts(server) == [("DELETE", None)]


def test_refused_start(server: FakeCtid, terminal: Open) -> None:
    """A start that ctid refuses ends the command with the code of a refusal, the terminal as it was."""
    server.answers["GET /agents/1001"] = (200, AGENT)
    server.answers["POST /supervisions"] = (
        409,
        {"status": 409, "code": "supervision.no_live_call", "detail": "none"},
    )
    opened = terminal(*SUPERVISE)
    opened.until("none [supervision.no_live_call]")
    assert opened.ended() == Exit.REFUSED


def test_watch_says_stale_and_comes_back(server: FakeCtid, terminal: Open) -> None:
    """When ctid goes, `watch` keeps what it knows, says so, and connects again; Ctrl-C ends it."""
    server.messages = [SNAPSHOT]
    watching = terminal("watch")
    watching.until("Alice")
    server.messages = [{**SNAPSHOT, "entities": {"agents": [{**AGENT, "name": "Bruno"}]}}]
    server.answers["GET /events"] = problem(503, "internal", "it stops")
    server.hang_up()
    watching.until("STALE")
    watching.until("Alice")
    del server.answers["GET /events"]
    watching.until("Bruno")
    watching.process.send_signal(signal.SIGINT)
    assert watching.ended() == Exit.INTERRUPTED

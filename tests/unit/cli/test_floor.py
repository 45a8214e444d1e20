from typing import Any

import pytest
from rich.console import Console

from ctid.cli.floor import Floor, picture
from ctid.client import Unreadable
from ctid.model.instant import from_rfc3339

from .conftest import AGENT, AT, QUEUE, SESSION, SNAPSHOT

NOW = from_rfc3339(AT) + 65


def drawn(floor: Floor, now: float = NOW, trouble: str = "") -> str:
    """The picture as text, without colour."""
    console = Console(width=160, color_system=None, highlight=False)
    with console.capture() as capture:
        console.print(picture(floor, now, source="http://x", trouble=trouble))
    return capture.get()


def row(text: str, beginning: str) -> list[str]:
    """The words of the line that begins so."""
    return next(line.split() for line in text.splitlines() if line.startswith(beginning))


@pytest.fixture
def floor() -> Floor:
    """A floor that has taken in the snapshot, whose clock is ours."""
    floor = Floor()
    floor.apply(SNAPSHOT, from_rfc3339(AT))
    return floor


def change(kind: str, ident: str, entity: dict[str, Any] | None) -> dict[str, Any]:
    """A change message."""
    return {"type": "change", "seq": 8, "at": AT, "kind": kind, "id": ident, "entity": entity}


def test_picture(floor: Floor) -> None:
    """Links, queues with who waits and how long, agents with what they do, and sessions are shown."""
    text = drawn(floor)
    assert "main: ● connected 1:05" in text
    assert row(text, "Support") == ["Support", "1", "1:05", "2", "0", "1", "0", "0"]
    agent = [
        "1001",
        "Alice",
        "blue",
        "●",
        "on",
        "a",
        "call",
        "1:05",
        "0612",
        "Zoé",
        "support",
        "anna",
        "listens",
    ]
    assert row(text, "1001") == agent
    assert row(text, "s1") == ["s1", "anna", "listen", "1:05", "2001", "1001", "quality", "main.1"]


def test_changes(floor: Floor) -> None:
    """A change replaces an entity, a removal takes it away, and a snapshot forgets what it does not hold."""
    floor.apply(
        change("agent", "1001", {**AGENT, "state": "not_ready", "reason": "lunch", "call": None}), NOW
    )
    floor.apply(change("supervision", "s1", None), NOW)
    text = drawn(floor)
    assert "‖ not ready: lunch" in text
    assert "anna" not in text
    floor.apply({**SNAPSHOT, "entities": {"queues": [QUEUE]}}, NOW)
    assert "1001" not in drawn(floor)


def test_raised_hands_come_first(floor: Floor) -> None:
    """Before the queues, who waits longest first, and those whom somebody has taken last."""
    hand = {
        "id": "h1",
        "pbx": "main",
        "agent": "1001",
        "state": "open",
        "since": AT,
        "raised_at": AT,
        "by": "feature_code",
        "text": "he \x1b[31mshouts",
        "expires_at": AT,
    }
    floor.apply(change("help", "h1", hand), NOW)
    later = hand | {"id": "h0", "raised_at": "2026-03-01T08:00:30Z", "text": ""}
    floor.apply(change("help", "h0", later), NOW)
    taken = hand | {"id": "h2", "text": "", "state": "claimed", "claimed_by": "anna", "wait_s": 12.0}
    floor.apply(change("help", "h2", taken), NOW)
    text = drawn(floor)
    assert text.index("needs help") < text.index("Support")
    assert text.index("h1 ") < text.index("h0 ") < text.index("h2 ")
    assert "1:05" in " ".join(row(text, "h1"))
    assert "anna comes" in text
    assert "\x1b" not in text
    floor.apply(change("help", "h1", None), NOW)
    assert "shouts" not in drawn(floor)


def test_others_are_passed_over(floor: Floor) -> None:
    """A heartbeat, an occurrence, and a kind of entity that is not known yet change nothing."""
    before = drawn(floor)
    floor.apply({"type": "heartbeat", "seq": 9, "at": AT}, NOW)
    floor.apply({"type": "occurrence", "seq": 9, "at": AT, "name": "call_served"}, NOW)
    floor.apply(change("lamp", "h1", {"id": "h1"}), NOW)
    assert drawn(floor) == before


def test_clocks_differ() -> None:
    """Lengths of time are those of the daemon's clock, however wrong ours is."""
    floor = Floor()
    floor.apply(SNAPSHOT, from_rfc3339(AT) - 3600)
    assert "main: ● connected 1:05" in drawn(floor, NOW - 3600)


def test_stale(floor: Floor) -> None:
    """What may be old says so in words: the whole picture, and each entity whose PBX is away."""
    floor.apply(change("agent", "1001", {**AGENT, "stale": True}), NOW)
    text = drawn(floor, trouble="ctid is away")
    assert "STALE: ctid is away" in text
    assert "on a call (stale)" in text


def test_hostile_names(floor: Floor) -> None:
    """A caller's or an agent's name cannot move the cursor, colour the text, or be read as markup."""
    floor.apply(change("agent", "1001", {**AGENT, "name": "\x1b[2J[red]A\r\nB"}), NOW)
    text = drawn(floor)
    assert "\x1b" not in text
    assert "[red]A" in text


@pytest.mark.parametrize(
    ("told", "agents", "sessions"),
    [
        ({"state": "ringing"}, "anna is being rung", "listen (ringing)"),
        ({"state": "requested", "call": None}, "anna is armed for the next call", "listen (requested)"),
        ({"state": "waiting", "mode": "whisper"}, "anna waits", "whisper (waiting)"),
        ({"state": "switching", "mode": "barge"}, "anna barges in", "barge (switching)"),
        (
            {"muted": True, "hear": "agent", "lead": False},
            "anna listens",
            "listen (muted, hears agent, does not lead)",
        ),
    ],
)
def test_a_session_is_shown_as_it_is(floor: Floor, told: dict[str, Any], agents: str, sessions: str) -> None:
    """One whose phone rings, that is armed, or waits is not shown as one that listens."""
    floor.apply(change("supervision", "s1", {**SESSION, **told}), NOW)
    text = drawn(floor)
    assert agents in text
    assert sessions in text


def test_of_two_sessions_with_an_agent_the_leading_one_is_told(floor: Floor) -> None:
    """She may be heard; both are listed."""
    floor.apply(change("supervision", "s1", {**SESSION, "lead": True}), NOW)
    for ident in ("s0", "s2"):
        other = {**SESSION, "id": ident, "supervisor": "bob", "lead": False}
        floor.apply(change("supervision", ident, other), NOW)
    text = drawn(floor)
    assert row(text, "1001")[-2:] == ["anna", "listens"]
    assert [row(text, ident)[1] for ident in ("s0", "s1", "s2")] == ["bob", "anna", "bob"]


def test_other_version(floor: Floor) -> None:
    """An entity in a form that is not known is a problem that says so, and no traceback."""
    with pytest.raises(Unreadable, match="different versions"):
        floor.apply(change("agent", "1001", {**AGENT, "state": "juggling"}), NOW)

"""Words, waits and errors of the client."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctid.client.errors import Refused, Unreadable
from ctid.client.http import read
from ctid.client.patience import FIRST_S, LONGEST_S, Waits
from ctid.client.structs import AgentState, Quality, Queue

QUEUE = {"id": "q", "pbx": "lab", "name": "Q", "since": "2026-03-01T08:00:00.250Z"}


@given(st.text())
def test_an_unlisted_word_is_kept(word: str) -> None:
    """A word that this version does not list is read, compared and written as it is."""
    state = msgspec.json.decode(msgspec.json.encode(word), type=AgentState)
    assert state == word
    assert {state: 1}[AgentState(word)] == 1
    assert msgspec.json.decode(msgspec.json.encode(state)) == word
    assert (state.value, f"{state}") == (word, word)


def test_a_listed_word_is_its_member() -> None:
    """A word that is listed is the one member."""
    assert msgspec.json.decode(b'"ready"', type=AgentState) is AgentState.READY
    with pytest.raises(ValueError, match="3"):
        AgentState(3)  # type: ignore[arg-type]  # what JSON could hold in its place


def test_what_a_newer_ctid_adds_is_passed_over() -> None:
    """New fields are ignored, new words kept, also as the keys of a table."""
    queue = read(Queue, msgspec.json.encode({**QUEUE, "new": [1], "agents": {"dreaming": 2, "ready": 1}}))
    assert queue.agents == {"dreaming": 2, AgentState.READY: 1}
    assert queue.agents[AgentState("dreaming")] == 2


def test_what_an_older_ctid_does_not_tell() -> None:
    """What may be none is none where it is not told."""
    assert read(Quality, b'{"loss": 0, "jitter_ms": 1, "mos": 4.2}').round_trip_ms is None


def test_what_cannot_be_read() -> None:
    """A document without what this version needs is told with the cure."""
    with pytest.raises(Unreadable, match="install the client of its version"):
        read(Quality, b"{}")


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=20))
def test_waits_grow_to_a_cap(chances: list[float]) -> None:
    """Each wait is at most twice the one before could be, at least half of what it could be, and capped."""
    chance = iter(chances)
    waits = Waits(lambda: next(chance))
    longest = FIRST_S
    for _ in chances:
        assert longest / 2 <= waits.next_s() <= longest
        longest = min(longest * 2, LONGEST_S)
    waits.reset()
    first = Waits(lambda: 0.0)
    assert first.next_s() == FIRST_S


def test_a_refusal_tells_what_its_document_tells() -> None:
    """Code, status, field and the wait are attributes; a poor document is told as it is."""
    document = {"status": 429, "code": "c", "detail": "d", "title": "t", "field": "via", "retry_after_s": 2}
    refused = Refused(document)
    assert (refused.status, refused.code, refused.detail, refused.field) == (429, "c", "d", "via")
    assert (refused.retry_after_s, str(refused)) == (2.0, "d")
    poor = Refused({})
    assert (poor.status, poor.code, poor.field, poor.retry_after_s) == (500, "internal", None, None)
    assert str(poor) == "internal"

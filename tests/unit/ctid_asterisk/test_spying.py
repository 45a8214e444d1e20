import random
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ctid.model.entities import Supervision
from ctid.model.ids import AgentId, CallId, LegId, PbxId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import Hear, Mode, Purpose, SupervisionState
from ctid_asterisk.sessions import Record, Stance
from ctid_asterisk.spying import (
    VARIABLES,
    KeyWatch,
    find,
    hears_agent_alone,
    is_live,
    options,
    pack,
    receives_keys,
    unpack,
)

NOW = Instant(2000.0)
PHONE = "ctid-ctid.s1-phone-1000.7"
SESSION = Supervision(
    id=SupervisionId("s1"),
    pbx=PbxId("lab"),
    state=SupervisionState.ACTIVE,
    mode=Mode.WHISPER,
    since=Instant(1000.0),
    started_at=Instant(900.0),
    supervisor="zoe",
    phone="2001",
    agent=AgentId("1001"),
    call=CallId("lab.1.1"),
    purpose=Purpose.TRAINING,
)
RECORD = Record(supervision=SESSION, target=LegId("1000.2"))
LISTED = {
    PHONE: {"channelstate": "6", "bridgeid": ""},
    "1000.1": {"channelstate": "6", "bridgeid": "b"},
    "1000.2": {"channelstate": "6", "bridgeid": "b"},
}


def remains(
    record: Record | None = RECORD,
    more: Mapping[str, dict[str, str]] | None = None,
    **changed: dict[str, str],
) -> tuple[list[Supervision], list[str]]:
    """What is found, as sessions and strays; `changed` replaces the phone (`her`) or the legs."""
    names = {"her": PHONE, "customer": "1000.1", "agent": "1000.2"}
    listed = LISTED | dict(more or {}) | {names.get(name, name): fields for name, fields in changed.items()}
    items = [{"uniqueid": unique, **fields} for unique, fields in listed.items() if fields]
    pieces = list(pack(record).values()) if record is not None else ["what", "is", "this", ""]
    found = find(items, lambda _: pieces, "ctid", NOW)
    return [session.record.supervision for session in found.sessions], found.stray_channels


@pytest.mark.parametrize(
    ("version", "can"),
    [
        ("22.10.1~dfsg", True),
        ("18.0.0", True),
        ("17.1.0", True),
        ("17.0.1", False),
        ("16.28.0", True),
        ("16.6.2", False),
        ("certified/13.31", True),
        ("13.29.2", False),
        ("15.7.4", False),
        ("GIT-master", False),
    ],
)
def test_versions_whose_channels_can_receive_keys(version: str, can: bool) -> None:  # noqa: FBT001 -- a parameter
    """PlayDTMF's Receive came with 13.30, 16.7, 17.1 and 18.0; a version that cannot be read has it not."""
    assert receives_keys(version) is can


def test_options() -> None:
    """Always quiet, exact, ending with the channel; mode and side to begin with; keys where wanted."""
    assert options(Stance(), live=True) == "quEd"
    assert options(Stance(Mode.WHISPER), live=False) == "quEw"
    assert options(Stance(Mode.BARGE, Hear.AGENT), live=True) == "quEdBo"
    assert is_live("quEd")
    assert not is_live("quEw")
    assert hears_agent_alone("quEo")
    assert not hears_agent_alone("quEdB")


def test_whose_keys() -> None:
    """What ctid sent is told of by an end alone; all else is hers, with a beginning or without."""
    keys = KeyWatch()
    keys.send("5")
    assert keys.waiting
    keys.begin("5")
    assert keys.held
    assert keys.end("5"), "hers, which began"
    assert not keys.held
    assert not keys.end("5"), "the one that was sent"
    assert not keys.waiting
    assert keys.end("6"), "hers, of which no beginning is told"
    keys.send("4")
    keys.forget()
    assert not keys.waiting


@given(st.text(max_size=200))
def test_a_record_is_kept_whole(note: str) -> None:
    """Whatever the note, it is read as it was written, in pieces that AMI can carry."""
    record = replace(RECORD, supervision=replace(SESSION, note=note))
    kept = pack(record)
    assert tuple(kept) == VARIABLES
    assert all(
        (len(piece) <= 800 and piece.replace("-", "a").replace("_", "a").replace("=", "a").isalnum())
        or not piece
        for piece in kept.values()
    )
    assert unpack(list(kept.values())) == record


def test_a_record_that_is_none() -> None:
    """What another release or another program wrote is refused, and so is what is longer than any record."""
    for pieces in (["", "", "", ""], ["é"], ["YWJj"], ["eJwDAAAAAAE="]):
        with pytest.raises(ValueError, match="not a session's record"):
            unpack(pieces)
    noise = "".join(chr(random.randrange(0x4E00, 0x9FFF)) for _ in range(4000))  # noqa: S311 - no secret
    with pytest.raises(ValueError, match="characters"):
        pack(replace(RECORD, supervision=replace(SESSION, note=noise)))


def test_found_as_it_was() -> None:
    """A session whose supervisor and agent are there is as its record says."""
    assert remains() == ([SESSION], [])
    listening = replace(RECORD, supervision=replace(SESSION, state=SupervisionState.WAITING))
    assert remains(listening) == ([listening.supervision], [])


def test_found_otherwise() -> None:
    """The agent has left: she waits. She shares a bridge with somebody: she has taken over."""
    assert remains(agent={}) == ([replace(SESSION, state=SupervisionState.WAITING, since=NOW)], [])
    (taken,), strays = remains(her={"channelstate": "6", "bridgeid": "b"}, agent={})
    assert (taken.state, taken.mode, taken.since, strays) == (SupervisionState.ACTIVE, Mode.TAKEOVER, NOW, [])


@pytest.mark.parametrize(
    ("record", "her"),
    [
        (RECORD, {"channelstate": "5", "bridgeid": ""}),
        (None, {"channelstate": "6", "bridgeid": ""}),
        (replace(RECORD, supervision=replace(SESSION, state=SupervisionState.RINGING)), None),
        (replace(RECORD, supervision=replace(SESSION, mode=Mode.TAKEOVER)), None),
    ],
    ids=["rings", "unreadable", "had just answered", "the customer has gone"],
)
def test_strays(record: Record | None, her: dict[str, str] | None) -> None:
    """A phone that still rings, of no readable session, or of one that is over, is left over."""
    sessions, strays = remains(record, her=her or LISTED[PHONE])
    assert (sessions, strays) == ([], [PHONE])


def test_what_is_not_ours_is_left_alone() -> None:
    """Another ctid's channels are its own; other parts of ours are left over."""
    other, notice = "ctid-other.s2-phone-1000.8", "ctid-ctid.notice-tone-1000.9"
    up = {"channelstate": "6", "bridgeid": ""}
    assert remains(more={other: up, notice: up}) == ([SESSION], [notice])

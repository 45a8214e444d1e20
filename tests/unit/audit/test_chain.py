import itertools
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ctid.audit.chain import (
    LONGEST_LINE,
    Link,
    Record,
    Text,
    decode,
    encode,
    faults,
    has_texts,
    is_erased,
    make,
    payload_of,
    without_payload,
    without_texts,
)
from ctid.audit.verifying import MOST_FINDINGS, Line, Verification, verify
from ctid.model.instant import Instant
from helpers.floor import BASE


def salts() -> Iterator[str]:
    """Salts that are all different."""
    return (f"{number:032x}" for number in itertools.count())


def chain(*told: tuple[str, dict[str, Any]], after: Link | None = None) -> list[Record]:
    """A chain of such events and payloads."""
    last, records, salt = after or Link(), [], salts()
    for number, (event, payload) in enumerate(told):
        records.append(make(last, Instant(BASE + number), event, payload, lambda: next(salt)))
        last = records[-1].link
    return records


def plain(count: int) -> list[Record]:
    """A chain of so many records, each with a note."""
    return chain(
        *((f"event {n}", {"by": f"user {n}", "supervision": {"note": f"note {n}"}}) for n in range(count))
    )


def lines(data: bytes) -> list[Line]:
    """The lines of a file."""
    return [Line(place=f"f:{n}", data=line) for n, line in enumerate(data.splitlines(keepends=True), 1)]


def written(records: list[Record]) -> bytes:
    """Records as a file."""
    return b"".join(map(encode, records))


def checked(records: list[Record], *, head: Link | None = None, anchor: str = "") -> Verification:
    """Verify a file of such records."""
    return verify(lines(written(records)), head=head, anchor=anchor)


def erasing(*seqs: int, why: str = "asked for") -> tuple[str, dict[str, Any]]:
    """What a record of an erasure says."""
    return "erased", {"about": {"records": list(seqs), "why": why}}


PAYLOADS = st.dictionaries(
    st.sampled_from(["by", "note", "text", "at", "a/b", "~", "list"]),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["note", "x"]), inner, max_size=3)
        ),
        max_leaves=6,
    ),
    max_size=4,
)
CHAINS = st.lists(PAYLOADS, min_size=1, max_size=6).map(
    lambda payloads: chain(*((f"e{number}", payload) for number, payload in enumerate(payloads)))
)


@given(CHAINS)
def test_what_was_written_is_good_and_read_again(records: list[Record]) -> None:
    """A chain of any payloads verifies, and each payload comes back whole, its free texts included."""
    found = checked(records, head=records[-1].link, anchor=records[0].hash)
    assert (found.ok, found.findings, found.records) == (True, (), len(records))
    assert (found.first, found.last, found.last_hash) == (1, len(records), records[-1].hash)
    for record in records:
        again = decode(encode(record))
        assert encode(again) == encode(record)
        assert payload_of(again) == payload_of(record)


@given(PAYLOADS)
def test_free_texts_are_lifted_out(payload: dict[str, Any]) -> None:
    """None of them stays in the part that is kept, and putting them back makes the payload as it was."""
    (record,) = chain(("e", payload))
    told = msgspec.json.decode(msgspec.json.encode(payload))
    assert payload_of(record) == told
    kept = msgspec.json.encode(record.payload).decode()
    for text in record.texts.values():
        assert text.text
    for key in ("note", "text"):
        if isinstance(told.get(key), str) and told[key]:
            assert f"/{key}" in record.texts
            assert f'"{key}":null' in kept


@given(CHAINS, st.data())
def test_any_edit_is_found(records: list[Record], data: st.DataObject) -> None:
    """Whichever byte becomes another one, the log is not good any more."""
    before = written(records)
    at = data.draw(st.integers(0, len(before) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != before[at]))
    after = before[:at] + bytes([byte]) + before[at + 1 :]
    assert not verify(lines(after), head=records[-1].link).ok


@given(CHAINS, st.data())
def test_any_deletion_is_found(records: list[Record], data: st.DataObject) -> None:
    """Whichever records are taken out, also the first or the last ones."""
    kept = data.draw(st.lists(st.sampled_from(range(len(records))), unique=True).map(sorted))
    found = checked([records[number] for number in kept], head=records[-1].link)
    assert found.ok == (len(kept) == len(records))


@given(CHAINS.filter(lambda records: len(records) > 1), st.data())
def test_any_move_is_found(records: list[Record], data: st.DataObject) -> None:
    """Whichever order the records are brought into."""
    order = data.draw(st.permutations(records))
    assert checked(order, head=records[-1].link).ok == (order == records)


@given(CHAINS, st.data())
def test_any_insertion_is_found(records: list[Record], data: st.DataObject) -> None:
    """A record that was there already, and one that was made for the place, are both found."""
    at = data.draw(st.integers(0, len(records) - 1))
    copied = data.draw(st.sampled_from(records))
    assert not checked([*records[:at], copied, *records[at:]], head=records[-1].link).ok
    forged = chain(("forged", {}), after=records[at - 1].link if at else Link())
    assert not checked([*records[:at], *forged, *records[at:]], head=records[-1].link).ok


@given(CHAINS, st.data())
def test_any_truncation_is_found_by_what_was_kept(records: list[Record], data: st.DataObject) -> None:
    """Bytes cut off the end are found by the noted end, and by an anchor that was kept elsewhere."""
    before = written(records)
    cut = before[: data.draw(st.integers(0, len(before) - 1))]
    assert not verify(lines(cut), head=records[-1].link).ok
    assert not verify(lines(cut), anchor=records[-1].hash).ok


@given(CHAINS, st.data())
def test_a_log_written_anew_is_found_by_its_anchor(records: list[Record], data: st.DataObject) -> None:
    """Whoever can write all files makes a good chain, in which the hash of an anchor is not."""
    at = data.draw(st.integers(0, len(records) - 1))
    anew = chain(*(("e", {"by": "nobody"}) for _ in records[at:]), after=records[at - 1].link if at else None)
    forged = [*records[:at], *anew]
    assert checked(forged, head=forged[-1].link).ok
    (finding,) = checked(forged, head=forged[-1].link, anchor=records[-1].hash).findings
    assert "kept elsewhere" in finding.problem


def test_the_record_is_named() -> None:
    """What was changed is told by its number, its file and its line."""
    records = plain(5)
    payload = dict(records[2].payload or {}, by="somebody else")
    (finding,) = checked([*records[:2], replace(records[2], payload=payload), *records[3:]]).findings
    assert (finding.record, finding.place, finding.problem) == (
        3,
        "f:3",
        "its payload is not what was written",
    )
    (finding,) = checked([*records[:2], *records[3:]]).findings
    assert (finding.record, finding.problem) == (3, "record 3 is missing before record 4")
    (finding,) = checked([records[0], records[4]]).findings
    assert finding.problem == "records 2 to 4 are missing before record 5"
    moved = checked([records[0], records[2], records[1], records[3], records[4]])
    assert [finding.record for finding in moved.findings] == [2, 2, 3]
    (finding,) = checked(records[1:]).findings
    assert "missing, and no record says that they were purged" in finding.problem
    (torn,) = verify(lines(written(records)[:-1])).findings
    assert (torn.record, torn.place) == (5, "f:5")
    (short,) = checked(records[:4], head=records[4].link).findings
    assert short.problem == "the log is cut short: it was last known to end with record 5"
    other = chain(("e", {}), after=records[3].link)
    assert checked([*records[:4], *other], head=records[4].link).findings[0].record == 5
    forked = chain(("e", {}), after=Link(seq=1, hash="0" * 64))
    assert checked([records[0], *forked]).findings[0].problem == "it does not follow the record before it"


def test_what_is_no_audit_is_told_in_bounds() -> None:
    """Lines of anything else are findings, a hundred of them at most."""
    found = verify(lines(b"nonsense\n" * 300))
    assert (found.ok, len(found.findings), found.records) == (False, MOST_FINDINGS, 0)
    assert verify([]).ok
    records = plain(3)
    broken = lines(written(records))
    broken[1] = Line(place="f:2", data=b"{}\n")
    assert [finding.record for finding in verify(broken).findings] == [2]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}\n",
        b"[" * 100_000 + b"\n",
        b"\xff\n",
        b'{"at":"0001-01-01T00:00:00+23:59"}\n',
        b" " * LONGEST_LINE + b"\n",
    ],
    ids=["nothing", "empty", "deep", "no text", "an odd time", "long"],
)
def test_what_is_no_record(line: bytes) -> None:
    """Whatever is in a line, it is told as no record."""
    with pytest.raises(ValueError, match="record"):
        decode(line)


def test_a_record_is_written_in_one_way() -> None:
    """The same record with another blank or another order is none: two readers could read it differently."""
    line = encode(plain(1)[0])
    with pytest.raises(ValueError, match="not written as ctid writes"):
        decode(line.replace(b'"by":', b'"by": '))


# Erasing ----------------------------------------------------------------------------------------------


def test_texts_are_erased_where_a_record_says_so() -> None:
    """The chain holds, who did it stays readable, and what was written is gone with its salt."""
    records = plain(3)
    assert has_texts(records[1])
    gone = without_texts(records[1])
    assert is_erased(gone)
    assert not has_texts(gone)
    assert payload_of(gone) == {"by": "user 1", "supervision": {"note": ""}}
    assert b"note 1" not in encode(gone)
    assert records[1].texts["/supervision/note"].salt.encode() not in encode(gone)
    said = chain(erasing(2), after=records[2].link)
    found = checked([records[0], gone, records[2], *said], anchor=records[2].hash)
    assert (found.ok, found.erased) == (True, 1)


def test_a_payload_is_erased_where_a_record_says_so() -> None:
    """Nothing of it stays but when it was and what kind of event."""
    records = plain(2)
    gone = without_payload(records[0])
    assert (payload_of(gone), gone.event, list(faults(gone))) == (None, "event 0", [])
    assert checked([gone, records[1], *chain(erasing(1), after=records[1].link)]).ok


@pytest.mark.parametrize(
    "said", [[], [erasing(1)], [erasing(2, why="")], [("other", {"about": {"records": [2]}})]]
)
def test_what_is_gone_without_a_word_is_found(said: list[tuple[str, dict[str, Any]]]) -> None:
    """No record names it, another one is named, no reason is given, or it is no record of an erasure."""
    records = plain(3)
    found = checked([records[0], without_texts(records[1]), records[2], *chain(*said, after=records[2].link)])
    assert [(finding.record, finding.place) for finding in found.findings] == [(2, "f:2")]


def test_an_erasure_is_said_after_what_it_erases() -> None:
    """A record cannot be covered by an earlier one."""
    records = chain(erasing(2), ("e", {"note": "n"}))
    assert not checked([records[0], without_texts(records[1])]).ok
    odd = chain(
        ("e", {"note": "n"}), ("erased", {"about": {"records": "1", "why": "w"}}), ("erased", {"about": 1})
    )
    assert not checked([without_texts(odd[0]), *odd[1:]]).ok


def test_half_an_erasure_is_none() -> None:
    """A payload that is gone while its salt or texts are not, and a text whose salt is not."""
    (record,) = plain(1)
    assert list(faults(replace(record, payload=None))) == [
        "its payload is gone, and other parts of it are not"
    ]
    text = record.texts["/supervision/note"]
    half = replace(record, texts={"/supervision/note": replace(text, text=None)})
    assert list(faults(half)) == ["a text is gone, and its salt is not"]
    other = replace(record, texts={"/supervision/note": replace(text, text="other")})
    assert list(faults(other)) == ["the text at /supervision/note is not what was written"]
    shifted = replace(text, salt=text.salt[:-1], text=text.salt[-1] + (text.text or ""))
    assert list(faults(replace(record, texts={"/supervision/note": shifted}))) != []


def test_a_made_up_path_breaks_no_reader() -> None:
    """Verifying tells it; reading the record goes on."""
    (record,) = chain(("e", {"by": "x", "list": [1]}))
    for path in ("/nowhere/note", "/by/note", "/list/7/note", "/list/x/note"):
        forged = replace(record, texts={path: Text(commit="c", salt="s", text="t")})
        assert payload_of(forged) == {"by": "x", "list": [1]}
        assert list(faults(forged))


# Purging ----------------------------------------------------------------------------------------------


def test_a_purge_is_good_where_a_record_says_so() -> None:
    """It names the hash at which the chain now begins; an anchor of that very record still holds."""
    records = plain(4)
    about = {"class": "audit", "last": 2, "hash": records[1].hash}
    (said,) = chain(("purged", {"about": about}), after=records[3].link)
    found = checked([*records[2:], said], anchor=records[1].hash)
    assert (found.ok, found.first, found.purged_to) == (True, 3, 2)
    assert not checked([records[3], said]).ok
    for wrong in ({"last": 1}, {"hash": "0" * 64}, {"class": "sheets"}, {"last": "2"}):
        (said,) = chain(("purged", {"about": about | wrong}), after=records[3].link)
        assert not checked([*records[2:], said]).ok


def test_the_newest_anchor_is_told() -> None:
    """Of those in the log."""
    told = [("anchor", {"about": {"record": number}}) for number in (1, 2)]
    assert checked(chain(("e", {}), *told, ("anchor", {"about": {"record": "x"}}))).anchor == 2

"""A log whose records are chained by hashes, so that none is changed, taken out or moved unseen. Pure.

    commit = SHA-256 of [salt, payload, {path: commitment of the text}], a text's own is that of [salt, text]
    hash   = SHA-256 of [seq, at, event, previous, commit], each as JSON with its keys sorted, without blanks

The chain is made of hashes alone, so that what they stand for can be erased later, as the law may ask for,
and the chain holds: all of a payload, or its free texts, each of which has a commitment of its own. Without
its salt nobody can find an erased text again by trying. Whoever takes out a text cannot thereby change who
listened to whom: that stays committed to.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ctid.model.instant import Instant, dec_hook, enc_hook, to_rfc3339

GENESIS = "0" * 64
"""What the first record of all names as the one before it."""

FREE_TEXTS = frozenset({"note", "text", "comment"})
"""The keys of what people wrote: wherever they are in a payload, their text can be erased by itself."""

LONGEST_LINE = 1024 * 1024
"""Bytes; what is longer is none of ctid's, and is not read."""

_encoder = msgspec.json.Encoder(enc_hook=enc_hook, order="sorted")


class Text(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A free text of a payload; `text` is none once it is erased, and its salt empty."""

    commit: str
    salt: str = ""
    text: str | None = None


class Link(Struct, frozen=True, kw_only=True, gc=False):
    """Where a chain ends: the number and the hash of its last record."""

    seq: int = 0
    hash: str = GENESIS


class Record(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One record; `payload` is none once it is erased. `texts` are its free texts, by their path in it."""

    seq: int
    at: Instant
    event: str
    previous: str
    commit: str
    hash: str
    salt: str = ""
    payload: dict[str, Any] | None = None
    texts: dict[str, Text] = {}

    @property
    def link(self) -> Link:
        """The end of a chain whose last record this is."""
        return Link(seq=self.seq, hash=self.hash)


_decoder = msgspec.json.Decoder(Record, dec_hook=dec_hook)


def make(last: Link, at: Instant, event: str, payload: Mapping[str, Any], salt: Callable[[], str]) -> Record:
    """Make the record that follows `last`. `salt` gives a new one at each call, in hex."""
    texts: dict[str, Text] = {}
    plain = msgspec.json.decode(_encoder.encode(payload))
    for path, text in list(_free_texts(plain)):
        own = salt()
        texts[path] = Text(commit=_digest([own, text]), salt=own, text=text)
        _put(plain, path, None)
    own = salt()
    commit = _commit(own, plain, texts)
    digest = _hash(last.seq + 1, at, event, last.hash, commit)
    return Record(
        seq=last.seq + 1,
        at=at,
        event=event,
        previous=last.hash,
        commit=commit,
        hash=digest,
        salt=own,
        payload=plain,
        texts=texts,
    )


def encode(record: Record) -> bytes:
    """The one line that a record is written as."""
    return _encoder.encode(record) + b"\n"


def decode(line: bytes) -> Record:
    """Read a line.

    Raises:
        ValueError: it is no record, or is not written as `encode` writes it.
    """
    if len(line) > LONGEST_LINE:
        raise ValueError(f"a line of {len(line)} bytes is no record")
    try:
        record = _decoder.decode(line)
        again = encode(record)
    except (msgspec.DecodeError, RecursionError, OverflowError) as error:
        raise ValueError(f"it is no record: {error}") from error
    if again != line:
        raise ValueError("it is not written as ctid writes a record")
    return record


def payload_of(record: Record) -> dict[str, Any] | None:
    """A record's payload with its free texts in their places; one that is erased is empty there."""
    if record.payload is None:
        return None
    whole: dict[str, Any] = msgspec.json.decode(_encoder.encode(record.payload))
    for path, text in record.texts.items():
        with suppress(LookupError, ValueError, TypeError):  # a path that somebody made up: verifying tells it
            _put(whole, path, text.text or "")
    return whole


def without_texts(record: Record) -> Record:
    """The record with its free texts erased."""
    return replace(record, texts={path: Text(commit=text.commit) for path, text in record.texts.items()})


def without_payload(record: Record) -> Record:
    """The record with all that it says erased, but for its time and the name of its event."""
    return replace(record, payload=None, salt="", texts={})


def has_texts(record: Record) -> bool:
    """Whether there is a free text that could be erased."""
    return any(text.text is not None for text in record.texts.values())


def is_erased(record: Record) -> bool:
    """Whether something of it is erased: right only where a later record says so."""
    return record.payload is None or any(text.text is None for text in record.texts.values())


def faults(record: Record) -> Iterator[str]:
    """What in a record contradicts its own hashes; erased parts do not."""
    if record.hash != _hash(record.seq, record.at, record.event, record.previous, record.commit):
        yield "its hash is not that of what it says"
    if record.payload is not None and record.commit != _commit(record.salt, record.payload, record.texts):
        yield "its payload is not what was written"
    for path, text in record.texts.items():
        if text.text is not None and text.commit != _digest([text.salt, text.text]):
            yield f"the text at {path} is not what was written"
    if record.payload is None and (record.texts or record.salt):
        yield "its payload is gone, and other parts of it are not"
    if any(text.text is None and text.salt for text in record.texts.values()):
        yield "a text is gone, and its salt is not"


def _commit(salt: str, payload: Mapping[str, Any], texts: Mapping[str, Text]) -> str:
    named = {path: text.commit for path, text in texts.items()}
    return _digest([salt, payload, named])


def _hash(seq: int, at: Instant, event: str, previous: str, commit: str) -> str:
    return _digest([seq, to_rfc3339(at), event, previous, commit])


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(_encoder.encode(parts)).hexdigest()


def _free_texts(found: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The texts at the keys of `FREE_TEXTS`, by their path (RFC 6901)."""
    items = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for key, value in items:
        here = f"{path}/{_escaped(str(key))}"
        if isinstance(value, str):
            if value and key in FREE_TEXTS:
                yield here, value
        else:
            yield from _free_texts(value, here)


def _put(whole: dict[str, Any], path: str, value: str | None) -> None:
    """Set what is at a path, which is there unless somebody made it up."""
    at: Any = whole
    *way, last = [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]
    for part in way:
        at = at[int(part)] if isinstance(at, list) else at[part]
    at[last] = value


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")

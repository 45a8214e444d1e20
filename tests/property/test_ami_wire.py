import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctid_asterisk.wire import (
    MAX_LINE_BYTES,
    AmiReader,
    Banner,
    EncodeError,
    InjectionError,
    Message,
    WireError,
    encode,
)

GREETING = b"Asterisk Call Manager/11.0.0\r\n"
LIMIT = 2048

# Multibyte characters, Latin-1 bytes, colons and blanks; no line break, which would be a line of its own.
texts = st.text(
    st.one_of(
        st.sampled_from("aZ0 :;é€😀\N{LINE SEPARATOR}\x85\x0b\x1c"),
        st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF, categories=["Cs"]),
        st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]),
    ),
    max_size=20,
)
keys = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=":"), min_size=1, max_size=12
)
pairs = st.tuples(keys, texts)
first_pairs = st.tuples(
    st.sampled_from(["Event", "Response", "event"]),
    st.sampled_from(["Hangup", "VarSet", "Newexten", "Success", "Evénement"]),
)
messages = st.builds(lambda first, rest: [first, *rest], first_pairs, st.lists(pairs, max_size=6))


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """A greeting and messages with every mix of line ends, empty lines and stray blocks."""
    out = bytearray(GREETING)
    for message in draw(st.lists(messages, max_size=6)):
        for key, value in message:
            out += f"{key}: {value}".encode("utf-8", "surrogateescape")
            out += draw(st.sampled_from([b"\r\n", b"\r\n", b"\n"]))
        out += draw(st.sampled_from([b"\r\n", b"\n", b"\r\n\r\n", b"\r\n\n", b"\n\r\n\r\n"]))
    out += draw(st.sampled_from([b"", b"Event: Cut\r\nKey: v", b"stray\r\n\r\n", b"\r"]))
    return bytes(out)


def in_pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` cut at each of `cuts`."""
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def read(data: bytes, cuts: list[int], **options: frozenset[str] | None) -> tuple[list[object], object]:
    """What a reader tells of `data` cut so: messages with all their lines, then counters or the error."""
    ami = AmiReader(max_message_bytes=LIMIT, **options)
    told: list[object] = []
    try:
        for piece in in_pieces(data, cuts):
            for out in ami.feed(piece):
                seen = out if isinstance(out, Banner) else (out.kind, out.name, out.tagged, out.pairs)
                told.append(seen)
    except WireError as error:
        return told, str(error)
    return told, (ami.skipped, ami.malformed, ami.eof())


cut_lists = st.lists(st.integers(0, 4000), max_size=20)
choices = st.sampled_from([None, frozenset({"Hangup", "VarSet"}), frozenset({"Hangup"})])
variables = st.sampled_from([None, frozenset[str](), frozenset({"a", "CTIDFENCE"})])


@given(streams(), cut_lists, choices, variables)
@settings(deadline=None)
def test_any_split_tells_the_same(
    data: bytes, cuts: list[int], wanted: frozenset[str] | None, chosen: frozenset[str] | None
) -> None:
    """However a stream is cut, within a character or a CR LF as well, the same messages come in order."""
    whole = read(data, [], wanted=wanted, variables=chosen)
    assert read(data, cuts, wanted=wanted, variables=chosen) == whole
    assert read(data, list(range(len(data))), wanted=wanted, variables=chosen) == whole


line_pieces = st.sampled_from(
    [
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\n\n",
        b"Event: Hangup",
        b"Response: x",
        b"ActionID: 1",
        b": ",
        b"x" * 600,
    ]
)


@given(
    st.lists(st.one_of(line_pieces, st.binary(max_size=30)), max_size=60).map(b"".join),
    cut_lists,
    st.sampled_from([b"", GREETING]),
)
@settings(deadline=None)
def test_garbage_raises_only_wire_errors(garbage: bytes, cuts: list[int], greeting: bytes) -> None:
    """Any bytes give messages or a WireError, alike however they are cut, and memory stays bounded."""
    data = greeting + garbage
    ami = AmiReader(max_message_bytes=LIMIT)
    faults: set[str] = set()
    told: list[Banner | Message] = []
    for piece in in_pieces(data, cuts):
        try:
            told += ami.feed(piece)
        except WireError as error:
            faults.add(str(error))
        assert len(ami._tail) <= LIMIT + 3
    for message in told:
        if isinstance(message, Message):
            first_of: dict[str, str] = {}
            for key, value in message.pairs:
                first_of.setdefault(key.lower(), value)
            assert message.fields == first_of
    whole, end = read(data, [])
    if faults:
        assert faults == {end}
    else:
        assert len(told) == len(whole)


@given(st.lists(messages, max_size=5), cut_lists)
@settings(deadline=None)
def test_decoding_undoes_encoding(sent: list[list[tuple[str, str]]], cuts: list[int]) -> None:
    """What encode writes is read back: every pair, spelled as it was, in order."""
    data = GREETING + b"".join(encode(message) for message in sent)
    ami = AmiReader(max_message_bytes=LIMIT)
    told = [out for piece in in_pieces(data, cuts) for out in ami.feed(piece) if isinstance(out, Message)]
    assert [message.pairs for message in told] == sent
    assert ami.malformed == 0
    assert not ami.eof()


@given(texts, st.sampled_from("\r\n\0"), texts)
def test_injection_is_always_refused(before: str, breaker: str, after: str) -> None:
    """A CR, LF or NUL anywhere in a key or a value produces nothing."""
    text = before + breaker + after
    for field in ((text, "v"), ("Key", text)):
        with pytest.raises(InjectionError):
            encode([("Action", "Ping"), field])


@given(st.lists(st.tuples(st.text(max_size=10), st.text(max_size=1100)), max_size=140))
def test_encode_gives_one_message_or_an_encode_error(fields: list[tuple[str, str]]) -> None:
    """Any fields give one message that Asterisk can read whole, or an EncodeError."""
    try:
        data = encode(fields)
    except EncodeError:
        return
    assert data.endswith(b"\r\n\r\n")
    lines = data[:-4].split(b"\r\n")
    assert len(lines) == len(fields) <= 128
    assert all(0 < len(line) <= MAX_LINE_BYTES and not {10, 13, 0} & set(line) for line in lines)

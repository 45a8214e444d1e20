"""A recorded floor with people made up: nobody of them comes out of a scrubbed capture, and its calls do."""

import re
from collections.abc import Mapping

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ctid.capture import Record, message_record
from ctid_asterisk.scrub import Scrubber
from ctid_asterisk.scrub_fields import Rule, rule_of
from helpers.captures import messages, renamed, replayed, shipped

FLOOR = shipped("queue-calls")
WIRE = b"\n".join(messages(FLOOR)).decode()
EXTENSIONS = [str(number) for number in (*range(1001, 1009), *range(2001, 2004), 7000, 7001)]
CUSTOMERS = [str(number) for number in range(3001, 3021)]
NAMES = sorted(
    {
        found.replace("\\'", "'")
        for found in re.findall(r"(?:MemberName|CallerIDName|\nName): ([^\r\n<]+)", WIRE)
    }
)
PEOPLE = frozenset({Rule.CHANNEL, Rule.PARTS, Rule.NUMBER, Rule.DATA})
ONE_OF_THEM = re.compile(rf"\b({'|'.join([*EXTENSIONS, *CUSTOMERS])})\b")
ESCAPED = frozenset({"CallerIDName", "ConnectedLineName"})

letters = st.characters(categories=["Lu", "Ll", "Lo"], codec="utf-8")
name = st.builds(
    "{} {}{}".format,
    st.text(letters, min_size=4),
    st.text(letters, min_size=4),
    st.sampled_from(["", "'s", " (home)"]),
)


@st.composite
def people(draw: st.DrawFn) -> tuple[dict[str, str], dict[str, str]]:
    """Numbers for the lab's numbers, inside and outside ones, and names for its names."""
    inside = draw(st.integers(2, 6))
    short = draw(
        st.lists(
            st.text("0123456789", min_size=inside, max_size=inside),
            min_size=len(EXTENSIONS),
            max_size=len(EXTENSIONS),
            unique=True,
        )
    )
    prefix = draw(st.sampled_from(["0", "+33", "0033", "1"]))
    tails = draw(st.sets(st.integers(10**8, 10**9 - 1), min_size=len(CUSTOMERS), max_size=len(CUSTOMERS)))
    numbers = dict(zip(EXTENSIONS, short, strict=True))
    numbers |= dict(zip(CUSTOMERS, [f"{prefix}{tail}" for tail in sorted(tails)], strict=True))
    called = draw(st.lists(name, min_size=len(NAMES), max_size=len(NAMES), unique=True))
    return numbers, dict(zip(NAMES, called, strict=True))


def peopled(record: Record, numbers: Mapping[str, str], names: Mapping[str, str]) -> Record:
    """The record with those people in the place of the lab's."""
    message = record.message
    if message is None:
        return record
    lines = []
    for line in message.decode().split("\r\n"):
        key, colon, value = line.partition(": ")
        rule = rule_of(key)
        if rule is Rule.NAME:
            value = names.get(value.replace(r"\'", "'"), value)
            if key in ESCAPED:
                value = value.replace("'", r"\'")
        elif rule in PEOPLE:
            value = ONE_OF_THEM.sub(lambda found: numbers[found[0]], value)
        lines.append(key + colon + value)
    return message_record(record.t, record.at, "\r\n".join(lines).encode())


def scrubbed(record: Record, scrubber: Scrubber) -> Record:
    """The record as a scrubbed capture holds it."""
    message = record.message
    return record if message is None else message_record(record.t, record.at, scrubber.block(message))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(people(), st.binary(min_size=32, max_size=32))
def test_nobody_of_a_floor_comes_out(made: tuple[dict[str, str], dict[str, str]], key: bytes) -> None:
    """No name and no outside number stands anywhere; no extension stands where it stood."""
    numbers, names = made
    raw = [peopled(record, numbers, names) for record in FLOOR]
    scrubber = Scrubber(key)
    told = [scrubbed(record, scrubber) for record in raw]
    text = b"\n".join(messages(told)).decode()
    plain = b"\n".join(messages(raw)).decode()
    for person in names.values():
        assume(person not in WIRE)
        assert person not in text
        assert person.replace("'", r"\'") not in text
    outside = {numbers[number] for number in CUSTOMERS}
    assert any(number in plain for number in outside)
    for number in outside:
        assert number[-9:] not in text
    inside = {numbers[number] for number in EXTENSIONS}
    for before, after in zip(plain.split("\n"), text.split("\n"), strict=True):
        if rule_of(before.partition(":")[0]) in PEOPLE:
            pairs = zip(_runs(before), _runs(after), strict=False)
            assert not [one for one, other in pairs if one in inside and one == other], (before, after)


def _runs(line: str) -> list[str]:
    """The runs of digits in a line's value, without a channel's serial number."""
    value = re.sub(r"-[0-9a-f]{8}(;[12])?$", "", line.partition(": ")[2].removesuffix("\r"))
    return re.findall(r"[0-9]+", value)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(people(), st.binary(min_size=32, max_size=32))
def test_a_scrubbed_capture_tells_the_same_floor(
    made: tuple[dict[str, str], dict[str, str]], key: bytes
) -> None:
    """The same changes in the same order, up to a one-to-one renaming; with queues' names or without."""
    raw = [peopled(record, *made) for record in FLOOR]
    expected = renamed(replayed(raw))
    assert sum(len(updates) for _, _, updates in expected) > 150
    for keep in (False, True):
        scrubber = Scrubber(key, keep_queues=keep)
        assert renamed(replayed(scrubbed(record, scrubber) for record in raw)) == expected


def test_a_scrubbed_capture_is_scrubbed_wholly() -> None:
    """What the lab's people are called is not in it, and `replace` of the records changed nothing else."""
    scrubber = Scrubber(b"key")
    told = [scrubbed(record, scrubber) for record in FLOOR]
    assert [replace(one, received=None) for one in told] == [replace(one, received=None) for one in FLOOR]
    text = b"\n".join(messages(told)).decode()
    assert not [person for person in NAMES if person in text]

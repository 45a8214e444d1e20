import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ctid_asterisk
from ctid_asterisk.scrub import Scrubber
from ctid_asterisk.scrub_fields import Rule, rule_of

KEY = b"a test's key"
NOT_EVENTS = frozenset({"action", "args", "challenge", "error"})
"""What the driver reads elsewhere: our own requests, ARI, the login's answer."""


def scrubbed(*lines: str, scrubber: Scrubber | None = None) -> list[str]:
    """The lines of one block, scrubbed."""
    raw = "\r\n".join(lines).encode("utf-8", "surrogateescape")
    return (scrubber or Scrubber(KEY)).block(raw).decode().split("\r\n")


def value(line: str, *others: str, scrubber: Scrubber | None = None) -> str:
    """What becomes of a line's value."""
    return scrubbed(line, *others, scrubber=scrubber)[0].partition(": ")[2]


@pytest.mark.parametrize(
    "line",
    [
        "Asterisk Call Manager/11.0.0",
        "Event: QueueCallerJoin",
        "Privilege: agent,all",
        "Timestamp: 1795417440.312779",
        "ChannelStateDesc: Ring",
        "Cause-txt: Normal Clearing",
        "CID-CallingPres: 0 (Presentation Allowed, Not Screened)",
        "Duration: 00:12:07",
        "DestUniqueid: 1795417440.1",
        "Uniqueid: ctid-ctid.s1a2-phone-1795409466.1",
        "ActionID: ctid-12",
        "BridgeUniqueid: e33a378c-f3a6-49b9-a81c-3653407f3476",
        "ApplicationData: (Outgoing Line)",
        "AsteriskVersion: 22.10.1+dfsg-1",
        "SSRC: 0x1f2e3d4c",
        "Report0IAJitter: 12",
        "Reason: caller",
        "CallerIDNum: <unknown>",
        "CallerIDName: ",
        "PausedReason: ",
        "Exten: s",
        "Interface: ",
        "Variable: CHANNEL(onhold)=1",
        "Channel: none",
        "Message: Authentication accepted",
        "Message: No Contacts found",
        "Message: Invalid/unknown command: ParkedCalls. Use Action: ListCommands to show available commands.",
        "Response: Error",
    ],
)
def test_what_is_allowed_passes(line: str) -> None:
    """States, causes, counters, times, ids and Asterisk's own words stay as they are."""
    assert scrubbed(line) == [line]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Zodiac: Alice", "hidden: hidden"),
        ("Zodiac: ", "hidden: "),
        ("ChannelStateDesc: Alice 0612345678", "ChannelStateDesc: hidden"),
        ("Priority: call 0612345678", "Priority: hidden"),
        ("Message: Alice is away", "Message: hidden"),
        ("Asterisk of Alice", "hidden"),
        ("Variable: ALICE=1", "Variable: hidden"),
        ("Variable: QUEUESTATUS=alice", "Variable: QUEUESTATUS=hidden"),
        ("Value: Alice", "Value: hidden"),
        ("Reason: Alice went home", "Reason: Text 1"),
        ("PausedReason: Mr. Smith", "PausedReason: Text 1"),
        ("MemberName: Alice Martin", "MemberName: Name 1"),
        (r"CallerIDName: O\'Brien", "CallerIDName: Name 1"),
        ("Interface: PJSIP/alice", "Interface: PJSIP/xaa"),
        ("Context: from-acme", "Context: from-xaa"),
        ("URI: sip:alice@192.0.2.7", "URI: sip:xaa@198.18.0.1"),
        ("URI: sip:alice@[2001:db9::7]", "URI: sip:xaa@[2001:db8::0:1]"),
        ("ApplicationData: support,tT,,,300", "ApplicationData: xaa,hidden"),
        ("Uniqueid: paris-1795417440.1", "Uniqueid: xaa-1795417440.1"),
        ("Linkedid: alice", "Linkedid: xaa"),
    ],
)
def test_what_is_not_allowed_is_replaced(line: str, expected: str) -> None:
    """A field that is not known loses its name too; a known one keeps its shape."""
    assert scrubbed(line, "Application: Queue")[0] == expected


def test_the_variable_of_an_event_says_what_its_value_may_be() -> None:
    """The fence's token passes, and the reason why a caller left a queue."""
    assert scrubbed("Variable: CTIDFENCE", "Value: 1795417440-1")[1] == "Value: 1795417440-1"
    assert scrubbed("Variable: QUEUESTATUS", "Value: TIMEOUT")[1] == "Value: TIMEOUT"
    assert scrubbed("Variable: QUEUESTATUS", "Value: Alice")[1] == "Value: hidden"


def test_the_same_number_is_the_same_wherever_it_stands() -> None:
    """In a caller's number, a channel, a Local channel, an extension, a dial string, a device and a hint."""
    mine = Scrubber(KEY)
    number = value("CallerIDNum: 1001", scrubber=mine)
    assert number.isdigit()
    assert (len(number), number[0] == "0") == (4, False)
    assert number != "1001"
    for text in (
        "Channel: PJSIP/{}-0000002a",
        "Channel: Local/{}@from-queue-0000002a;2",
        "Newname: PJSIP/{}-0000002a<ZOMBIE>",
        "Exten: {}",
        "DialString: PJSIP/{}",
        "Interface: Local/{}@from-queue/n",
        "StateInterface: hint:{}@ext-local",
        "Device: PJSIP/{}",
        "MemberName: PJSIP/{}",
        "MemberName: {}",
        "ChanVariable(PJSIP/{}-0000002a): ",
    ):
        known = "CTIDFENCE=" if "ChanVariable" in text else ""
        assert scrubbed(text.format("1001") + known, scrubber=mine) == [text.format(number) + known]


def test_a_numbers_forms_stay_forms_of_one_number() -> None:
    """National, international, and with blanks: the nine last digits are the same ones."""
    mine = Scrubber(KEY)
    national = mine.number("0612345678")
    assert (len(national), national[0]) == (10, "0")
    assert mine.number("+33612345678") == "+33" + national[1:]
    assert mine.number("0033612345678") == "0033" + national[1:]
    assert mine.number("06 12 34.56-78") == national
    assert mine.number("*0612345678#") == "*" + national
    assert not {"061234", "612345"} & {national[:6], national[1:7]}
    assert len(mine.number("12345612345678")) == 14
    assert not mine.number("12345612345678").startswith("12345")
    assert mine.number("anonymous") == "anonymous"
    assert mine.number("alice") == "xaa"


def test_a_name_is_the_same_escaped_or_not() -> None:
    r"""Channel events escape names (`O\'Brien`), a queue's entries do not (`O'Brien`)."""
    mine = Scrubber(KEY)
    assert mine.name(r"O\'Brien") == mine.name("O'Brien") == mine.name(" O'Brien ") == "Name 1"
    assert mine.name("Zoé") == "Name 2"
    assert mine.name("  ") == "  "


def test_queues_names_pass_when_they_may() -> None:
    """In a queue's field, its device, and what the application was called with."""
    mine = Scrubber(KEY, keep_queues=True)
    queue = "Application: Queue"
    assert value("Queue: support", scrubber=mine) == "support"
    assert value("Device: Queue:support_avail", scrubber=mine) == "Queue:support_avail"
    assert value("ApplicationData: support,tT", queue, scrubber=mine) == "support,hidden"
    assert value("Device: PJSIP/support", scrubber=mine) == "PJSIP/xaa"
    assert value("Data: PJSIP/support", "Application: Dial", scrubber=mine) == "PJSIP/xaa"


def test_another_key_gives_other_pseudonyms() -> None:
    """Two captures of one floor cannot be laid side by side; one is the same throughout."""
    numbers = [f"06{index:08d}" for index in range(50)]
    one, same, other = (
        [Scrubber(key).number(number) for number in numbers] for key in (KEY, KEY, b"another")
    )
    assert one == same
    assert not set(one) & set(other)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_every_number_of_a_length_has_a_pseudonym_of_its_own(length: int) -> None:
    """Even when all of them are in use, no two are told as one; one alone may be left with its own."""
    mine = Scrubber(KEY)
    numbers = [f"{number:0{length}d}" for number in range(10**length)]
    told = [mine.number(number) for number in numbers]
    assert sorted(told) == numbers
    assert sum(number == pseudonym for number, pseudonym in zip(numbers, told, strict=True)) <= 1


def test_a_word_never_stands_for_itself() -> None:
    """Nor when it looks like a pseudonym; and many words are told apart."""
    mine = Scrubber(KEY)
    assert value("Device: PJSIP/xaa", scrubber=mine) == "PJSIP/yaa"
    words = {value(f"Device: PJSIP/{'z' * size}", scrubber=mine) for size in range(1, 800)}
    assert len(words) == 799


def test_lines_stay_lines() -> None:
    """A bare LF, an empty line and bytes that are not UTF-8 cost nothing but their content."""
    raw = b"Event: Agents\r\nCallStarted: 12\nName: \xe9ric\r\n\r\nno field"
    told = Scrubber(KEY).block(raw)
    assert told == b"Event: Agents\r\nCallStarted: 12\nName: Name 1\r\n\r\nhidden"


def test_a_role_before_a_fields_name_does_not_hide_it() -> None:
    """Asterisk puts who of several is meant before the name; a stranger's word it does not."""
    assert rule_of("OrigTransfererCallerIDNum") is Rule.NUMBER
    assert rule_of("SecondTransfererBridgeUniqueid") is None or rule_of("SecondBridgeUniqueid") is Rule.UNIQUE
    assert rule_of("LocalTwoChannel") is Rule.CHANNEL
    assert rule_of("GrandmotherCallerIDNum") is None
    assert rule_of("Dest") is None


def test_every_field_that_the_driver_reads_is_known() -> None:
    """A field that is read and not known here would be another floor in a scrubbed capture."""
    folder = Path(ctid_asterisk.__file__).parent
    text = "".join(path.read_text("utf-8") for path in folder.glob("*.py"))
    read = set(re.findall(r"(?:fields|fields\.get|message\.get|item\.get)[\[(]\"([A-Za-z0-9_-]+)\"", text))
    assert len(read) > 40
    assert {name for name in read if rule_of(name) is None} <= NOT_EVENTS


@given(st.binary(max_size=300))
def test_nothing_in_a_block_of_any_bytes_breaks_it(raw: bytes) -> None:
    """As many lines come out as went in, and it is text."""
    told = Scrubber(KEY).block(raw)
    assert told.count(b"\n") == raw.count(b"\n")
    told.decode()


@given(
    st.text(st.characters(exclude_characters="\n\r"), min_size=1),
    st.text(st.characters(exclude_characters="\n\r"), min_size=5),
)
def test_no_value_of_an_unknown_field_comes_out(key: str, text: str) -> None:
    """Whatever its name is, and whatever it holds."""
    line = f"Zq{key}: {text}".encode("utf-8", "surrogatepass")
    told = Scrubber(KEY).block(line).decode()
    assert told in ("hidden: hidden", "hidden")

import pytest

from ctid.model.instant import Instant
from ctid_asterisk import fields
from ctid_asterisk.wire import AmiReader, Message


@pytest.mark.parametrize(
    ("told", "number"),
    [
        ("3001", "3001"),
        ("", ""),
        ("<unknown>", ""),
        ("unknown", ""),
        ("<null>", ""),
        ("anonymous", "anonymous"),
    ],
)
def test_an_unknown_caller_is_empty(told: str, number: str) -> None:
    """Each of Asterisk's three ways to say that it does not know a caller becomes nothing."""
    assert fields.caller(told) == number


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("Alice", "Alice"),
        (r"O\'Brien \"Bob\" \?", 'O\'Brien "Bob" ?'),
        (r"a\\b", r"a\b"),
        (r"two\nlines\tand\r\a\b\f\vmore", "two lines and more"),
        (r"ends with \\", "ends with \\"),
        ("<unknown>", ""),
    ],
)
def test_a_name_in_a_channel_event_is_unescaped_to_one_line(told: str, name: str) -> None:
    """The C escapes that Asterisk writes in channel events are undone, and no control character is left."""
    assert fields.caller_name(told) == name


def test_only_a_channel_events_name_is_unescaped() -> None:
    """A backslash in any other text stays what it is."""
    assert fields.printable(r"back\n slash\\") == r"back\n slash\\"


def test_bytes_of_latin_1_become_the_replacement_character() -> None:
    """A name in Latin-1 comes through the wire, and leaves as text that can be encoded."""
    reader = AmiReader()
    reader.feed(b"Asterisk Call Manager/11.0.0\r\n")
    (message,) = reader.feed(b"Event: Newchannel\r\nCallerIDName: Ren\xe9e\r\n\r\n")
    assert isinstance(message, Message)
    name = fields.caller_name(message.fields["calleridname"])
    assert name == "Ren\N{REPLACEMENT CHARACTER}e"
    assert name.encode()


def test_text_for_people_has_no_control_character() -> None:
    """Runs of control characters become one blank, and the ends are stripped."""
    assert fields.printable("\x00 a\r\n\x1b[31mb\x7f") == "a [31mb"
    assert fields.printable("déjà vu") == "déjà vu"


@pytest.mark.parametrize(
    ("channel", "device"),
    [
        ("PJSIP/1001-0000002a", "1001"),
        ("SIP/1001-0000002a", "1001"),
        ("PJSIP/desk-phone-0000002a", "desk-phone"),
        ("PJSIP/1001-0000002a<ZOMBIE>", "1001"),
        ("PJSIP/trunk", "trunk"),
        ("IAX2/office-12", "iax2.office"),
        ("DAHDI/1-1", "dahdi.1"),
        ("PJSIP/with space-00000001", "with_space"),
        ("Local/1007@from-queue-00000001;1", None),
        ("Snoop/1795.18-00000000", None),
        ("Surrogate/1001", None),
        ("none", None),
    ],
)
def test_the_device_of_a_channel(channel: str, device: str | None) -> None:
    """The device is the endpoint's name; a part of the PBX's inside has none, and is no party."""
    assert fields.device_of_channel(channel) == device
    assert fields.is_party(channel) is (device is not None)


@pytest.mark.parametrize(
    ("interface", "device"),
    [
        ("PJSIP/1001", "1001"),
        ("hint:1007@ext-local", "1007"),
        ("Agent:1007", "1007"),
        ("Local/1007@from-queue/n", "1007"),
        ("Local/1007@from-queue", "1007"),
        ("IAX2/office", "iax2.office"),
        ("Queue:support_avail", None),
        ("Custom:lamp", None),
        ("confbridge:12", None),
    ],
)
def test_the_device_of_an_interface(interface: str, device: str | None) -> None:
    """An interface, a hint and a Local channel all lead to the phone of that name."""
    assert fields.device_of_interface(interface) == device


@pytest.mark.parametrize(
    ("interface", "agent"),
    [
        ("PJSIP/1007", "1007"),
        ("Local/1007@from-queue/n", "1007"),
        ("Agent:1007", "1007"),
        ("1007", "1007"),
        ("PJSIP/a+b#c", "a_b_c"),
    ],
)
def test_the_agent_of_an_interface(interface: str, agent: str) -> None:
    """An agent's address is the same in all forms of a member's interface, and safe in a topic."""
    assert fields.agent_of_interface(interface) == agent


def test_the_device_of_an_endpoint() -> None:
    """The same as that of its channels, whatever characters it has."""
    assert fields.device_of_endpoint("with space") == fields.device_of_channel("PJSIP/with space-00000001")


def test_100_is_not_1001() -> None:
    """Names are compared whole: Asterisk's own prefix match must not be copied."""
    assert fields.device_of_channel("PJSIP/100-00000001") == "100"
    assert fields.device_of_channel("PJSIP/1001-00000001") == "1001"
    assert fields.device_of_interface("PJSIP/100") != fields.device_of_interface("PJSIP/1001")


def test_unique_ids_tell_who_was_first() -> None:
    """By seconds and serial number, as numbers, whatever stands before them."""
    idents = ["1795409466.9", "pbx-1795409466.10", "ctid-s1-phone-1795409467.1", "1795409467.11"]
    births = [fields.birth(ident) for ident in idents]
    assert births == sorted(births)
    assert births[1] == (1795409466, 10)
    assert fields.birth("odd") == (0, 0)


@pytest.mark.parametrize(
    ("age", "at"),
    [(0.0, 1e9), (60.0, 1e9 - 60), (-1.0, 1e9), (366 * 86_400.0, 1e9 - 366 * 86_400), (9e8, 1e9)],
)
def test_an_age_that_cannot_be_is_none(age: float, at: float) -> None:
    """A clock that was set meanwhile makes it negative, or as old as the epoch: then it began now."""
    assert fields.ago(age, Instant(1e9)) == at


def test_a_stamp_of_a_clock_that_was_not_set_is_now() -> None:
    """More than a year ago by our clock; ahead of ours it is the PBX's own time."""
    now = Instant(1e9)
    assert [fields.stamped(seconds, now) for seconds in (0.0, -5.0, 1e9 - 9, 1e9 + 9)] == [
        now,
        now,
        1e9 - 9,
        1e9 + 9,
    ]
    with pytest.raises(ValueError, match="no time"):
        fields.stamped(1e14, now)

import pytest

from ctid.model.facts import MonitoringSeen
from helpers.ami_words import Channel, Line, caller, dialled, message


def talking() -> tuple[Line, Channel, Channel]:
    """3001 talks with 1001."""
    line, near = Line(), caller("PJSIP/3001-1", "1.1", "1001", state="6")
    far = dialled("PJSIP/1001-2", "1.4", "1.1", state="6")
    line.appears(near, far)
    line.dials(near, far)
    line.enters("b1", far, near)
    return line, near, far


def seen(line: Line) -> list[tuple[str, str, str]]:
    """Who is listened to, by whom, by which means."""
    return [(m.leg, m.by, m.how) for m in line.moments if isinstance(m, MonitoringSeen)]


def spies(line: Line, spyer: Channel, target: Channel) -> None:
    """A ChanSpy begins."""
    line.hear(message("ChanSpyStart", spyer.block("Spyer"), target.block("Spyee")))


def test_somebodys_chanspy_is_told() -> None:
    """Of the leg that is listened to, with the phone that listens, or its number where it is no phone."""
    line, _, far = talking()
    spyer = caller("PJSIP/2003-9", "9.1", "*551001", state="6")
    line.appears(spyer)
    spies(line, spyer, far)
    unknown = caller("PJSIP/2002-9", "9.3", "1", state="6")
    spies(line, unknown, far)
    nobody = Channel("Local/x@y-1;1", "9.4")
    spies(line, nobody, far)
    assert seen(line) == [("1.4", "2003", "spy"), ("1.4", "2002", "spy"), ("1.4", "", "spy")]


@pytest.mark.parametrize("unique", ["ctid-ctid.s1-phone-1.1", "ctid-ctid.s1-listen-1.1"])
def test_what_ctid_started_is_not(unique: str) -> None:
    """Its own channels bear ids that it gave them."""
    line, _, far = talking()
    spies(line, Channel("PJSIP/2001-9", unique), far)
    line.appears(Channel(f"Snoop/{far.unique}-00000001", unique))
    assert seen(line) == []


def test_another_programs_snoop_is_told() -> None:
    """By the channel that it is named after; a program has no phone."""
    line, near, far = talking()
    line.appears(Channel(f"Snoop/{far.unique}-00000001", "5.1"))
    line.appears(Channel(f"Snoop/{near.unique}-00000002", "5.2"))
    assert seen(line) == [("1.4", "", "snoop"), ("1.1", "", "snoop")]


def test_a_local_half_stands_for_its_party() -> None:
    """Whoever spies at the Local channel of a queue's member listens to the member."""
    line, near = Line(), caller("PJSIP/3001-1", "1.1", "7000", state="6")
    one, two = Channel("Local/1001@q-1;1", "1.2", "1.1"), Channel("Local/1001@q-1;2", "1.3", "1.1")
    far = dialled("PJSIP/1001-2", "1.4", "1.1", state="6")
    line.appears(near, one, two, far)
    pair = [*one.block("LocalOne"), *two.block("LocalTwo")]
    line.hear(message("LocalBridge", pair))
    line.enters("b2", far, two)
    line.enters("b1", one, near)
    spies(line, Channel("PJSIP/2003-9", "9.1"), one)
    assert seen(line)[0][0] == "1.4"

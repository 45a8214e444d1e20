from ctid.model.facts import Fact, Leg, LegChanged
from ctid.model.words import Recording
from helpers.ami_words import Channel, Line, caller, dialled, lists, message

Fields = list[tuple[str, str]]


def talking() -> tuple[Line, Channel, Channel]:
    """A customer and an agent."""
    line = Line()
    near = caller("PJSIP/3001-00000001", "1.1", "7000", state="6")
    far = dialled("PJSIP/1001-00000002", "1.2", "1.1")
    line.appears(near)
    line.serves(near, far)
    return line, near, far


def legs(facts: list[Fact]) -> list[Leg]:
    """The legs that were told."""
    return [fact.leg for fact in facts if isinstance(fact, LegChanged)]


def variable(channel: Channel, name: str, value: str) -> Fields:
    """The fields of a VarSet."""
    return [*channel.block(), ("Variable", name), ("Value", value)]


def test_flags_are_told_and_never_taken_back() -> None:
    """By the channel's variable; an empty value, another variable or channel, a global one: nothing."""
    line, near, far = talking()
    (leg,) = legs(line.hear(message("VarSet", variable(near, "CTID_PRIVATE", "1"))))
    assert (leg.id, leg.private, leg.objected) == ("1.1", True, False)
    (leg,) = legs(line.hear(message("VarSet", variable(far, "CTID_OBJECTED", "1"))))
    assert (leg.id, leg.private, leg.objected) == ("1.2", False, True)
    gone = Channel("PJSIP/9-00000009", "9.9")
    everywhere = [("Channel", "none"), ("Uniqueid", "none"), ("Variable", "CTID_PRIVATE"), ("Value", "1")]
    for fields in (
        variable(near, "CTID_PRIVATE", ""),
        variable(near, "CTID_PRIVATE", "0"),
        variable(near, "CTID_PRIVATE", "1"),
        variable(near, "CTIDFENCE", "1"),
        variable(gone, "CTID_PRIVATE", "1"),
        everywhere,
    ):
        assert line.hear(message("VarSet", fields)) == []
    assert line.legs["1.1"].private


def test_of_a_half_it_is_the_party_s() -> None:
    """What happens to the half of a Local channel is told of whom it stands for."""
    line, *_ = talking()
    one = Channel("Local/1007@x-00000001;1", "2.1", "1.1")
    two = Channel("Local/1007@x-00000001;2", "2.2", "1.1")
    phone = dialled("PJSIP/1007-00000003", "2.3", "1.1", state="6")
    line.appears(one, two, phone)
    line.hear(message("LocalBridge", one.block("LocalOne"), two.block("LocalTwo")))
    line.dials(two, phone)
    line.enters("b2", two, phone)
    (leg,) = legs(line.hear(message("VarSet", variable(one, "CTID_PRIVATE", "1"))))
    assert (leg.id, leg.private) == ("2.3", True)


def test_recordings_are_counted() -> None:
    """On with the first, paused while they keep silence on both sides, off with the last."""
    line, near, _ = talking()
    told = []
    for event, direction, state in (
        ("MixMonitorStart", "", ""),
        ("MixMonitorStart", "", ""),
        ("MixMonitorMute", "Read", "1"),
        ("MixMonitorMute", "Both", "1"),
        ("MixMonitorMute", "Both", "0"),
        ("MixMonitorStop", "", ""),
        ("MixMonitorStop", "", ""),
        ("MixMonitorStop", "", ""),
    ):
        facts = line.hear(message(event, near.block(), Direction=direction, State=state))
        told.append([leg.recording for leg in legs(facts)])
    on, paused, off = [Recording.ON], [Recording.PAUSED], [Recording.OFF]
    assert told == [on, [], [], paused, on, [], off, []]


def test_what_ctid_keeps_of_it() -> None:
    """An Asterisk without these events tells by the variable alone; with them it is told once."""
    line, near, _ = talking()
    assert line.hear(message("MixMonitorStart", near.block()))
    assert line.hear(message("VarSet", variable(near, "CTID_RECORDING", "on"))) == []
    for value, state in (("paused", Recording.PAUSED), ("on", Recording.ON), ("off", Recording.OFF)):
        (leg,) = legs(line.hear(message("VarSet", variable(near, "CTID_RECORDING", value))))
        assert leg.recording is state
    (leg,) = legs(line.hear(message("VarSet", variable(near, "CTID_RECORDING", "on"))))
    assert leg.recording is Recording.ON


def test_a_standing_channel_keeps_no_flag() -> None:
    """An agent of the pool has calls after this one."""
    line, _, far = talking()
    line.normalizer.channels.stand("1.2", standing=True)
    assert line.hear(message("VarSet", variable(far, "CTID_PRIVATE", "1"))) == []


def test_lists_tell_what_no_event_tells_again() -> None:
    """Flags, what ctid did to a recording, and one that began without it."""
    for kept, private, objected, recording in (
        ([], False, False, Recording.OFF),
        (["CTID_PRIVATE=1", "CTID_OBJECTED="], True, False, Recording.OFF),
        (["CTID_PRIVATE=(null)", "CTID_OBJECTED=1"], False, True, Recording.OFF),
        (["CTID_RECORDING=paused", "MIXMONITOR_FILENAME=/x.wav"], False, False, Recording.PAUSED),
        (["CTID_RECORDING=off", "MIXMONITOR_FILENAME=/x.wav"], False, False, Recording.OFF),
        (["CTID_RECORDING=(null)", "MIXMONITOR_FILENAME=/x.wav"], False, False, Recording.ON),
    ):
        near = caller("PJSIP/3001-00000001", "1.1", "7000")
        told = [("Variable", text) for text in ("CHANNEL(onhold)=0", *kept)]
        stranger = message("Status", Channel("PJSIP/9-00000009", "9.9").block(), told)
        line = Line()
        line.loads(lists(near.item(), holds=(message("Status", near.block(), told), stranger)))
        leg = line.legs["1.1"]
        assert (leg.private, leg.objected, leg.recording) == (private, objected, recording), kept

from bench import ingest
from bench.recording import READ_BYTES, SPACING_S, Recording, load, name_of, recording_of, repeat, shifted

BRIDGE = b"98fea101-6366-4ce0-bb69-e4d35b3debb6"


def event(name: bytes, *lines: bytes) -> bytes:
    """One event as the wire has it, with its empty line."""
    return b"\r\n".join((b"Event: " + name, *lines, b"", b""))


RINGS = event(
    b"Newchannel", b"Channel: PJSIP/3001-0000000a", b"Uniqueid: 1795409466.9", b"CallerIDNum: 0612345678"
)
ENTERS = event(b"BridgeEnter", b"BridgeUniqueid: " + BRIDGE, b"Uniqueid: 1795409470.9")
GREETING = b"Asterisk Call Manager/11.0.0\r\n"


def test_answers_the_logins_event_and_what_was_cut_off_are_left_out() -> None:
    """Of a wire, whole events are kept in their order, and nothing else."""
    answer = b"Response: Success\r\nMessage: Authentication accepted\r\n\r\n"
    booted = event(b"FullyBooted", b"Status: Fully Booted")
    recording = recording_of(GREETING + answer + booted + RINGS + ENTERS + ENTERS[:20])
    assert recording == Recording(GREETING, (RINGS[:-4], ENTERS[:-4]))
    assert (recording.begins, recording.lasts) == (1795409466, 4)


def test_a_later_repetition_is_of_other_calls() -> None:
    """Unique ids, channels and bridges are new, numbers of people are not; the first is as recorded."""
    assert shifted(RINGS + ENTERS, 0) == RINGS + ENTERS.replace(BRIDGE[:8], b"00000000")
    later = shifted(RINGS + ENTERS, 2)
    assert b"Uniqueid: 1795411466.9\r" in later
    assert b"Channel: PJSIP/3001-00004e2a\r" in later
    assert b"BridgeUniqueid: 00000002-6366-4ce0-bb69-e4d35b3debb6\r" in later
    assert b"CallerIDNum: 0612345678\r" in later


def test_a_replay_is_the_repetitions_cut_into_reads_in_the_wires_own_time() -> None:
    """The bytes are those of the repetitions, whatever the cuts; time follows the wire, never back."""
    recording = recording_of(GREETING + RINGS + ENTERS)
    replay = repeat(recording, 2000)
    wire = b"".join(data for data, _ in replay.reads)
    assert (replay.events, replay.size) == (2000, len(wire))
    assert wire == b"".join(shifted(RINGS + ENTERS, index) for index in range(1000))
    assert {len(data) for data, _ in replay.reads[:-1]} == {READ_BYTES}
    times = [now for _, now in replay.reads]
    assert times == sorted(times)
    assert times[0] == recording.begins
    assert times[-1] < recording.begins + 1000 * SPACING_S


def test_a_filter_at_the_source_leaves_whole_events() -> None:
    """Only the events named are left."""
    recording = recording_of(GREETING + RINGS + ENTERS + RINGS)
    assert [name_of(block) for block in recording.only({"BridgeEnter"}).blocks] == [b"BridgeEnter"]


def test_both_take_in_every_event_of_the_shipped_recording() -> None:
    """Ctid makes calls of a repeated wire, serves and ends each; panoramisk calls back for every event."""
    recording = load()
    assert len(recording.blocks) > 400
    ingest.prove(recording, repeat(recording, 3 * len(recording.blocks)))

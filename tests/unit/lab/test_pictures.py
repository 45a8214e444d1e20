from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from ctid.model.words import Mode
from lab import pictures, speech, tones
from lab.pictures import Picture
from lab.tones import Heard

TRIO = {"customer": "3001", "agent": "1001", "supervisor": "2001"}
CAST = frozenset(TRIO.values())


def heard(*numbers: str, seconds: float = 1.0) -> Heard:
    """What a phone hears while these phones say their tones."""
    frames = int(seconds / tones.FRAME_SECONDS)
    sound = np.zeros((frames, tones.FRAME), dtype=np.float32)
    for number in numbers:
        sound += np.frombuffer(tones.tone_frame(tones.TONES[number]), dtype="<i2") / 32768
    return Heard(np.arange(frames, dtype=np.float64) * tones.FRAME_SECONDS, sound)


@pytest.mark.parametrize(
    ("mode", "customer", "agent", "supervisor"),
    [
        (Mode.LISTEN, {"1001"}, {"3001"}, {"3001", "1001"}),
        (Mode.WHISPER, {"1001"}, {"3001", "2001"}, {"3001", "1001"}),
        (Mode.BARGE, {"1001", "2001"}, {"3001", "2001"}, {"3001", "1001"}),
        (Mode.TAKEOVER, {"2001"}, set(), {"3001"}),
    ],
)
def test_who_should_hear_whom(mode: Mode, customer: set[str], agent: set[str], supervisor: set[str]) -> None:
    """Each mode's picture is the one of the design."""
    whom = pictures.wanted(mode, **TRIO)
    assert {number: set(others) for number, others in whom.items()} == {
        "3001": customer,
        "1001": agent,
        "2001": supervisor,
    }


def picture(mode: Mode, changed: dict[str, Heard]) -> Picture:
    """The picture of a mode as it should be, but for what some of the three hear."""
    whom = pictures.wanted(mode, **TRIO)
    ears = tuple(
        pictures.ear(role, number, whom[number], changed.get(number, heard(*whom[number])), CAST)
        for role, number in TRIO.items()
    )
    return Picture(mode=mode, customer="3001", agent="1001", supervisor="2001", ears=ears)


@pytest.mark.parametrize("mode", list(Mode))
def test_picture_is_right_only_where_each_ear_is(mode: Mode) -> None:
    """Exactly the wanted tones make a right picture; one more or one less in any ear makes it wrong."""
    assert picture(mode, {}).right
    whom = pictures.wanted(mode, **TRIO)
    for number in TRIO.values():
        others = CAST - {number}
        for other in others:
            wrong = heard(*(set(whom[number]) ^ {other}))
            assert not picture(mode, {number: wrong}).right, f"{number} and {other} in {mode}"


def test_table_fits_a_terminal_and_names_a_stranger() -> None:
    """In 80 columns nothing is cut off, and who should not be heard is told."""
    where = Console(width=80, file=StringIO())
    cast = CAST | {"3002"}
    whom = pictures.wanted(Mode.BARGE, customer="3001", agent="1006", supervisor="2001")
    ears = tuple(
        pictures.ear(role, number, whom[number], heard(*whom[number], *extra), cast)
        for role, number, extra in (
            ("customer", "3001", ()),
            ("agent", "1006", ("3002",)),
            ("supervisor", "2001", ()),
        )
    )
    shown = Picture(mode=Mode.BARGE, customer="3001", agent="1006", supervisor="2001", ears=ears)
    with where.capture() as captured:
        where.print(pictures.table(shown))
    text = captured.get()
    assert "…" not in text
    assert text.count("right") == 2
    assert "WRONG hears" in text
    assert "3002" in text


def test_tones_outside_the_cast_do_not_count() -> None:
    """Where others' frequencies carry speech, they are nobody's tone."""
    assert pictures.ear("agent", "1001", ("3001",), heard("3001", "3020"), CAST).right
    assert not pictures.ear("agent", "1001", ("3001",), heard("3001", "3020"), CAST | {"3020"}).right


def test_speech_leaves_the_tones_measurable() -> None:
    """Loud noise with the cast's bands taken out: its own tone is heard, and no other of the cast's."""
    noise = np.random.default_rng(1).normal(0, 0.3, 2 * tones.RATE).astype(np.float32)
    frequencies = [tones.TONES[number] for number in sorted(CAST)]
    said = speech.mixed(noise, tones.TONES["3001"], frequencies)
    sound = tones.decode([frame * tones.FRAME_SECONDS for frame in range(100)], said)
    judged = pictures.ear("agent", "1001", ("3001",), sound, CAST)
    assert judged.right
    assert set(judged.levels) == {"3001"}
    assert np.sqrt((sound.samples**2).mean()) > 1.5 * speech.TONE_AMPLITUDE / np.sqrt(2), "the noise is there"


def test_every_phone_of_the_cast_has_a_voice() -> None:
    """Each has sentences, and neighbours begin with different ones."""
    for number in ("1001", "1002", "2001", "3001", "3008"):
        voice, sentences = speech.script(number)
        assert voice.startswith("en")
        assert len(sentences) >= 3
    assert speech.script("1001")[1][0] != speech.script("1002")[1][0]

import wave
from pathlib import Path

import numpy as np
import pytest

from lab import hearing, roster, tones
from lab.errors import PhoneError
from lab.phone_client import read_wav
from lab.tones import FRAME, RATE, Floats, Heard, Timeline

FREQUENCIES = list(tones.TONES.values())


def speech(numbers: list[str], frames: int, *, phase: int = 0) -> Floats:
    """The sum of some phones' tones, `frames` long, from sample `phase` on, as rows of frames."""
    steps = np.arange(phase, phase + frames * FRAME) / RATE
    total = np.zeros(frames * FRAME)
    for number in numbers:
        total += tones.AMPLITUDE * np.sin(2 * np.pi * tones.TONES[number] * steps)
    return total.reshape(frames, FRAME).astype(np.float32)


def ulaw(samples: Floats) -> Floats:
    """Samples after G.711 mu-law (ITU-T G.711: 8 segments of 16 steps, bias 132 in 16-bit samples)."""
    whole = np.clip(np.abs(np.round(samples * 32767)).astype(np.int64), 0, 32635) + 132
    segment = np.floor(np.log2(whole)).astype(np.int64) - 7
    step = (whole >> (segment + 3)) & 15
    decoded = (((step << 3) + 132) << segment) - 132
    result: Floats = (np.sign(samples) * decoded / 32768).astype(np.float32)
    return result


def heard(samples: Floats) -> Heard:
    """What a phone heard, a frame each 20 ms from second 100 on."""
    return Heard(np.array([100 + 0.02 * index for index in range(len(samples))], dtype=np.float64), samples)


def test_every_phone_has_a_tone_of_its_own() -> None:
    """31 phones have 31 tones, multiples of 50 Hz inside the telephone band."""
    assert set(tones.TONES) == set(roster.PHONES)
    assert len(set(FREQUENCIES)) == len(roster.PHONES) == 31
    assert all(frequency % 50 == 0 and 300 <= frequency <= 3400 for frequency in FREQUENCIES)


@pytest.mark.parametrize("number", roster.PHONES)
def test_a_tone_through_g711_leaves_nothing_on_the_others(number: str) -> None:
    """After mu-law a tone is at -14 dBFS and at least 39 dB lower on every other tone of the table."""
    measured = tones.levels(ulaw(speech([number], 50)).reshape(1, -1), FREQUENCIES)[0]
    own = list(tones.TONES).index(number)
    assert abs(measured[own] - -14.0) < 0.2
    assert np.delete(measured, own).max() < -53.0


def test_five_voices_at_any_phase_are_told_apart() -> None:
    """Five tones at once, from any sample on and through mu-law, are exactly the five that are heard."""
    speakers = ["1001", "2001", "3001", "1002", "3020"]
    for phase in (0, 7, 81, 159):
        told = hearing.shares(heard(ulaw(speech(speakers, 10, phase=phase))))
        assert {number for number, share in told.items() if share == 1.0} == set(speakers)
        assert {number for number, share in told.items() if share > 0} == set(speakers)
        assert hearing.is_picture(told, set(speakers))
        assert not hearing.is_picture(told, set(speakers[:4]))


def test_silence_and_too_little_is_nobody() -> None:
    """Silent frames, and fewer frames than one picture takes, are heard as nobody."""
    silence = heard(np.zeros((10, FRAME), dtype=np.float32))
    assert set(hearing.shares(silence).values()) == {0.0}
    assert set(hearing.medians(silence).values()) == {tones.SILENT}
    short = heard(speech(["1001"], 3))
    assert set(hearing.shares(short).values()) == {0.0}
    assert "nobody in 3 frames" in hearing.describe(short)


def test_a_lost_frame_is_nobody_s_voice() -> None:
    """A frame that was lost inside a tone is heard as nobody else for more than the few pictures it is in."""
    samples = speech(["1001"], 60)
    samples[30] = 0
    told = hearing.shares(heard(samples))
    assert hearing.is_picture(told, {"1001"})


def test_the_speaker_s_frame_repeats_without_a_click() -> None:
    """One frame of a tone said in a loop is the tone itself, for each phone."""
    for frequency in FREQUENCIES:
        frame = np.frombuffer(tones.tone_frame(frequency), dtype="<i2")
        steps = np.arange(3 * FRAME) / RATE
        expected = np.sin(2 * np.pi * frequency * steps) * tones.AMPLITUDE * 32767
        assert np.abs(np.tile(frame, 3) - expected).max() <= 1.0


def test_decode_pairs_moments_and_frames() -> None:
    """What comes over the wire is a row of 160 samples for each moment."""
    pcm = tones.tone_frame(1000) + bytes(320)
    decoded = tones.decode([1.0, 1.02], pcm)
    assert decoded.samples.shape == (2, 160)
    assert decoded.times.tolist() == [1.0, 1.02]
    assert decoded.samples[1].max() == 0


def timeline(pattern: str) -> Timeline:
    """A timeline from second 100 on: `x` a frame with the tone, `h` half of one, `.` silence."""
    levels = {"x": -14.0, "h": -20.0, ".": tones.SILENT}
    times = np.array([100 + 0.02 * index for index in range(len(pattern))], dtype=np.float64)
    return Timeline(times, np.array([levels[sign] for sign in pattern], dtype=np.float32))


@pytest.mark.parametrize(
    ("pattern", "gap", "missing"),
    [
        ("..xxxx..", 0.0, 0.0),
        ("xx..xx.xxx", 0.04, 0.06),
        ("xxhxx", 0.0, 0.01),
        ("....", 0.0, 0.0),
        ("", 0.0, 0.0),
    ],
)
def test_gaps_inside_a_tone(pattern: str, gap: float, missing: float) -> None:
    """The longest gap and what is missing count inside the tone only, half frames as half."""
    assert timeline(pattern).longest_gap() == pytest.approx(gap, abs=1e-6)
    assert timeline(pattern).missing() == pytest.approx(missing, abs=1e-3)


def test_first_and_last_moment_of_a_tone() -> None:
    """A tone begins with two frames in a row, ends with the last frame, and may never be heard."""
    line = timeline(".x..xxx.")
    assert line.first_heard() == pytest.approx(100.08)
    assert line.last_heard() == pytest.approx(100.12)
    assert line.heard_fraction() == pytest.approx(0.5)
    assert timeline("...").first_heard() is None
    assert timeline("").last_heard() is None
    assert timeline("").heard_fraction() == 0.0


def test_wav_of_another_rate_is_resampled_to_whole_frames(tmp_path: Path) -> None:
    """A stereo file at 22.05 kHz becomes whole frames at 8 kHz that keep its tone; 8 bits are refused."""
    path = tmp_path / "tone.wav"
    steps = np.arange(22050) / 22050
    left = (np.sin(2 * np.pi * 1000 * steps) * 0.2 * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(22050)
        file.writeframes(np.column_stack([left, np.zeros_like(left)]).astype("<i2").tobytes())
    samples = tones.decode([0.0] * 50, read_wav(path)).samples.reshape(-1)
    assert len(samples) == 50 * FRAME
    measured = tones.levels(samples.reshape(1, -1), [1000, 1500])[0]
    assert abs(measured[0] - -14.0) < 0.5
    assert measured[1] < -50.0
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes(bytes(800))
    with pytest.raises(PhoneError, match="8 bits"):
        read_wav(path)

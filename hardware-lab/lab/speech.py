"""Voices for the phones: speech from espeak-ng with a tone beneath it that stays measurable.

Of the speech, the narrow bands in which the tones of the cast lie are taken out. What is left leaves, in a
tone's place, less than the threshold, so a listener hears people talk, and the measure sees tones alone.
"""

import os
import subprocess
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lab import tones
from lab.errors import LabError
from lab.phone_client import read_wav
from lab.root import Root
from lab.tones import Floats

TONE_AMPLITUDE = 0.07
"""Of full scale, -23 dBFS: 7 dB above the threshold, and low enough to speak over."""
PEAK = 0.4
"""Of full scale: three voices and their tones at once do not clip."""
BAND_HZ = 25.0
"""Half the band that is taken out: a picture of 80 ms with a Hann window looks no further."""
PAUSE_SECONDS = 1.2
"""Between two sentences, so that the other is heard too."""

_AGENT = (
    "Good morning, thank you for calling. How can I help you?",
    "May I have your order number, please?",
    "I can see that your parcel left the warehouse yesterday.",
    "One moment, I am looking at your account.",
    "I am sorry about that. I will put it right for you.",
    "You will have a message with the details in a minute.",
)
_CUSTOMER = (
    "Hello. My parcel has not come, and it was to be here on Monday.",
    "The number is four, seven, one, one, zero, eight.",
    "I have called twice already about this.",
    "Yes, I can wait.",
    "The lamp on the box is red, and nothing happens when I press the button.",
    "That would be very kind, thank you.",
)
_SUPERVISOR = (
    "You are doing fine. Stay calm, and let him finish.",
    "Offer to send a new one, free of charge.",
    "Good morning. I am the supervisor, and I will see to this myself.",
)
_WOMEN = ("en-us+f2", "en-gb+f3", "en-gb-scotland+f4", "en-us+f5")
_MEN = ("en-gb+m2", "en-us+m3", "en-gb-scotland+m4", "en-us+m7")
_WOMEN_AGENTS = ("1001", "1003", "1005", "1007")


def script(number: str) -> tuple[str, Sequence[str]]:
    """The voice of a phone of the rig, and its sentences, each phone beginning with another."""
    turn = int(number[1:])
    if number.startswith("1"):
        voices, sentences = (_WOMEN if number in _WOMEN_AGENTS else _MEN), _AGENT
    elif number.startswith("2"):
        return "en-gb+f2", _SUPERVISOR
    else:
        voices, sentences = (_MEN, _WOMEN)[turn % 2], _CUSTOMER
    first = turn % len(sentences)
    return voices[turn // 2 % len(voices)], (*sentences[first:], *sentences[:first])


def render(root: Root, number: str, folder: Path, frequencies: Sequence[float]) -> bytes:
    """What the phone says in a loop: its sentences without the bands of `frequencies`, over its tone.

    Whole frames of 160 16-bit samples at 8 kHz. Takes some 0.1 s a sentence, in another process.
    Raises `LabError` where espeak-ng fails.
    """
    voice, sentences = script(number)
    quiet = np.zeros(int(PAUSE_SECONDS * tones.RATE), dtype=np.float32)
    said: list[npt.NDArray[np.float32]] = []
    for turn, sentence in enumerate(sentences):
        path = folder / f"{number}-{turn}.wav"
        _speak(root, voice, sentence, path)
        said += [np.frombuffer(read_wav(path), dtype="<i2").astype(np.float32), quiet]
    return mixed(np.concatenate(said), tones.TONES[number], frequencies)


def _speak(root: Root, voice: str, sentence: str, path: Path) -> None:
    command = [*root.command("espeak-ng"), "-v", voice, "-s", "155", "-w", str(path), sentence]
    environment = {**os.environ, **root.environment()}
    ended = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        start_new_session=True,
    )
    if ended.returncode != 0:
        raise LabError(f"espeak-ng ended with {ended.returncode} for the voice {voice}: {ended.stderr}")


def without(samples: Floats, frequencies: Sequence[float]) -> Floats:
    """The samples, as a loop, without the bands of `frequencies` and what is below 100 Hz."""
    spectrum = np.fft.rfft(samples)
    bins = np.fft.rfftfreq(len(samples), 1 / tones.RATE)
    spectrum[bins < 100] = 0
    for frequency in frequencies:
        spectrum[np.abs(bins - frequency) <= BAND_HZ] = 0
    return np.fft.irfft(spectrum, len(samples)).astype(np.float32)


def mixed(speech: Floats, tone: float, frequencies: Sequence[float]) -> bytes:
    """Speech of whole frames, at any level, over a tone; 16-bit samples that loop without a click."""
    clear = without(speech, frequencies)
    loudest = float(np.abs(clear).max(initial=0.0))
    level = PEAK / loudest if loudest else 0.0
    under = np.frombuffer(tones.tone_frame(tone, TONE_AMPLITUDE), dtype="<i2").astype(np.float32)
    whole = clear * level * 32767 + np.tile(under, len(clear) // tones.FRAME)
    return whole.round().astype("<i2").tobytes()


def write_voices(samples: Floats, path: Path, frequencies: Sequence[float]) -> None:
    """Write what a phone heard, frames of 160 samples, as a WAV file for a person: without the tones."""
    voices = without(samples.reshape(-1), frequencies)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(tones.RATE)
        file.writeframes((np.clip(voices, -1, 1) * 32767).astype("<i2").tobytes())

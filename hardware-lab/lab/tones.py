"""Everyone's tone, and Goertzel's algorithm over what a phone has heard. Pure.

A frame is 20 ms: 160 samples at 8 kHz. All tones are multiples of 50 Hz, so each has a whole number of
periods in a frame: a speaker repeats one frame without a click, and the tones are orthogonal over every
frame, whatever their phase. The table leaves out the multiples of 50 Hz on which the G.711 quantisation of
another tone would fall: what a tone leaves on any other of the table is 39 dB below it.
"""

import math
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from lab.roster import PHONES

RATE = 8000
FRAME = 160
FRAME_SECONDS = FRAME / RATE
AMPLITUDE = 0.2
"""Of full scale: five tones at once do not clip."""
THRESHOLD = -30.0
"""dBFS; a tone at 0.2 is at -14: this is 16 dB below a voice, and 23 dB above what another's leaves there."""
SILENT = -96.0
"""dBFS; the level of 16-bit silence."""
WINDOW_FRAMES = 4
"""A picture of who is heard is taken over 80 ms, in steps of 20 ms."""

_FREQUENCIES = (
    *(400, 450, 500, 550, 600, 650, 800, 850, 950, 1000, 1050, 1150, 1300, 1350, 1450, 1550),
    *(1600, 1750, 1900, 1950, 2000, 2050, 2250, 2350, 2450, 2650, 2800, 2850, 2950, 3050, 3150),
)
# A stride through the table sets phones that often meet (1001, 2001, 3001) far apart.
TONES = {number: _FREQUENCIES[index * 12 % len(_FREQUENCIES)] for index, number in enumerate(PHONES)}
"""Phone number -> its tone in Hz."""

Floats = npt.NDArray[np.float32]


class Heard(msgspec.Struct, frozen=True):
    """What a phone heard: for each 20 ms frame its monotonic second, and its samples (n, 160).

    The moment (CLOCK_MONOTONIC) is when the frame left the jitter buffer, some 20 to 60 ms after it was on
    the wire.
    """

    times: npt.NDArray[np.float64]
    samples: Floats


def decode(times: Sequence[float], pcm: bytes) -> Heard:
    """Make a `Heard` of 16-bit little-endian samples, 160 for each of `times`."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32) / 32768
    return Heard(np.asarray(times, dtype=np.float64), samples.reshape(len(times), FRAME).astype(np.float32))


def levels(samples: Floats, frequencies: Sequence[float]) -> Floats:
    """The level in dBFS of each frequency in each row: (rows, width) samples -> (rows, frequencies).

    Goertzel's algorithm as a matrix product, with no window: exact for tones with whole periods in a row.
    """
    return _decibels(samples, np.ones(samples.shape[1], dtype=np.float32), frequencies)


def pictures(samples: Floats, frequencies: Sequence[float]) -> Floats:
    """As `levels`, over 80 ms with a Hann window, for each frame with three before it: (n - 3, frequencies).

    The window keeps the click of a lost frame from being taken for somebody's tone.
    """
    if len(samples) < WINDOW_FRAMES:
        return np.empty((0, len(frequencies)), dtype=np.float32)
    rows = np.lib.stride_tricks.sliding_window_view(samples.reshape(-1), FRAME * WINDOW_FRAMES)[::FRAME]
    return _decibels(rows, np.hanning(FRAME * WINDOW_FRAMES + 1)[:-1].astype(np.float32), frequencies)


def _decibels(rows: Floats, window: Floats, frequencies: Sequence[float]) -> Floats:
    steps = np.arange(rows.shape[1]) / RATE
    basis = window[:, None] * np.exp(-2j * np.pi * np.outer(steps, np.asarray(frequencies)))
    amplitudes = np.abs(rows @ basis.astype(np.complex64)) * (2 / window.sum())
    floor = 10 ** (SILENT / 20)
    decibels: Floats = (20 * np.log10(np.maximum(amplitudes, floor))).astype(np.float32)
    return decibels


def tone_frame(frequency: float, amplitude: float = AMPLITUDE) -> bytes:
    """One frame of a tone (a multiple of 50 Hz), 16-bit little-endian; repeated it is the pure tone."""
    steps = np.arange(FRAME) / RATE
    return (np.sin(2 * math.pi * frequency * steps) * amplitude * 32767).round().astype("<i2").tobytes()


class Timeline(msgspec.Struct, frozen=True):
    """The level of one tone, frame by frame, as one phone heard it: (n,) monotonic seconds and (n,) dBFS."""

    times: npt.NDArray[np.float64]
    levels: Floats

    def first_heard(self, threshold: float = THRESHOLD) -> float | None:
        """The monotonic second of the first of two frames in a row above `threshold`, or None."""
        loud = self.levels >= threshold
        both = np.flatnonzero(loud[:-1] & loud[1:])
        return float(self.times[both[0]]) if len(both) else None

    def last_heard(self, threshold: float = THRESHOLD) -> float | None:
        """The monotonic second of the last frame above `threshold`; None where there is none."""
        loud = np.flatnonzero(self.levels >= threshold)
        return float(self.times[loud[-1]]) if len(loud) else None

    def longest_gap(self, threshold: float = THRESHOLD) -> float:
        """The longest silence between two frames in which the tone is heard, in seconds, to 20 ms.

        0.0 where the tone is heard without interruption or not at all; what comes before the first and after
        the last frame with the tone does not count.
        """
        loud = np.flatnonzero(self.levels >= threshold)
        return float((np.diff(loud).max(initial=1) - 1) * FRAME_SECONDS)

    def missing(self, nominal: float | None = None) -> float:
        """Seconds of the tone that are missing between its first and last frame, each frame by its amplitude.

        Finer than frames: a frame that is half silent counts 10 ms. `nominal` is the tone's level in dBFS,
        by default the median of the frames with the tone.
        """
        loud = np.flatnonzero(self.levels >= THRESHOLD)
        if not len(loud):
            return 0.0
        span = self.levels[loud[0] : loud[-1] + 1]
        full = float(np.median(self.levels[loud])) if nominal is None else nominal
        present = np.minimum(10 ** ((span - full) / 20), 1.0)
        return float((1.0 - present).sum() * FRAME_SECONDS)

    def heard_fraction(self, threshold: float = THRESHOLD) -> float:
        """The share of frames above `threshold`, 0 to 1."""
        return float((self.levels >= threshold).mean()) if len(self.levels) else 0.0

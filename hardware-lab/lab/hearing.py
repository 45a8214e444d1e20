"""Whom a phone hears: from tones to names. Pure."""

import numpy as np

from lab import tones
from lab.tones import Heard

STEADY = 0.9
"""A tone is heard steadily when it is in at least this share of the pictures of a window."""
STRAY = 0.05
"""A tone is not heard when it is in at most this share: the click of one lost frame is nobody's voice."""


def shares(heard: Heard) -> dict[str, float]:
    """For each phone the share, 0 to 1, of the 80 ms pictures in which its tone is above the threshold."""
    pictures = tones.pictures(heard.samples, list(tones.TONES.values()))
    if not len(pictures):
        return dict.fromkeys(tones.TONES, 0.0)
    return dict(zip(tones.TONES, (pictures >= tones.THRESHOLD).mean(axis=0).tolist(), strict=True))


def medians(heard: Heard) -> dict[str, float]:
    """For each phone the median level of its tone over the 80 ms pictures, in dBFS; -96 is silence."""
    pictures = tones.pictures(heard.samples, list(tones.TONES.values()))
    if not len(pictures):
        return dict.fromkeys(tones.TONES, tones.SILENT)
    return dict(zip(tones.TONES, np.median(pictures, axis=0).tolist(), strict=True))


def is_picture(told: dict[str, float], wanted: set[str]) -> bool:
    """Whether the shares `told` mean: the phones in `wanted` steadily, and nobody else."""
    return all(share >= STEADY if number in wanted else share <= STRAY for number, share in told.items())


def describe(heard: Heard) -> str:
    """Who was heard, how loud and how long, for an error message."""
    loudness = medians(heard)
    told = [
        f"{n} at {loudness[n]:.0f} dBFS in {share:.0%}" for n, share in shares(heard).items() if share > 0
    ]
    return f"heard {', '.join(told) or 'nobody'} in {len(heard.times)} frames"

"""How good a call sounds, estimated from loss and delay: the E-model. Pure.

Sources: ITU-T G.107 (06/2015), clauses 7.4 (delay), 7.5 (loss) and Annex B (R to MOS), with its default
values for all that RTCP does not tell; ITU-T G.113 Appendix I (05/2002, 11/2007) for what each codec costs.
"""

import math
from typing import NamedTuple

R_DEFAULT = 93.2
"""The rating with all parameters at their defaults (G.107, Table 3): no loss, no delay, G.711."""
_RO = 94.77
"""The basic signal-to-noise ratio with the defaults (G.107, clause 7.2)."""
_TELR_DB = 65.0
_WEPL_DB = 110.0


class Codec(NamedTuple):
    """What a codec costs: `ie` of the rating by itself, `bpl` how well it bears loss."""

    ie: float
    bpl: float


G711 = Codec(0.0, 25.1)
"""With the concealment of loss that phones have (G.711 Appendix I); without it `bpl` is 4.3."""
G729 = Codec(11.0, 19.0)
"""G.729A with silence suppression."""
G723 = Codec(15.0, 16.1)
"""G.723.1 at 6.3 kbit/s with silence suppression."""
GSM_EFR = Codec(5.0, 10.0)
"""GSM-EFR, which is also AMR at 12.2 kbit/s; the nearest there is for other codecs of such rates."""


def loss_impairment(loss: float, codec: Codec, burst_ratio: float = 1.0) -> float:
    """Return Ie,eff (G.107, equation 7-29); `loss` is a share, 0 to 1, `burst_ratio` 1 for random loss."""
    percent = 100 * loss
    return codec.ie + (95 - codec.ie) * percent / (percent / burst_ratio + codec.bpl)


def delay_impairment(one_way_ms: float) -> float:
    """Return Id (G.107, equations 7-18 to 7-28, defaults), as the difference to no delay."""
    return _talker_echo(one_way_ms) + _listener_echo(one_way_ms) - _listener_echo(0.0) + _late(one_way_ms)


def _talker_echo(delay_ms: float) -> float:
    hidden = 40 * math.log10((1 + delay_ms / 10) / (1 + delay_ms / 150))
    masked = _TELR_DB - hidden + 6 * math.exp(-0.3 * delay_ms * delay_ms)
    half = (_RO - (80 + 2.5 * (masked - 14))) / 2
    return (half + math.sqrt(half**2 + 100) - 1) * (1 - math.exp(-delay_ms))


def _listener_echo(delay_ms: float) -> float:
    half = (_RO - 10.5 * (_WEPL_DB + 7) / math.sqrt(math.sqrt(2 * delay_ms + 1))) / 2
    return half + math.sqrt(half**2 + 169)


def _late(delay_ms: float) -> float:
    if delay_ms <= 100:
        return 0.0
    x = math.log2(delay_ms / 100)
    return float(25 * ((1 + x**6) ** (1 / 6) - 3 * (1 + (x / 3) ** 6) ** (1 / 6) + 2))


def rating(loss: float, one_way_ms: float, codec: Codec = G711) -> float:
    """Return R, 0 to 93.2, of `loss` (a share, 0 to 1) and the one-way delay (G.107, equation 7-1)."""
    return max(0.0, R_DEFAULT - delay_impairment(one_way_ms) - loss_impairment(loss, codec))


def mos(r: float) -> float:
    """Return the mean opinion score, 1 to 4.5, of a rating R (G.107, Annex B, equation B-4)."""
    if r <= 6.52:  # below, the polynomial falls under 1 (it is the root between 0 and 100)
        return 1.0
    if r >= 100:
        return 4.5
    return 1 + 0.035 * r + 7e-6 * r * (r - 60) * (100 - r)

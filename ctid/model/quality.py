"""How audio travels, as its two ends report it."""

from msgspec import Struct


class Quality(Struct, frozen=True, kw_only=True, gc=False):
    """How the audio of one leg travels, by the reports of both its ends (RTCP, RFC 3550 section 6.4).

    `loss` is the share of packets lost, 0 to 1, of the worse direction in the last interval; `jitter_ms` the
    worse direction's; `round_trip_ms` none while no report tells it. `mos` is an estimate, 1 to 4.5, by the
    E-model of ITU-T G.107 from loss, codec and delay.
    """

    loss: float
    jitter_ms: float
    round_trip_ms: float | None
    mos: float

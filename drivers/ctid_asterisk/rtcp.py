"""RTCP as Asterisk tells it, an event for each report sent or received, into a leg's `Quality`. Pure.

A report tells of what its author received: `RTCPReceived` of the way to the phone, `RTCPSent` of the way from
it. Source: Asterisk 16 to 23, res/res_rtp_asterisk.c rtcp_message_payload; RFC 3550, section 6.4. No event
says which codec it is: a sender's own report tells what he sends in a second, and so the clock and the codec.
"""

from ctid.model.quality import Quality
from ctid_asterisk import quality
from ctid_asterisk.fields import number, whole
from ctid_asterisk.quality import G711, Codec

Fields = dict[str, str]

_CLOCKS = (8000, 16000, 32000, 44100, 48000, 90000)
_DEFAULT_CLOCK = 8000
"""Of G.711, G.722 (RFC 3551, 4.5.2), G.729, GSM and iLBC."""
_LEAST_S = 1.0
"""From less than a second of sending nothing is concluded."""
_CODECS = ((900, quality.G723), (1_200, quality.G729), (6_000, quality.GSM_EFR))
"""Codecs of telephone bandwidth by octets in a second of speech, each up to; above them is G.711.

Those of a wider band, of which the E-model of G.107 does not tell, are taken for it too.
"""


class _Way:
    """One direction: its last report, and what the sender of it has said of himself."""

    __slots__ = ("clock", "codec", "jitter", "loss", "sent")

    def __init__(self) -> None:
        self.loss = 0.0
        self.jitter = 0
        self.clock = _DEFAULT_CLOCK
        self.codec = G711
        self.sent: tuple[float, int, int, int] | None = None

    def says(self, fields: Fields) -> None:
        """Read what a sender's report says of what it sends; silence, and a report of none, are left."""
        if "sentntp" not in fields:
            return
        now = (
            number(fields["sentntp"]),
            whole(fields["sentrtp"]),
            whole(fields["sentoctets"]),
            whole(fields["sentpackets"]),
        )
        before, self.sent = self.sent, now
        if before is None or now[0] - before[0] < _LEAST_S:
            return
        seconds, ticks = now[0] - before[0], (now[1] - before[1]) & 0xFFFFFFFF
        octets, packets = now[2] - before[2], now[3] - before[3]
        near = min(_CLOCKS, key=lambda clock: abs(ticks / seconds - clock))
        if abs(ticks / seconds - near) < near / 10:
            self.clock = near
        if packets / seconds > 10:  # who sends fewer is silent for a part of the time
            self.codec = codec_of(octets / seconds) if self.clock == _DEFAULT_CLOCK else G711


def codec_of(octets_per_s: float) -> Codec:
    """The codec, or its like, that fills so many octets in a second."""
    return next((codec for bound, codec in _CODECS if octets_per_s < bound), G711)


class Reports:
    """What the reports of one leg tell; `told` is what was last said of it."""

    __slots__ = ("from_phone", "round_trip_s", "to_phone", "told")

    def __init__(self) -> None:
        self.to_phone = _Way()
        self.from_phone = _Way()
        self.round_trip_s: float | None = None
        self.told: Quality | None = None

    def read(self, fields: Fields, *, received: bool) -> Quality | None:
        """Read a report; returns the quality, when it is another one than was told last.

        Figures are rounded to what a person can tell apart, so that a steady call is told once.

        Raises:
            KeyError, ValueError: the event is not of its form.
        """
        sender, judged = (self.from_phone, self.to_phone) if received else (self.to_phone, self.from_phone)
        sender.says(fields)
        if whole(fields["reportcount"]) == 0:
            return None
        if int(fields["report0sourcessrc"], 16) == 0:
            return None  # a report on nobody: it has heard nothing yet
        lost = whole(fields["report0fractionlost"])
        if not 0 <= lost < 256:
            raise ValueError(f"{lost} is no share of 256")
        judged.loss = lost / 256
        judged.jitter = whole(fields["report0iajitter"])
        if received and number(fields["rtt"]) > 0:
            self.round_trip_s = number(fields["rtt"])
        found = self._quality()
        if found == self.told:
            return None
        self.told = found
        return found

    def _quality(self) -> Quality:
        one_way_ms = (self.round_trip_s or 0.0) * 500
        worst = min(
            quality.rating(way.loss, one_way_ms, way.codec) for way in (self.to_phone, self.from_phone)
        )
        return Quality(
            loss=round(max(self.to_phone.loss, self.from_phone.loss), 2),
            jitter_ms=float(
                round(max(1000 * way.jitter / way.clock for way in (self.to_phone, self.from_phone)))
            ),
            round_trip_ms=None if self.round_trip_s is None else float(round(1000 * self.round_trip_s)),
            mos=round(quality.mos(worst), 1),
        )

import pytest

from ctid.model.quality import Quality
from ctid_asterisk.quality import G711, G723, G729, GSM_EFR, Codec
from ctid_asterisk.rtcp import Reports, codec_of


def report(
    *, loss: int = 0, jitter: int = 0, rtt: str = "0.0000", count: int = 1, about: str = "0x5caa7f0d"
) -> dict[str, str]:
    """A receiver's report, as RTCPReceived tells it."""
    return {
        "rtt": rtt,
        "pt": "201(RR)",
        "reportcount": str(count),
        "report0sourcessrc": about,
        "report0fractionlost": str(loss),
        "report0iajitter": str(jitter),
    }


def sender(at: float, clock: int, packets: int, octets: int, **more: str) -> dict[str, str]:
    """A sender's report after so many seconds of sending."""
    sent = {
        "sentntp": f"{1795426434 + at:.6f}",
        "sentrtp": str(int(1776 + at * clock) & 0xFFFFFFFF),
        "sentpackets": str(packets),
        "sentoctets": str(octets),
    }
    return {**report(), "pt": "200(SR)", **sent, **more}


def test_the_first_report_tells_and_the_same_again_does_not() -> None:
    """A steady call is told once."""
    reports = Reports()
    assert reports.read(report(), received=True) == Quality(
        loss=0.0, jitter_ms=0.0, round_trip_ms=None, mos=4.4
    )
    assert reports.read(report(jitter=3), received=False) is None
    assert reports.told is not None


def test_the_worse_direction_counts() -> None:
    """Loss and jitter of either way, and the score of the worse one; the round trip when it is known."""
    reports = Reports()
    reports.read(report(loss=26, jitter=80), received=False)
    told = reports.read(report(loss=3, jitter=160, rtt="0.1500"), received=True)
    assert told is not None
    assert (told.loss, told.jitter_ms, told.round_trip_ms) == (0.1, 20.0, 150.0)
    assert told.mos == 3.3
    assert reports.read(report(loss=3, jitter=160, rtt="0.0000"), received=True) is None


@pytest.mark.parametrize("fields", [report(count=0), report(about="0x00000000", loss=255)])
def test_a_report_on_nobody_tells_nothing(fields: dict[str, str]) -> None:
    """Who has heard nothing yet has nothing to say."""
    assert Reports().read(fields, received=True) is None


def test_the_clock_is_the_senders() -> None:
    """Jitter is in units of it: 480 are 60 ms at 8 kHz, and 10 ms at 48 kHz."""
    reports = Reports()
    assert reports.read(report(jitter=480), received=False) is not None
    assert reports.told is not None
    assert reports.told.jitter_ms == 60.0
    reports.read(sender(0, 48000, 0, 0), received=True)
    reports.read(sender(0.5, 48000, 25, 2000), received=True)
    reports.read(sender(5, 48000, 250, 15_000), received=True)
    assert reports.from_phone.clock == 48000
    assert reports.told.jitter_ms == 10.0
    assert reports.from_phone.codec == G711


def test_a_clock_that_is_none_is_left() -> None:
    """While a phone sends with pauses, its timestamps may jump."""
    reports = Reports()
    reports.read(sender(0, 30000, 0, 0), received=True)
    reports.read(sender(5, 20000, 20, 3200), received=True)
    assert (reports.from_phone.clock, reports.from_phone.codec) == (8000, G711)


@pytest.mark.parametrize(
    ("octets_per_s", "codec"), [(8000, G711), (4000, GSM_EFR), (1650, GSM_EFR), (1000, G729), (800, G723)]
)
def test_the_codec_is_told_by_its_rate(octets_per_s: int, codec: Codec) -> None:
    """What a sender fills in a second."""
    assert codec_of(octets_per_s) == codec
    reports = Reports()
    reports.read(sender(0, 8000, 0, 0), received=True)
    reports.read(sender(5, 8000, 250, 5 * octets_per_s), received=True)
    assert reports.from_phone.codec == codec


def test_what_is_no_number_is_refused() -> None:
    """An event of another form is no report."""
    with pytest.raises(ValueError, match="whole number"):
        Reports().read({**report(), "report0iajitter": "much"}, received=True)
    with pytest.raises(KeyError):
        Reports().read({}, received=True)

import pytest

from ctid_asterisk.quality import (
    G711,
    G723,
    G729,
    GSM_EFR,
    Codec,
    delay_impairment,
    loss_impairment,
    mos,
    rating,
)


@pytest.mark.parametrize(("r", "score"), [(90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58)])
def test_from_r_to_mos(r: float, score: float) -> None:
    """The recommendation's own table (G.107, Annex B, Table B.1)."""
    assert mos(r) == pytest.approx(score, abs=0.0075)


@pytest.mark.parametrize(
    ("r", "score"), [(-3, 1.0), (0, 1.0), (6.5, 1.0), (100, 4.5), (120, 4.5), (93.2, 4.41)]
)
def test_the_ends_of_the_scale(r: float, score: float) -> None:
    """Below and above it is flat; the default rating of 93.2 is 4.41 (G.107, Annex B and Table 3)."""
    assert mos(r) == pytest.approx(score, abs=0.005)


def test_it_never_falls_with_r() -> None:
    """A better rating is no worse a score."""
    scores = [mos(r / 10) for r in range(1010)]
    assert scores == sorted(scores)
    assert min(scores) == 1.0


@pytest.mark.parametrize(
    ("loss", "codec", "expected"),
    [
        (0.0, G711, 0.0),
        (0.0, G729, 11.0),
        (0.0, G723, 15.0),
        (0.0, GSM_EFR, 5.0),
        (0.251, G711, 95 / 2),
        (0.19, G729, 11 + 84 / 2),
        (0.043, Codec(0.0, 4.3), 95 / 2),
    ],
)
def test_loss_costs_half_of_what_is_left_at_bpl(loss: float, codec: Codec, expected: float) -> None:
    """Ie,eff of equation 7-29: Ie without loss, and halfway to 95 where the loss in percent is Bpl."""
    assert loss_impairment(loss, codec) == pytest.approx(expected)


def test_loss_in_bursts_costs_more() -> None:
    """With twice the burst ratio the denominator has half of the loss."""
    assert loss_impairment(0.1, G711, 2.0) == pytest.approx(95 * 10 / (5 + 25.1))


@pytest.mark.parametrize("delay", [0, 50, 100, 150, 177.3, 200, 250, 300])
def test_delay_costs_what_is_published(delay: float) -> None:
    """The straight lines by which Cole and Rosenbluth (2001) render the curve of G.107 up to 300 ms."""
    lines = 0.024 * delay + 0.11 * max(0.0, delay - 177.3)
    assert delay_impairment(delay) == pytest.approx(lines, abs=1.2)


def test_the_rating_of_a_good_and_of_a_bad_line() -> None:
    """93.2 is the best there is, and it does not fall below nothing."""
    assert rating(0.0, 0.0) == 93.2
    assert rating(0.05, 150.0) == pytest.approx(93.2 - 15.8 - 3.7, abs=0.2)
    assert rating(1.0, 5000.0, Codec(30.0, 4.3)) == 0.0

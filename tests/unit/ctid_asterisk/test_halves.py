from ctid_asterisk.halves import Halves, far_halves, identifies


def test_ids_of_a_far_half() -> None:
    """It is made right after the first, or soon; ids that were chosen, or are none, have none."""
    assert far_halves("pbx-1795426308.7")[:3] == ("pbx-1795426308.8", "pbx-1795426309.8", "pbx-1795426308.9")
    assert far_halves("9.7")[-1] == "10.10"
    odd = ("ctid-abc", "x.y", "5.y", "x.5", "5." + "9" * 5000)
    assert [far_halves(unique) for unique in odd] == [()] * len(odd)


def test_numbers_of_nobody() -> None:
    """A number is one that somebody can have alone."""
    assert [number for number in ("", "anonymous", "0000", "3001", "+491") if identifies(number)] == [
        "3001",
        "+491",
    ]


def test_the_next_id_is_the_half() -> None:
    """Whatever number it comes with; a leg that nothing is known of is its own."""
    halves = Halves({}, {"5.4"}, {})
    halves.connected("5.0", "desk", "5.3")
    halves.entered("5.4", "anonymous")
    assert (halves.caller("5.4"), halves.caller("5.9"), halves.strange) == ("5.0", "5.9", set())

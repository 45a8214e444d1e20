from ctid.webhooks.popping import WORDS, filled, places_of


def test_places_are_filled() -> None:
    """Each word is encoded, so that a caller's name adds nothing to the URL; what was not told is empty."""
    told = {"number": "+33 6", "name": "A&b=/ä", "queue": None}
    url = filled("https://crm/?n={number}&a={name}&q={queue}&c={call}", told)
    assert url == "https://crm/?n=%2B33%206&a=A%26b%3D%2F%C3%A4&q=&c="


def test_places() -> None:
    """The words in braces, known or not."""
    assert places_of("x{number}{}{shoe}") == ("number", "", "shoe")
    assert "number" in WORDS

from typing import Any

import pytest

from ctid.ports import SettingsError
from ctid_asterisk.settings import read_settings

LEAST = {"username": "ctid", "secret": "s"}


def test_user_and_secret_are_enough() -> None:
    """All else has a default that fits an Asterisk on the same machine."""
    settings = read_settings(LEAST)
    assert (settings.host, settings.port, settings.tls, settings.filter_at_source) == (
        "127.0.0.1",
        5038,
        False,
        True,
    )
    assert settings.takeover_context == "ctid-takeover"
    assert settings.quality
    assert settings.ari is None


def test_ari_is_a_table_of_its_own() -> None:
    """Its keys have defaults as well."""
    settings = read_settings({**LEAST, "ari": {"username": "ctid", "password": "p"}})
    assert settings.ari is not None
    assert (settings.ari.url, settings.ari.app) == ("http://127.0.0.1:8088", "ctid")


@pytest.mark.parametrize(
    ("given", "path", "word"),
    [
        ({"username": "ctid"}, "", "secret"),
        ({**LEAST, "port": "5038"}, "port", "int"),
        ({**LEAST, "hots": "pbx"}, "", "hots"),
        ({**LEAST, "ari": {"username": "u", "password": "p", "urls": ""}}, "ari", "urls"),
        ({**LEAST, "ari": {"username": "u", "password": 7}}, "ari.password", "str"),
    ],
)
def test_a_wrong_key_is_named(given: dict[str, Any], path: str, word: str) -> None:
    """A missing, unknown or mistyped key is refused with where it is and what is wrong with it."""
    with pytest.raises(SettingsError) as refused:
        read_settings(given)
    assert refused.value.path == path
    assert word in refused.value.message

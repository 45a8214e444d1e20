import pytest

from ctid.model.words import Mode
from ctid_asterisk.versions import faults, warnings


@pytest.mark.parametrize(
    "version", ["22.11.0", "22.11.0-rc1", "20.21.0", "23.5.0~dfsg", "certified/20.21-cert1"]
)
def test_known_bad(version: str) -> None:
    """Whispering and speaking to both do harm there; listening does not."""
    (warning,) = warnings(version)
    assert "asterisk/asterisk#2134" in warning
    assert version in warning
    assert [bool(faults(version, mode)) for mode in Mode] == [
        mode in (Mode.WHISPER, Mode.BARGE) for mode in Mode
    ]


@pytest.mark.parametrize(
    "version", ["22.10.1+dfsg", "22.1.0", "20.20.0", "23.4.1", "18.26.0", "16.28", "GIT-master", ""]
)
def test_not_known_to_be_bad(version: str) -> None:
    """Nor is one that it cannot read."""
    assert faults(version) == ()
    assert warnings(version) == ()

import pytest

from ctid.model.words import Mode
from ctid_asterisk.versions import FAULTS, faults, refusals, warnings

WHISPER_HOOK = "asterisk/asterisk#2134"
LOCKS_UP = "asterisk/asterisk#1928"
CRASHES = "ASTERISK-29604"
CRACKLES = "asterisk/asterisk#1279"
GAPS = "asterisk/asterisk#851"
GROWS = "asterisk/asterisk#1638"


@pytest.mark.parametrize(
    ("version", "sources"),
    [
        ("16.28.0~dfsg-0+deb11u4", {CRASHES, GAPS, GROWS}),
        ("certified/16.8-cert14", {CRASHES, GAPS, GROWS}),
        ("18.16.0", {CRASHES, GAPS, GROWS}),
        ("18.26.4", {GAPS, GROWS}),
        ("20.1.0", {CRASHES, GAPS, GROWS}),
        ("20.11.1", {GAPS, GROWS}),
        ("certified-20.7-cert8", {GAPS, GROWS}),
        ("20.12.0", {CRACKLES, GROWS}),
        ("21.6.1", {GAPS, GROWS}),
        ("21.9.0", {CRACKLES, GROWS}),
        ("22.4.1", {CRACKLES, GROWS}),
        ("22.5.0", {GROWS}),
        ("20.19.0", {LOCKS_UP}),
        ("22.9.0", {LOCKS_UP}),
        ("23.3.0", {LOCKS_UP}),
        ("20.21.0", {WHISPER_HOOK}),
        ("22.11.0-rc1", {WHISPER_HOOK}),
        ("23.5.0~dfsg", {WHISPER_HOOK}),
    ],
)
def test_known_bad(version: str, sources: set[str]) -> None:
    """Each fault is told with the version, its source and its cure."""
    assert {fault.source for fault in faults(version)} == sources
    told = warnings(version)
    assert len(told) == len(sources)
    for fault, warning in zip(faults(version), told, strict=True):
        assert warning.startswith(f"Asterisk {version}, ")
        assert fault.source in warning
        assert warning.endswith(fault.cure)


@pytest.mark.parametrize(
    "version",
    ["22.10.1+dfsg", "22.8.2", "20.20.0", "23.4.1", "certified-22.8-cert4", "24.0.0", "GIT-master", ""],
)
def test_not_known_to_be_bad(version: str) -> None:
    """Nor is one that it cannot read."""
    assert faults(version) == ()
    assert warnings(version) == ()


@pytest.mark.parametrize("version", ["22.11.0", "20.21.0", "23.5.0", "certified/20.21-cert1"])
def test_refused(version: str) -> None:
    """Whispering and speaking to both do harm there; listening does not."""
    refused = [mode for mode in Mode if refusals(version, mode)]
    assert refused == [Mode.WHISPER, Mode.BARGE]
    assert warnings(version)[0].startswith(f"Asterisk {version}, barge and whisper: ")


@pytest.mark.parametrize("version", ["16.28.0", "18.10.0", "20.19.0", "22.2.0", "22.10.1", "nonsense"])
def test_warned_only(version: str) -> None:
    """What costs hearing or memory, or happens now and then, refuses nothing."""
    assert [mode for mode in Mode if refusals(version, mode)] == []


def test_a_cure_is_not_another_bad_version() -> None:
    """No release that a cure names is refused, and none has the fault that it cures."""
    for fault in FAULTS:
        for word in fault.cure.replace(",", " ").split():
            if word[0].isdigit():
                assert fault not in faults(word)
                assert not any(refusals(word, mode) for mode in Mode)

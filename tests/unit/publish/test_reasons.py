import ssl

import pytest

from ctid.publish import reasons


@pytest.mark.parametrize(
    ("code", "words", "told"),
    [
        (0x84, "", "Unsupported protocol version"),
        (5, "", "Not authorized: check mqtt.username and mqtt.password"),
        (0x8B, "bye", "Server shutting down (bye)"),
        (0xF0, "", "code 0xf0"),
    ],
)
def test_refusals(code: int, words: str, told: str) -> None:
    """A broker's code in words, with its own, and with the cure."""
    assert reasons.of_refusal(code, words) == told


def test_versions() -> None:
    """Either version's way to refuse the other."""
    assert reasons.is_version(1)
    assert reasons.is_version(0x84)
    assert not reasons.is_version(0x87)


def _certificate(code: int, message: str = "odd") -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError()
    error.verify_code, error.verify_message = code, message
    return error


def _alert(reason: str | None, text: str = "") -> ssl.SSLError:
    error = ssl.SSLError(1, text)
    if reason is not None:
        error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (_certificate(10), "it has expired"),
        (_certificate(20), "mqtt.tls_ca"),
        (_certificate(62), "not for that host"),
        (_certificate(64), "not for that address"),
        (_certificate(99), "odd"),
        (_alert("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "set mqtt.tls_cert and mqtt.tls_key"),
        (_alert("TLSV1_ALERT_UNKNOWN_CA"), "does not know the authority of mqtt.tls_cert"),
        (_alert("WRONG_VERSION_NUMBER"), "speaks no TLS at that port"),
        (_alert("STRANGE"), "TLS failed: STRANGE"),
        (_alert(None, "strange"), "strange"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (OSError("no such host"), "no such host"),
        (OSError(), "connection lost"),
    ],
)
def test_failures(error: Exception, words: str) -> None:
    """What the system or TLS says, with the cure where there is one."""
    assert words in reasons.of_failure(error)


def test_silence() -> None:
    """Who hangs up without a word may want what was not given."""
    assert "mqtt.tls_cert" in reasons.of_silence(is_tls=True)
    assert "mqtts://" in reasons.of_silence(is_tls=False)

"""Why there is no broker, in words that name the cure. Pure."""

import ssl

_CODES = {
    1: "Unsupported protocol version",
    2: "Client identifier not valid",
    3: "Server unavailable",
    4: "Bad user name or password: check mqtt.username and mqtt.password",
    5: "Not authorized: check mqtt.username and mqtt.password",
    0x80: "Unspecified error",
    0x81: "Malformed packet",
    0x82: "Protocol error",
    0x84: "Unsupported protocol version",
    0x85: "Client identifier not valid",
    0x86: "Bad user name or password: check mqtt.username and mqtt.password",
    0x87: "Not authorized: check mqtt.username and mqtt.password, and the broker's access list",
    0x88: "Server unavailable",
    0x89: "Server busy",
    0x8A: "Banned",
    0x8B: "Server shutting down",
    0x8D: "Keep alive timeout",
    0x8E: "Session taken over: another program connects under ctid's client identifier",
    0x90: "Topic name invalid",
    0x93: "Receive maximum exceeded",
    0x95: "Packet too large",
    0x97: "Quota exceeded",
    0x98: "Administrative action",
    0x9A: "Retain not supported",
    0x9B: "QoS not supported",
    0x9C: "Use another server",
    0x9D: "Server moved",
    0x9F: "Connection rate exceeded",
}
"""What a broker answers to CONNECT, or ends a connection with (MQTT 5.0, 2.4; below 0x80 3.1.1, 3.2.2.3)."""
_VERSION = (1, 0x84)

_EXPIRED, _NOT_YET, _SELF_SIGNED, _SELF_SIGNED_ABOVE, _NO_ISSUER, _NAME, _ADDRESS = 10, 9, 18, 19, 20, 62, 64
_UNKNOWN = "its authority is not known here: name the authority's certificate in mqtt.tls_ca"
_CERTIFICATE = {
    _EXPIRED: "it has expired: the broker needs a new one",
    _NOT_YET: "it is not valid yet: check both machines' clocks",
    _SELF_SIGNED: "it vouches for itself: name it in mqtt.tls_ca",
    _SELF_SIGNED_ABOVE: _UNKNOWN,
    _NO_ISSUER: _UNKNOWN,
    _NAME: "it is not for that host: mqtt.url must have a name that stands in it",
    _ADDRESS: "it is not for that address: mqtt.url must have a name that stands in it",
}
"""What is wrong with the broker's certificate, by OpenSSL's code (openssl-verification-options(1))."""

_ALERTS = {
    "CERTIFICATE_REQUIRED": "the broker wants a client certificate: set mqtt.tls_cert and mqtt.tls_key",
    "HANDSHAKE_FAILURE": "the broker may want a client certificate: set mqtt.tls_cert and mqtt.tls_key",
    "UNKNOWN_CA": "the broker does not know the authority of mqtt.tls_cert: one that it trusts must sign it",
    "CERTIFICATE_EXPIRED": "mqtt.tls_cert has expired: make a new one",
    "CERTIFICATE_REVOKED": "mqtt.tls_cert was revoked: make a new one",
    "BAD_CERTIFICATE": "the broker does not accept mqtt.tls_cert",
    "WRONG_VERSION_NUMBER": "the broker speaks no TLS at that port: check the port, or use mqtt://",
}
"""What ends TLS, as OpenSSL's reasons name it."""


def of_refusal(code: int, words: str) -> str:
    """Why a broker says no, or goodbye; `words` are its own."""
    told = _CODES.get(code, f"code {code:#04x}")
    return f"{told} ({words})" if words else told


def is_version(code: int) -> bool:
    """Whether a broker refuses this version of MQTT."""
    return code in _VERSION


def of_silence(*, is_tls: bool) -> str:
    """Why a broker may hang up on CONNECT without a word."""
    if is_tls:
        # Its alert may be lost: in TLS 1.3 it judges the client's certificate after the client's first words.
        return (
            "the broker hung up; it may not accept mqtt.tls_cert: expired, or of an authority unknown to it"
        )
    return "the broker hung up; it may want TLS (mqtts://), or speak another protocol there"


def of_failure(error: Exception) -> str:
    """Why a connection could not be made, or broke."""
    if isinstance(error, ssl.SSLCertVerificationError):
        cure = _CERTIFICATE.get(error.verify_code, error.verify_message)
        return f"the broker's certificate is refused (CERTIFICATE_VERIFY_FAILED): {cure}"
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "reason", None) or str(error)
        told = [cure for alert, cure in _ALERTS.items() if alert in reason]
        return f"TLS failed ({reason}): {told[0]}" if told else f"TLS failed: {reason}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or "connection lost"

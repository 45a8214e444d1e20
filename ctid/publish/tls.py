"""TLS to the broker, from the files that the configuration names."""

import os
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from ctid.config import MqttConfig


class TlsUnusable(Exception):
    """A file of the configuration cannot be used; the message names it, and the cure."""


def context_of(config: MqttConfig) -> ssl.SSLContext | None:
    """What `mqtts://` is to be spoken with; none for `mqtt://`.

    The files are read anew at each call, so that a renewed certificate is in force at the next connection.

    Raises:
        TlsUnusable: a file is not there, may not be read, or is not what it is to be.
    """
    if urlsplit(config.url).scheme != "mqtts":
        return None
    try:
        context = ssl.create_default_context(cafile=str(_path(config.tls_ca)) if config.tls_ca else None)
    except (OSError, ssl.SSLError) as error:
        cure = "it must hold the authority's certificate as PEM, and be readable for ctid"
        raise TlsUnusable(f"mqtt.tls_ca: {config.tls_ca}: {_why(error)}; {cure}") from error
    if config.tls_cert:
        key = config.tls_key or config.tls_cert
        try:
            context.load_cert_chain(_path(config.tls_cert), _path(key), password="")
        except (OSError, ssl.SSLError) as error:
            cure = "they must hold a certificate and its key without a passphrase as PEM, readable for ctid"
            raise TlsUnusable(
                f"mqtt.tls_cert, mqtt.tls_key: {config.tls_cert}, {key}: {_why(error)}; {cure}"
            ) from error
    return context


def _path(name: str) -> Path:
    """A file by its path; what is not absolute is in `$CREDENTIALS_DIRECTORY` (systemd.exec(5))."""
    return Path(os.environ.get("CREDENTIALS_DIRECTORY", "")) / name


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or str(error)
    return error.strerror or str(error)

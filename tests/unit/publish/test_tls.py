import ssl
from pathlib import Path

import msgspec
import pytest

from ctid.config import MqttConfig
from ctid.publish.tls import TlsUnusable, context_of


def test_without_tls() -> None:
    """`mqtt://` has none."""
    assert context_of(MqttConfig(url="mqtt://broker")) is None


def test_the_machines_authorities() -> None:
    """`mqtts://` checks certificate and name, whatever else is configured."""
    context = context_of(MqttConfig(url="mqtts://broker"))
    assert context is not None
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("key", "content", "words"),
    [
        ("tls_ca", None, "mqtt.tls_ca: .*: No such file"),
        ("tls_ca", "no pem", "mqtt.tls_ca: .*; it must hold the authority's certificate as PEM"),
        ("tls_cert", None, "mqtt.tls_cert, mqtt.tls_key: .*: No such file"),
        ("tls_cert", "no pem", "mqtt.tls_cert, mqtt.tls_key: .*without a passphrase as PEM"),
    ],
)
@pytest.mark.parametrize("relative", [False, True])
def test_files_that_cannot_be_used(
    key: str,
    content: str | None,
    words: str,
    relative: bool,  # noqa: FBT001 - of the table
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The key of the configuration, the file, and the cure; a name alone is one of systemd's credentials."""
    if content is not None:
        (tmp_path / "file").write_text(content)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    name = "file" if relative else str(tmp_path / "file")
    with pytest.raises(TlsUnusable, match=words):
        context_of(msgspec.structs.replace(MqttConfig(url="mqtts://broker"), **{key: name}))

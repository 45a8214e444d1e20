"""A mosquitto with the files that are shipped, as they are but for their paths and ports."""

import base64
import hashlib
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from ctid.model.users import UserRole
from e2e.publishing import Broker
from lab.config import CHECKOUT

SHIPPED = CHECKOUT / "config" / "mosquitto"
ROLES = tuple(str(role) for role in UserRole)
"""The users of the shipped access list beside ctid's own."""


def hashed(user: str) -> str:
    """A line of mosquitto's password file: PBKDF2 with SHA-512; the password is the name."""
    salt = os.urandom(12)
    digest = hashlib.pbkdf2_hmac("sha512", user.encode(), salt, 101)
    return f"{user}:$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def shipped_broker(folder: Path, users: Iterable[str] = ("ctid", *ROLES), *, tls: bool = False) -> Broker:
    """A broker, not started, with the shipped `ctid.conf` and `ctid.acl`; each user's password is its name.

    With `tls` the lines of the listener with TLS are in force, and clients need certificates: `Authority`
    has made them in the folder.
    """
    (folder / "ctid.passwd").write_text("".join(f"{hashed(user)}\n" for user in users))
    (folder / "ctid.acl").write_text((SHIPPED / "ctid.acl").read_text())
    for name in ("ctid.passwd", "ctid.acl"):
        (folder / name).chmod(0o600)
    broker = Broker(folder)
    text = (SHIPPED / "ctid.conf").read_text()
    plain, _, secured = text.partition("#listener 8883")
    if tls:
        lines = [line.removeprefix("#") for line in secured.splitlines() if not line.startswith("# ")]
        plain = plain.replace("listener 1883 127.0.0.1", "").replace("password_file", "#password_file")
        text = "\n".join([plain, f"listener {broker.port} 127.0.0.1", *lines])
    text = text.replace("listener 1883 127.0.0.1", f"listener {broker.port} 127.0.0.1")
    text = text.replace("/etc/mosquitto/", f"{folder}/").replace("/var/lib/mosquitto/", f"{folder}/")
    (folder / "mosquitto.conf").write_text(f"{text}\nuser root\n")
    if tls:
        broker.url = f"mqtts://localhost:{broker.port}"
    return broker


class Authority:
    """Makes certificates with openssl, as `<name>.crt` and `<name>.key` in a folder; its own has its name."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self._name = name
        self._run(f"req -x509 -days 2 {_NEW} -subj /CN={name} -keyout {name}.key -out {name}.crt")

    def issue(self, name: str, common_name: str, host: str = "", *, days: int = 2) -> None:
        """A certificate for a client, or for the server of a host; with `days` below 0 it has expired."""
        self._run(f"req -new {_NEW} -subj /CN={common_name} -keyout {name}.key -out {name}.csr")
        extra = f"subjectAltName=DNS:{host}\n" if host else "basicConstraints=CA:FALSE\n"
        (self._folder / f"{name}.ext").write_text(extra)
        signer = f"-CA {self._name}.crt -CAkey {self._name}.key -CAcreateserial"
        self._run(f"x509 -req -in {name}.csr {signer} -days {days} -extfile {name}.ext -out {name}.crt")

    def _run(self, words: str) -> None:
        subprocess.run(["openssl", *words.split()], cwd=self._folder, check=True, capture_output=True)  # noqa: S603, S607 - words of this file


_NEW = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"

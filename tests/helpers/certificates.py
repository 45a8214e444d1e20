"""Certificates made by OpenSSL's own program, for tests."""

import subprocess
from pathlib import Path


def openssl(*arguments: str | Path) -> str:
    """Run it; returns what it prints."""
    command = ["openssl", *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - the tests' own words
    return done.stdout


def issue(folder: Path, name: str, days: int = 100) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 that vouches for itself, and its key, both PEM."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    names = ("-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1")
    openssl("req", "-x509", *curve, "-keyout", key, "-out", cert, "-days", str(days), *names)
    return cert, key

"""The server's certificate: read when it starts, and again when its files change, without a restart."""

import asyncio
import ssl
from pathlib import Path

import structlog
from cryptography import x509
from msgspec import Struct

from ctid.model.instant import Instant, to_rfc3339
from ctid.ports import Clock

log = structlog.get_logger(__name__)

WATCHED_S = 5.0
"""How often the files are looked at, in seconds."""
DAY_S = 86_400.0
SOON_S = 14 * DAY_S

_Signature = tuple[tuple[int, int, int], ...] | None


class BadCertificate(Exception):
    """The certificate or its key cannot be used; the text says why, and the cure."""


class CertificateStatus(Struct, frozen=True, kw_only=True):
    """The certificate that clients are shown."""

    expires_at: Instant
    loaded_at: Instant
    """When it was read."""
    problem: str
    """Why the files, as they are now, could not be used, so that the one before is still shown; or empty."""


def context_of(certificate: Path, key: Path) -> tuple[ssl.SSLContext, Instant]:
    """Read a certificate with its chain, and its key, both PEM; returns until when it is valid as well.

    At least TLS 1.2, with the ciphers of the library.

    Raises:
        BadCertificate: they cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
        shown = x509.load_pem_x509_certificate(certificate.read_bytes())
        expires_at = Instant(shown.not_valid_after_utc.timestamp())
    except ssl.SSLError as error:
        cure = "tls_cert must be PEM with the server's certificate first, and tls_key its key, unencrypted"
        reason = error.reason or "not PEM"
        raise BadCertificate(f"{certificate} and {key} cannot be used ({reason}); {cure}") from error
    except OSError as error:
        raise BadCertificate(
            f"{error.filename or certificate} cannot be read ({error.strerror}); ctid's user must be able to"
        ) from error
    except ValueError as error:
        raise BadCertificate(f"{certificate} holds no certificate ({error})") from error
    return context, expires_at


def _no_password() -> str:
    # Without this OpenSSL would ask for it on the terminal.
    return ""


class Certificate:
    """What the server shows; `server_context` stays the same while what stands behind it changes.

    Raises:
        BadCertificate: it cannot be used at all.
    """

    def __init__(self, certificate: Path, key: Path, clock: Clock) -> None:
        self._files = (certificate, key)
        self._clock = clock
        self._seen = self._tried = self._signature()
        self._current, expires_at = context_of(certificate, key)
        self._status = CertificateStatus(expires_at=expires_at, loaded_at=Instant(clock.now()), problem="")
        self._warned_at = 0.0
        self.server_context, _ = context_of(certificate, key)
        # Called in each handshake, with or without a name (OpenSSL's final step of that extension): a new
        # certificate takes over whole, between two handshakes, and connections go on with theirs.
        self.server_context.sni_callback = self._show

    def _show(
        self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext
    ) -> None:
        connection.context = self._current

    def status(self) -> CertificateStatus:
        """How it stands."""
        return self._status

    def reload(self) -> None:
        """Read the files anew; what cannot be used is told, and changes nothing."""
        self._seen = self._tried = self._signature()
        now = Instant(self._clock.now())
        try:
            self._current, expires_at = context_of(*self._files)
        except BadCertificate as error:
            before = self._status
            self._status = CertificateStatus(
                expires_at=before.expires_at, loaded_at=before.loaded_at, problem=str(error)
            )
            log.warning("certificate not taken, the one before stays", problem=str(error))
            return
        self._status = CertificateStatus(expires_at=expires_at, loaded_at=now, problem="")
        log.info("certificate read", expires_at=to_rfc3339(expires_at))

    async def watch(self, every_s: float = WATCHED_S) -> None:
        """Read the files anew when they have changed, and warn daily of a certificate that ends, for ever."""
        while True:
            self._warn()
            await asyncio.sleep(every_s)
            self.look()

    def look(self) -> None:
        """Read the files if they have changed, but not since the last look: both are written by now."""
        before, self._seen = self._seen, self._signature()
        if self._seen == before and self._seen != self._tried:
            self.reload()

    def _warn(self) -> None:
        now = self._clock.now()
        if self._status.expires_at - now < SOON_S and now - self._warned_at >= DAY_S:
            self._warned_at = now
            said = "certificate expires soon" if self._status.expires_at > now else "certificate has expired"
            log.warning(said, expires_at=to_rfc3339(self._status.expires_at), cure="renew http.tls_cert")

    def _signature(self) -> _Signature:
        try:
            told = [path.stat() for path in self._files]
        except OSError:
            return None
        return tuple([(one.st_mtime_ns, one.st_size, one.st_ino) for one in told])

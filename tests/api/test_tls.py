"""TLS by ctid itself: what is spoken, and a certificate that changes while it runs."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
import uvloop

from api.support import Floor, eventually, token_of
from ctid.api.context import Web
from ctid.api.tls import BadCertificate, Certificate, context_of
from ctid.clock import SystemClock
from helpers.certificates import issue, openssl

DAY_S = 86_400


def put(pair: tuple[Path, Path], folder: Path) -> None:
    """Have a certificate be the server's, as who renews one does: both files anew, under the same names."""
    for source, name in zip(pair, ("tls.pem", "tls.key"), strict=True):
        fresh = folder / f"{name}.new"
        fresh.write_bytes(source.read_bytes())
        fresh.rename(folder / name)


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    """The server's certificate, called `first`."""
    put(issue(tmp_path, "first"), tmp_path)
    return Certificate(tmp_path / "tls.pem", tmp_path / "tls.key", SystemClock())


@pytest.fixture
async def floor(certificate: Certificate) -> AsyncIterator[Floor]:
    """A floor behind TLS."""
    async with Floor(web=Web(certificate=certificate)) as running:
        await running.populate()
        yield running


def trusting(path: Path) -> ssl.SSLContext:
    """A client that trusts one certificate alone."""
    return ssl.create_default_context(cafile=path)


async def shown(floor: Floor, server_name: str | None = None) -> str:
    """Whose certificate a client is shown."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    host, port = floor.server.address
    _, writer = await asyncio.open_connection(host, port, ssl=client, server_hostname=server_name or host)
    connection = writer.get_extra_info("ssl_object")
    names = [
        name for name in ("first", "second") if name.encode() in connection.getpeercert(binary_form=True)
    ]
    writer.close()
    return names[0]


async def test_all_of_it_by_tls(floor: Floor, tmp_path: Path) -> None:
    """Requests, the WebSocket and server-sent events go by TLS, which is checked; in clear nothing does."""
    client = trusting(tmp_path / "first.pem")
    headers = {"Authorization": f"Bearer {token_of('viewer')}"}
    async with floor.http.get("/api/v1/agents", headers=headers, ssl=client) as reply:
        assert reply.status == 200
    async with floor.http.ws_connect("/api/v1/events", headers=headers, ssl=client) as socket:
        assert (await socket.receive_json())["type"] == "snapshot"
    async with floor.http.get("/api/v1/events/stream", headers=headers, ssl=client) as stream:
        assert await stream.content.readline() == b"retry: 1000\n"
    in_clear = floor.url.replace("https:", "http:")
    with pytest.raises(aiohttp.ClientError):
        await floor.http.get(f"{in_clear}/healthz")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
async def test_old_versions_are_refused(floor: Floor, tmp_path: Path) -> None:
    """Less than TLS 1.2 is not spoken."""
    old = trusting(tmp_path / "first.pem")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(aiohttp.ClientConnectorError):
        await floor.http.get("/healthz", ssl=old)


async def test_a_new_certificate_without_a_restart(floor: Floor, tmp_path: Path) -> None:
    """New connections are shown the new one, with and without a name; those that are open go on."""
    certificate = floor.context.web.certificate
    assert certificate is not None
    headers = {"Authorization": f"Bearer {token_of('viewer')}"}
    socket = await floor.http.ws_connect(
        "/api/v1/events", headers=headers, ssl=trusting(tmp_path / "first.pem")
    )
    await socket.receive_json()
    assert [await shown(floor), await shown(floor, "ctid.example.com")] == ["first", "first"]
    put(issue(tmp_path, "second", days=7), tmp_path)
    floor.server.reload()
    assert [await shown(floor), await shown(floor, "ctid.example.com")] == ["second", "second"]
    await floor.pause("1002", "lunch")
    assert (await socket.receive_json())["type"] == "change"
    await socket.close()
    async with floor.http.get(
        "/api/v1/agents", headers=headers, ssl=trusting(tmp_path / "second.pem")
    ) as reply:
        assert reply.status == 200


@pytest.mark.parametrize("part", [test_all_of_it_by_tls, test_a_new_certificate_without_a_restart])
def test_in_the_loop_of_the_daemon(
    certificate: Certificate, tmp_path: Path, part: Callable[[Floor, Path], Awaitable[None]]
) -> None:
    """All this holds in the event loop that the daemon runs in, whose TLS is its own."""

    async def play() -> None:
        async with Floor(web=Web(certificate=certificate)) as floor:
            await floor.populate()
            await part(floor, tmp_path)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(play())


async def test_changed_files_are_taken_once_both_are_written(
    certificate: Certificate, tmp_path: Path
) -> None:
    """A change is taken once nothing has changed since the look before: a half-written pair is not."""
    first = certificate.status()
    put(issue(tmp_path, "second", days=7), tmp_path)
    certificate.look()
    assert certificate.status() == first
    certificate.look()
    assert (certificate.status().expires_at < first.expires_at, certificate.status().problem) == (True, "")
    taken = certificate.status()
    certificate.look()
    assert certificate.status() is taken


@pytest.mark.parametrize("fault", ["not PEM", "another's key", "gone"])
async def test_a_bad_certificate_changes_nothing(floor: Floor, tmp_path: Path, fault: str) -> None:
    """The one before is shown still, and the log and the status say why; a good one mends it."""
    certificate = floor.context.web.certificate
    assert certificate is not None
    if fault == "not PEM":
        (tmp_path / "tls.pem").write_text("nonsense")
    elif fault == "another's key":
        (tmp_path / "tls.key").write_bytes(issue(tmp_path, "second")[1].read_bytes())
    else:
        (tmp_path / "tls.key").unlink()
    watching = certificate.watch(every_s=0.01)
    task = asyncio.get_running_loop().create_task(watching)
    try:
        await eventually(lambda: certificate.status().problem)
        assert "tls." in certificate.status().problem
        assert await shown(floor) == "first"
        headers = {"Authorization": f"Bearer {token_of('admin')}"}
        client = trusting(tmp_path / "first.pem")
        async with floor.http.get("/api/v1/status", headers=headers, ssl=client) as reply:
            told = (await reply.json())["tls"]
        assert told["problem"] == certificate.status().problem
        put(issue(tmp_path, "second"), tmp_path)
        await eventually(lambda: not certificate.status().problem)
        assert await shown(floor) == "second"
    finally:
        task.cancel()


def test_until_when(tmp_path: Path) -> None:
    """The status tells when the certificate ends, of the first one in the file."""
    cert, key = issue(tmp_path, "first", days=7)
    chain = tmp_path / "chain.pem"
    chain.write_bytes(b"some words\n" + cert.read_bytes() + issue(tmp_path, "second")[0].read_bytes())
    told = openssl("x509", "-in", cert, "-noout", "-enddate")
    _, expires_at = context_of(chain, key)
    assert ssl.cert_time_to_seconds(told.strip().removeprefix("notAfter=")) == int(expires_at)


def test_a_certificate_that_ends_soon_is_told_daily(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two weeks before its end the log warns, once a day, and says as well when it is over."""

    class Clock:
        time = 0.0

        def now(self) -> float:
            return self.time

    clock = Clock()
    pair = issue(tmp_path, "first", days=20)
    clock.time = SystemClock().now()
    certificate = Certificate(*pair, clock)
    said = []
    for days in (0, 5, 7, 7.5, 8.5, 30):
        clock.time = certificate.status().expires_at - 20 * DAY_S + days * DAY_S
        certificate._warn()
        out = capsys.readouterr().out
        said.append("soon" if "expires soon" in out else "over" if "has expired" in out else "")
    assert said == ["", "", "soon", "", "soon", "over"]


@pytest.mark.parametrize("fault", ["gone", "a directory", "encrypted", "no certificate"])
def test_what_cannot_be_used_at_all(tmp_path: Path, fault: str) -> None:
    """At the start a bad certificate is told with its file and the cure."""
    cert, key = issue(tmp_path, "first")
    if fault == "gone":
        key.unlink()
    elif fault == "a directory":
        key.unlink()
        key.mkdir()
    elif fault == "encrypted":
        secret = tmp_path / "secret.key"
        openssl("pkcs8", "-topk8", "-in", key, "-out", secret, "-passout", "pass:x")
        key = secret
    else:
        cert.write_bytes(key.read_bytes())
    with pytest.raises(BadCertificate, match=r"first|secret|tls|directory"):
        Certificate(cert, key, SystemClock())

"""One POST of one letter, and what came of it; the only file of the room that speaks HTTP."""

import ssl
from collections.abc import Sequence

import aiohttp
from msgspec import Struct

from ctid import __version__
from ctid.config_schema import WebhookConfig
from ctid.webhooks.letters import Sent
from ctid.webhooks.signing import key_of, signed_headers
from ctid.webhooks.verdict import Verdict, asked_wait, verdict_on

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
MOST_OF_ANSWER = 1024
"""Bytes of an answer that are read."""


class Answer(Struct, frozen=True, kw_only=True):
    """What came of a POST. `status` is none when nothing answered; `problem` is empty when it arrived."""

    verdict: Verdict
    status: int | None = None
    asked_s: float = 0.0
    text: str = ""
    problem: str = ""


class Poster:
    """Sends to one webhook, until it is closed.

    It sends to the URL of the configuration alone: redirects are not followed, no proxy of the environment
    is used, no cookie is kept.

    Raises:
        OSError: `tls_ca` cannot be read, or holds no certificate (`ssl.SSLError` is one).
    """

    def __init__(self, config: WebhookConfig) -> None:
        self._url = config.url
        self._keys = keys_of(config)
        self._timeout_s = config.timeout_s
        self._tls = ssl.create_default_context(cafile=config.tls_ca) if config.tls_ca else True
        self._http: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Hang up; idempotent."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def post(self, letter: Sent, now: float) -> Answer:
        """Send a letter once; `now` is the time, in seconds of UTC."""
        self._http = self._http or self._session()
        headers = signed_headers(self._keys, letter.event, now, letter.body)
        try:
            async with self._http.post(
                self._url, data=letter.body, headers=headers, allow_redirects=False
            ) as answer:
                text = (await answer.content.read(MOST_OF_ANSWER)).decode("utf-8", "replace")
                return _judged(answer, text, now)
        except TimeoutError:
            return Answer(verdict=Verdict.AGAIN, problem=f"no answer within {self._timeout_s:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return Answer(verdict=Verdict.AGAIN, problem=str(error) or type(error).__name__)

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            headers={"User-Agent": f"ctid/{__version__}", "Content-Type": CONTENT_TYPE},
            auto_decompress=False,
        )


def keys_of(config: WebhookConfig) -> Sequence[bytes]:
    """The keys that a webhook signs with, the present one first."""
    return [key_of(secret) for secret in (config.secret, config.old_secret) if secret]


def _judged(answer: aiohttp.ClientResponse, text: str, now: float) -> Answer:
    verdict = verdict_on(answer.status)
    problem = (
        "" if verdict is Verdict.DELIVERED else f"answered {answer.status} {answer.reason or ''}".rstrip()
    )
    if 300 <= answer.status < 400:
        problem += f", and redirects are not followed (to {answer.headers.get('Location', 'nowhere')!r})"
    return Answer(
        verdict=verdict,
        status=answer.status,
        asked_s=asked_wait(answer.headers.get("Retry-After", ""), now),
        text=text,
        problem=problem,
    )

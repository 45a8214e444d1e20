"""A command that comes twice under one key is carried out once, and gets its first answer again.

The key is the client's own (`Idempotency-Key`), and one user's. Kept in memory: a restart forgets it.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from msgspec import Struct
from msgspec.structs import replace

from ctid.api.errors import KeyReused, OtherBoot, RateLimited
from ctid.model.errors import InvalidRequest

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
BOOT = "Ctid-Boot-Id"
"""Of an answer: which run of ctid it is from. Of a command: the run that it is for, which has its key."""
KEPT_S = 600.0
"""How long a key means the same request."""
MOST = 4096
"""Keys of one user. A further one is refused: to forget one early would let a command be done twice."""

_KEY = re.compile(r"[\x21-\x7e]{1,128}")


class Answer(Struct, frozen=True, kw_only=True):
    """What a carrier brings back: a JSON document; `code` is empty unless it is a problem."""

    status: int
    body: bytes
    code: str = ""
    retry_after_s: float | None = None
    """After how many seconds it may be asked for again; of a refusal that says so."""
    replayed: bool = False
    """It is the answer that the same key got before; nothing was done this time."""


def key_of(given: Sequence[str], field: str) -> str | None:
    """The key that a client gave in `field`, or none.

    Raises:
        InvalidRequest: there is more than one, or it is not 1 to 128 visible characters of ASCII.
    """
    if not given:
        return None
    if len(given) > 1 or not _KEY.fullmatch(given[0]):
        raise InvalidRequest(
            f"{field} must be one key of 1 to 128 visible ASCII characters, such as a UUID", field=field
        )
    return given[0]


def check_boot(wanted: str | None, boot_id: str) -> None:
    """See that a command that says for which run of ctid it is has come to that one.

    Raises:
        OtherBoot: its keys are forgotten here, and it might be carried out twice.
    """
    if wanted is not None and wanted != boot_id:
        raise OtherBoot(
            "ctid has begun anew and knows no keys of before: whether the command was carried out then is to "
            "be seen in the state"
        )


@dataclass(frozen=True, slots=True)
class _Kept:
    fingerprint: bytes
    until: float
    answer: asyncio.Future[Answer]


class Replays:
    """The commands of the last ten minutes that came with a key. `now` is the loop's clock, in seconds."""

    def __init__(self, now: Callable[[], float], most: int = MOST) -> None:
        self._now = now
        self._most = most
        self._of_user: dict[str, dict[str, _Kept]] = {}

    async def once(
        self, user: str, key: str, fingerprint: bytes, carry_out: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        """Carry a command out, or wait for the answer of the one that came before with this key.

        `fingerprint` stands for operation and parameters.

        Raises:
            KeyReused: the key came with another command.
            RateLimited: this user has too many keys.
        """
        kept = self._fresh(user)
        before = kept.get(key)
        if before is not None:
            if before.fingerprint != fingerprint:
                raise KeyReused(f"the key {key!r} came with another request; give each request its own")
            # Whoever stops waiting must not stop the others.
            return replace(await asyncio.shield(before.answer), replayed=True)
        if len(kept) >= self._most:
            wait_s = next(iter(kept.values())).until - self._now()
            raise RateLimited(f"{user} has {len(kept)} commands with a key in ten minutes", wait_s)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        kept[key] = _Kept(fingerprint, self._now() + KEPT_S, answer)
        try:
            answer.set_result(await carry_out())
        finally:
            if not answer.done():  # ctid stops: what it came to, nobody knows
                answer.cancel()
                del kept[key]
        return answer.result()

    def _fresh(self, user: str) -> dict[str, _Kept]:
        """The keys of a user, the oldest first, without those whose time is over."""
        kept = self._of_user.setdefault(user, {})
        now = self._now()
        while kept and next(iter(kept.values())).until <= now:
            del kept[next(iter(kept))]
        return kept

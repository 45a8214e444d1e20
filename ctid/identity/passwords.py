"""Passwords: which are good enough, and their hashes (argon2id, RFC 9106)."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from ctid.model.errors import CtidError, InvalidRequest

_Result = TypeVar("_Result")

SHORTEST, LONGEST = 12, 256
AT_ONCE = 2
"""Hashes being made: each takes 64 MiB and a core, and guessing must not starve the daemon."""
WAITING = 16
"""Beyond so many, those who come are told to come back."""


class Busy(CtidError):
    """Too many log in at once; nothing was tried."""

    code = "auth.busy"
    status = 503
    title = "Too many log in at once"


def check_password(name: str, password: str) -> None:
    """See that a new password is long enough, and not the name; no other rules (NIST SP 800-63B, 5.1.1.2).

    Raises:
        InvalidRequest: it is not.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidRequest(f"a password has {SHORTEST} to {LONGEST} characters", field="password")
    folded = password.casefold()
    if folded.replace(name.casefold(), "").strip("0123456789!?.-_ ") == "" or len(set(folded)) < 4:
        raise InvalidRequest("the password is the name, or one character again and again", field="password")


class Passwords:
    """Hashes and verifies in two threads of its own."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._threads = ThreadPoolExecutor(AT_ONCE, "passwords")
        self._under_way = 0
        self._nobody = ""

    async def open(self) -> None:
        """Make what passwords of nobody are compared with."""
        self._nobody = await self.hash("nobody's password")

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False)

    async def hash(self, password: str) -> str:
        """The hash to keep, with its parameters; raises Busy."""
        return await self._in_thread(lambda: self._hasher.hash(password))

    async def verify(self, kept: str, password: str) -> bool:
        """Whether a password is that of a hash; of an empty one it is not, as slowly. Raises Busy."""

        def verified() -> bool:
            try:
                self._hasher.verify(kept or self._nobody, password)
            except (VerifyMismatchError, InvalidHashError):
                return False
            return bool(kept)

        return await self._in_thread(verified)

    def is_outdated(self, kept: str) -> bool:
        """Whether a hash is of weaker parameters than those of today."""
        return self._hasher.check_needs_rehash(kept)

    async def _in_thread(self, work: Callable[[], _Result]) -> _Result:
        if self._under_way >= WAITING:
            raise Busy("too many log in at this moment; come back in a few seconds")
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._under_way -= 1

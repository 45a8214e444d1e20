"""A floor to measure on: a rig with the daemon beside it, phones, and the API as a supervisor."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from lab import daemon
from lab.phone_client import Phone
from lab.phones import Phones
from lab.rig import Rig

PATIENCE = 8.0
SUPERVISOR = "2001"
QUIET_S = 0.25
"""Before each measurement, for what the last one left behind to be done with."""


class Floor:
    """The rig, its phones, and the API."""

    def __init__(self, rig: Rig, phones: Phones, http: aiohttp.ClientSession) -> None:
        self.rig = rig
        self.phones = phones
        self._http = http
        self._url = f"http://127.0.0.1:{rig.ports.http}/api/v1"

    async def ask(self, method: str, path: str, body: object = None, *, status: int = 200) -> Any:
        """Send a request, and return the document of the answer, which must have this status."""
        async with self._http.request(method, self._url + path, json=body) as response:
            document = await response.json(content_type=None)
            assert response.status == status, (method, path, response.status, document)
            return document

    async def supervise(self, agent: str, mode: str = "listen") -> str:
        """Step in by the supervisor's phone; returns the session's id."""
        body = {"agent": agent, "mode": mode, "via": {"phone": SUPERVISOR}, "purpose": "quality"}
        return str((await self.ask("POST", "/supervisions", body, status=201))["id"])

    async def switch(self, session: str, mode: str) -> None:
        """Switch a session's mode; returns when ctid says that it is in force."""
        await self.ask("PATCH", f"/supervisions/{session}", {"mode": mode})

    async def end(self, session: str) -> None:
        """End a session."""
        await self.ask("DELETE", f"/supervisions/{session}")

    async def talk(self, customer: Phone, agent: Phone, number: str) -> None:
        """Have the customer call a number and the agent answer; returns when ctid knows that they talk."""
        await until(lambda: self._state_of(agent.number, "ready"), f"{agent.number} is ready")
        await customer.dial(number)
        await agent.answer()
        await until(lambda: self._state_of(agent.number, "busy"), f"{agent.number} is busy")
        await self.phones.hears_exactly(agent, {customer.number}, within=PATIENCE)

    async def _state_of(self, agent: str, state: str) -> bool:
        return bool((await self.ask("GET", f"/agents/{agent}"))["state"] == state)

    async def quiet(self, channels: int) -> None:
        """Wait until the PBX has only so many channels, and a little longer."""
        await until(lambda: _ready(len(self.rig.channels()) == channels), f"{channels} channels are left")
        await asyncio.sleep(QUIET_S)

    def unique_id(self, number: str) -> str:
        """The unique id of a phone's channel on the PBX."""
        return next(fields[-1] for fields in self.rig.channels() if fields[0].startswith(f"PJSIP/{number}-"))

    async def first_heard(self, phone: Phone, tone_of: str, since: float) -> float:
        """How long after `since` (monotonic) a phone first heard a tone, in seconds; waits for it."""
        heard: float | None = None

        async def is_heard() -> bool:
            nonlocal heard
            heard = (await self.phones.timeline(phone, tone_of, since)).first_heard()
            return heard is not None

        await until(is_heard, f"{phone.number} hears {tone_of}")
        assert heard is not None
        return heard - since


@asynccontextmanager
async def open_floor() -> AsyncIterator[Floor]:
    """A floor on free ports, which ends with the block."""
    with Rig.for_tests(services=(daemon.maker(ring_s=5.0),)) as rig:
        token = daemon.tokens_of(rig)["supervisor"]
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(headers=headers) as http, Phones(rig.ports.sip) as phones:
            yield Floor(rig, phones, http)


async def until(holds: Callable[[], Awaitable[bool]], what: str, within: float = PATIENCE) -> None:
    """Wait until something holds. Raises TimeoutError with `what`."""
    deadline = time.monotonic() + within
    while not await holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within} s: {what}")
        await asyncio.sleep(0.02)


async def _ready(holds: bool) -> bool:  # noqa: FBT001 - a value, made awaitable
    return holds

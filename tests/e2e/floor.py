"""A floor: a rig with the daemon beside it, as the end-to-end tests of supervision see it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from helpers.api_client import Answer, Api
from helpers.patience import until
from lab import daemon
from lab.phone_client import Phone
from lab.phones import Phones
from lab.rig import Rig

EVERYONE_TALKS = 8.0
"""By then a picture of who hears whom is stable, on a busy machine as well."""


class Floor:
    """The rig, its phones, and the API as a supervisor."""

    def __init__(self, rig: Rig, phones: Phones, api: Api) -> None:
        self.rig = rig
        self.phones = phones
        self.api = api

    async def talk(
        self, agent: str = "1001", number: str = "7000", customer: str = "3001"
    ) -> tuple[Phone, Phone]:
        """A customer calls, the agent answers, both hear each other, and ctid knows."""
        caller, callee = await self.phones.open(customer, agent)
        await until(lambda: self.agent_is(agent, "ready"), what=f"{agent} is ready")
        await caller.dial(number)
        await callee.answer()
        await self.phones.hears_exactly(callee, {customer}, within=EVERYONE_TALKS)
        await until(lambda: self.call_is(agent, "connected"), what="the call is connected")
        return caller, callee

    async def agent_is(self, agent: str, state: str) -> bool:
        """Whether ctid says so."""
        return bool((await self.api.get(f"/agents/{agent}"))["state"] == state)

    async def call_is(self, agent: str, state: str) -> bool:
        """Whether ctid says so of the call that an agent is in."""
        call = (await self.api.get(f"/agents/{agent}")).get("call")
        if call is None:
            return False
        answer = await self.api.call("GET", f"/calls/{call}")
        return answer.status == 200 and bool(answer.body["state"] == state)

    async def hear(self, picture: dict[Phone, set[str]]) -> None:
        """Assert who hears whom, and nobody else."""
        for phone, heard in picture.items():
            await self.phones.hears_exactly(phone, heard, within=EVERYONE_TALKS)

    async def begin(self, **body: object) -> str:
        """Step in, and return the session's id."""
        answer = await self.api.supervise(**body)
        assert answer.status == 201, answer
        assert answer.body["state"] == "active", answer
        return str(answer.body["id"])

    async def refused(self, answer: Answer, status: int, code: str) -> None:
        """Assert a refusal, and that nothing of it is left on the PBX or in ctid."""
        assert (answer.status, answer.code) == (status, code), answer
        assert answer.body["detail"], answer
        await until(lambda: not self.ours(), what=f"nothing of ctid is left on the PBX: {self.ours()}")
        assert (await self.api.get("/supervisions"))["items"] == []

    def ours(self) -> list[str]:
        """What ctid has on the PBX: channels and bridges, and any leg that is rung."""
        channels = [fields[0] for fields in self.rig.channels() if fields[-1].startswith("ctid-")]
        bridges = [
            line.split()[0]
            for line in self.rig.asterisk_cli("bridge show all").splitlines()
            if line.startswith("ctid-")
        ]
        return channels + bridges


@asynccontextmanager
async def floor_of(rig: Rig, settle: Callable[[Rig], None]) -> AsyncIterator[Floor]:
    """Phones and API for one test on a rig that runs; afterwards nothing may be left on it."""
    token = daemon.tokens_of(rig)["supervisor"]
    async with Api(f"http://127.0.0.1:{rig.ports.http}", token) as api:
        async with Phones(rig.ports.sip) as phones:
            yield Floor(rig, phones, api)
        settle(rig)

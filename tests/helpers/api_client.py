"""The API as a test speaks it: a call, and what came back."""

from types import TracebackType
from typing import Any, NamedTuple, Self

import aiohttp


class Answer(NamedTuple):
    """Status and document of an answer; `code` is a problem's."""

    status: int
    body: Any

    @property
    def code(self) -> str:
        """The problem's code, or nothing."""
        return str(self.body.get("code", "")) if isinstance(self.body, dict) else ""


class Api:
    """A client with one role's token."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._http = aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()

    async def call(self, method: str, path: str, body: object = None) -> Answer:
        """Send a request below /api/v1."""
        async with self._http.request(method, f"{self.url}/api/v1{path}", json=body) as response:
            return Answer(response.status, await response.json(content_type=None))

    async def get(self, path: str) -> Any:
        """Read a document that is there."""
        answer = await self.call("GET", path)
        assert answer.status == 200, answer
        return answer.body

    async def supervise(self, **body: object) -> Answer:
        """Step in by the phone 2001, for quality, unless the body says otherwise."""
        return await self.call(
            "POST", "/supervisions", {"via": {"phone": "2001"}, "purpose": "quality", **body}
        )

    async def switch(self, session: str, mode: str) -> Answer:
        """Switch a session's mode."""
        return await self.call("PATCH", f"/supervisions/{session}", {"mode": mode})

    async def end(self, session: str) -> Answer:
        """End a session."""
        return await self.call("DELETE", f"/supervisions/{session}")

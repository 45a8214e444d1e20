"""What ctid tells while something goes on: its event stream, kept, and read as a supervisor would."""

import asyncio
from itertools import groupby
from types import TracebackType
from typing import Any, Self

import aiohttp

from ctid.tasks import TaskOwner
from helpers.api_client import Api


class Watched:
    """A client of the event stream that keeps all it is told; an async context manager.

    `entities` holds what is there now, by kind and id; `told` each message in its order.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._tasks = TaskOwner()
        self._ready = asyncio.Event()
        self._mark = 0
        self.told: list[dict[str, Any]] = []
        self.entities: dict[tuple[str, str], dict[str, Any]] = {}
        self._before: dict[tuple[str, str], dict[str, Any]] = {}

    async def __aenter__(self) -> Self:
        socket = await self._api._http.ws_connect(f"{self._api.url}/api/v1/events")
        self._tasks.spawn("watched events", self._follow(socket))
        async with asyncio.timeout(5.0):
            await self._ready.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.close()

    async def _follow(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            self._take(message.json())

    def _take(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "snapshot":
                for kind, items in message["entities"].items():
                    self.entities.update({(kind.removesuffix("s"), item["id"]): item for item in items})
                self.mark()
                self._ready.set()
            case "change":
                self.told.append(message)
                key = (message["kind"], message["id"])
                if message["entity"] is None:
                    self.entities.pop(key, None)
                else:
                    self.entities[key] = message["entity"]
            case "occurrence":
                self.told.append(message)

    def mark(self) -> None:
        """Forget what was told so far."""
        self.told.clear()
        self._before = dict(self.entities)

    def states(self, agent: str) -> list[str]:
        """The states of an agent since the mark, the one at the mark first; no state twice in a row."""
        begun = self._before.get(("agent", agent))
        turns = [str(begun["state"])] if begun else []
        turns += [
            str(message["entity"]["state"])
            for message in self.told
            if (message.get("kind"), message.get("id")) == ("agent", agent) and message["entity"]
        ]
        return [state for state, _ in groupby(turns)]

    def moments(self) -> list[dict[str, Any]]:
        """What happened since the mark that no entity's state tells."""
        return [message for message in self.told if message["type"] == "occurrence"]

    def names(self) -> list[str]:
        """The names of `moments`."""
        return [moment["name"] for moment in self.moments()]

    def ended(self) -> dict[str, dict[str, Any]]:
        """The calls that ended since the mark, as they were told last, by id."""
        return {
            message["id"]: message["entity"]
            for message in self.told
            if message.get("kind") == "call" and message["entity"] and message["entity"]["state"] == "ended"
        }

    def revived(self) -> list[str]:
        """The ids of calls that were told again after they were told as gone."""
        gone: set[str] = set()
        again = []
        for message in self.told:
            if message.get("kind") == "call":
                if message["entity"] is None:
                    gone.add(message["id"])
                elif message["id"] in gone:
                    again.append(message["id"])
        return list(dict.fromkeys(again))

    def calls(self) -> list[str]:
        """The ids of the calls that came since the mark, in the order of their coming."""
        ids = [message["id"] for message in self.told if message.get("kind") == "call"]
        return list(dict.fromkeys(ids))

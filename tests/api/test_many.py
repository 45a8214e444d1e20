"""Many clients of the events at once."""

import asyncio
import json
from contextlib import AsyncExitStack

import aiohttp

from api.support import DEADLINE_S, Floor, eventually, token_of

CLIENTS = 500
CHANGES = 20
ROLES = ("supervisor", "viewer", "admin", "integrator")


async def numbers(socket: aiohttp.ClientWebSocketResponse) -> list[int]:
    """The numbers in the reasons of the next changes."""
    return [
        int(json.loads(await socket.receive_str(timeout=60.0))["entity"]["reason"]) for _ in range(CHANGES)
    ]


async def test_500_clients_are_told_every_change(floor: Floor) -> None:
    """Each of 500 sockets, of several roles, is told every change, once and in order."""
    async with AsyncExitStack() as stack:
        connector = aiohttp.TCPConnector(limit=0)
        http = await stack.enter_async_context(aiohttp.ClientSession(floor.url, connector=connector))
        sockets = []
        for number in range(CLIENTS):
            headers = {"Authorization": f"Bearer {token_of(ROLES[number % len(ROLES)])}"}
            socket = await http.ws_connect("/api/v1/events?kind=agent&id=1002", headers=headers)
            assert (await socket.receive_json(timeout=DEADLINE_S))["type"] == "snapshot"
            sockets.append(socket)
        reading = asyncio.gather(*[numbers(socket) for socket in sockets])
        for number in range(CHANGES):
            await floor.pause("1002", str(number))
        assert await reading == [list(range(CHANGES))] * CLIENTS
        for socket in sockets:
            await socket.close()
    await eventually(lambda: len(floor.subscriptions) <= 1)


async def test_those_who_see_the_same_share_the_work(floor: Floor) -> None:
    """A change is encoded once for all of a role with one filter, and again for who sees something else."""
    assert floor.server._streams is not None
    followers = floor.server._streams._followers
    streams = [
        await floor.events("?kind=agent"),
        await floor.events("?kind=agent"),
        await floor.events("?kind=agent&team=blue"),
        await floor.events("?kind=agent", role="viewer"),
        await floor.events("?kind=agent", role="integrator"),
    ]
    for stream in streams:
        await stream.next()
    assert len(followers._tellers) == 4
    tellers = list(followers._tellers.values())
    await floor.pause("1002", "lunch")
    told = [await stream.next() for stream in streams]
    assert {message["entity"]["reason"] for message in told} == {"lunch"}
    assert [len(teller._kept) for teller in tellers] == [2] * 4
    for stream in streams:
        await stream.socket.close()

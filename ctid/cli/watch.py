"""`ctid watch`: the floor, live, in a terminal."""

import argparse
import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from rich.live import Live

from ctid.cli.client import Client, Problem, Unreachable
from ctid.cli.exits import Exit
from ctid.cli.floor import Floor, picture
from ctid.cli.output import Output
from ctid.tasks import TaskOwner

FRAME_S = 0.25
"""Four pictures a second: seconds are seen to pass, and a terminal over a slow line keeps up."""
RETRY_S = 1.0


async def watch(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Show the floor until Ctrl-C; with `--once` a single picture, as soon as the snapshot is there.

    Where the daemon goes away, what was known stays, marked stale, until it is back.
    """
    if output.as_json:
        return await _print_messages(client, output, once=arguments.once)
    floor = Floor()
    if arguments.once:
        async with aclosing(client.events()) as messages:
            async for message in messages:
                floor.apply(message, time.time())
                if floor.synchronized:
                    break
        output.show(picture(floor, time.time(), source=client.url))
        return Exit.OK
    await _live(client, output, floor)
    return Exit.OK


async def _print_messages(client: Client, output: Output, *, once: bool) -> Exit:
    async with aclosing(client.events()) as messages:
        async for message in messages:
            output.document(message)
            if once:
                return Exit.OK
    raise Unreachable(f"ctid at {client.url} closed the connection")


async def _live(client: Client, output: Output, floor: Floor) -> None:
    feed = Feed(client, floor)
    tasks = TaskOwner()
    tasks.spawn("frames", _frames(output, feed))
    try:
        await feed.run()
    finally:
        await tasks.close()


async def _frames(output: Output, feed: "Feed") -> None:
    with Live(console=output.console, screen=output.console.is_terminal, auto_refresh=False) as live:
        while True:
            live.update(picture(feed.floor, time.time(), source=feed.url, trouble=feed.trouble), refresh=True)
            await asyncio.sleep(FRAME_S)


class Feed:
    """Keeps a floor fed, connecting again by itself; `trouble` says why it is not live, empty while it is."""

    def __init__(self, client: Client, floor: Floor) -> None:
        self._client = client
        self.floor = floor
        self.url = client.url
        self.trouble = "connecting"

    async def run(self) -> None:
        """Follow the events for ever.

        Raises:
            Problem: the token is refused, or ctid speaks another version; trying again would not help.
        """
        while True:
            try:
                async with aclosing(self._messages()) as messages:
                    async for _ in messages:
                        self.trouble = ""
                lost = "ctid closed the connection"
            except Unreachable as error:
                lost = str(error)
            except Problem as problem:
                if problem.status < 500 or problem.code == "client.version":
                    raise
                lost = str(problem)
            self.trouble = f"since {time.strftime('%H:%M:%S')}, {lost}; trying again"
            await asyncio.sleep(RETRY_S)

    async def _messages(self) -> AsyncGenerator[None, None]:
        async with aclosing(self._client.events()) as messages:
            async for message in messages:
                self.floor.apply(message, time.time())
                yield

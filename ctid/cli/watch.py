"""`ctid watch`: the floor, live, in a terminal."""

import argparse
import asyncio
import time
from contextlib import aclosing

import msgspec
from rich.live import Live

from ctid.cli.exits import Exit
from ctid.cli.floor import Floor, picture
from ctid.cli.output import Output
from ctid.client import Changes, Client
from ctid.tasks import TaskOwner

FRAME_S = 0.25
"""Four pictures a second: seconds are seen to pass, and a terminal over a slow line keeps up."""


async def watch(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Show the floor until Ctrl-C; with `--once` a single picture, as soon as the snapshot is there.

    Where the daemon goes away, what was known stays, marked stale, until it is back.
    """
    floor = Floor()
    if output.as_json or arguments.once:
        async with aclosing(client.changes(patience_s=0)) as changes:
            async for _ in changes:
                message = msgspec.json.decode(changes.message)
                if output.as_json:
                    output.document(message)
                else:
                    floor.apply(message, time.time())
                    output.show(picture(floor, time.time(), source=client.url))
                if arguments.once:
                    break
        return Exit.OK
    await _live(client, output, floor)
    return Exit.OK


async def _live(client: Client, output: Output, floor: Floor) -> None:
    tasks = TaskOwner()
    async with aclosing(client.changes()) as changes:
        tasks.spawn("frames", _frames(output, floor, changes, client.url))
        try:
            async for _ in changes:
                floor.apply(msgspec.json.decode(changes.message), time.time())
        finally:
            await tasks.close()


async def _frames(output: Output, floor: Floor, changes: Changes, url: str) -> None:
    since = ""
    with Live(console=output.console, screen=output.console.is_terminal, auto_refresh=False) as live:
        while True:
            since = (since or time.strftime("%H:%M:%S")) if changes.trouble else ""
            trouble = f"since {since}, {changes.trouble}; trying again" if since else ""
            live.update(picture(floor, time.time(), source=url, trouble=trouble), refresh=True)
            await asyncio.sleep(FRAME_S)

"""A wallboard in a terminal: what each agent does and who waits, live, whatever befalls the network."""

import asyncio
import os

from ctid.client import Change, Client, Reset
from ctid.client.structs import Agent, Queue


def line(entity: object) -> str:
    """What the wallboard says of an agent or of a queue."""
    match entity:
        case Agent():
            return f"{entity.name}: {entity.state} {entity.reason}".rstrip()
        case Queue():
            return f"{entity.name}: {len(entity.waiting)} waiting"
    return ""


async def main() -> None:
    """Print everything as it stands, then each change, for ever."""
    async with Client(os.environ["CTID_URL"], os.environ["CTID_TOKEN"]) as client:
        async for item in client.changes(kinds=["agent", "queue"]):
            told = (
                item.entities
                if isinstance(item, Reset)
                else [item.entity]
                if isinstance(item, Change)
                else []
            )
            print(*filter(None, map(line, told)), sep="\n", flush=True)


asyncio.run(main())

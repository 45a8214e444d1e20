"""`ctid explain`, `ghosts` and `reconcile`: how what is told is known, and what the PBX does not bear out."""

import argparse
import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ctid.cli import words
from ctid.cli.client import Client, as_entity
from ctid.cli.exits import Exit
from ctid.cli.output import Output, table
from ctid.logs import clean
from ctid.model.entities import Agent
from ctid.model.instant import from_rfc3339


def add_to(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the commands to the parser."""
    command = add("explain", "why an agent is in her state: the last facts that led to it")
    command.add_argument("what", choices=["agent"], help="of what")
    command.add_argument("id", metavar="AGENT", help="an agent's id, as `ctid agents` lists it")
    command.set_defaults(remote=explain)
    command = add("ghosts", "what the PBX does not bear out, after asking it again")
    command.add_argument("--no-reconcile", action="store_true", help="do not ask the PBX again first")
    command.set_defaults(remote=ghosts)
    command = add("reconcile", "compare what is known with the PBX's own lists, and mend it")
    command.add_argument("pbx", metavar="PBX", nargs="?", help="the id of a [[pbx]]; all of them without it")
    command.set_defaults(remote=reconcile)


async def explain(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Tell the story of an agent."""
    story = await client.get(f"/agents/{arguments.id}/story")
    output.answer(story, _story(story))
    return Exit.OK


def _story(story: Mapping[str, Any]) -> RenderableType:
    agent = as_entity(Agent, story["agent"])
    now = time.time()
    head = Text.assemble(words.peer(f"{agent.id} {agent.name}: "), words.agent_state(agent))
    head.append(f" for {words.span(now - agent.since)}")
    if agent.confirmed_at is not None:
        head.append(f", confirmed by the PBX {words.span(now - agent.confirmed_at)} ago")
    if agent.suspect:
        head.append(f"\nSUSPECT: {clean(agent.suspect)}", style="bold red")
    rows = []
    for step in story["steps"]:
        when = step["at"][11:23]
        state = step["state"] + (f" ({clean(step['reason'])})" if step["reason"] else "")
        style = "bold" if step["turned"] else "dim"
        rows.append(
            (
                when,
                Text(clean(step["source"] or step["fact"])),
                Text(clean(step["about"])),
                Text(_changes(step["changed"])),
                Text(f"→ {state}" if step["turned"] else state, style=style),
            )
        )
    if not rows:
        return Group(head, Text("nothing has been told of her since ctid started", style="dim"))
    return Group(head, table(("UTC", "EVENT", "OF", "TOLD", "STATE"), rows))


def _changes(changed: Mapping[str, Any]) -> str:
    return clean(" ".join(f"{key}={'-' if value is None else value}" for key, value in changed.items()))


async def ghosts(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Reconcile, then list what is doubted, and what the reconcile mended."""
    mended = [] if arguments.no_reconcile else await _reconcile(client, None)
    found = await client.get("/ghosts")
    parts: list[RenderableType] = []
    if any(one["drift"] for one in mended):
        parts += [Text("mended just now:"), _drift(mended), Text("")]
    rows = [
        (ghost["kind"], words.peer(ghost["id"]), words.peer(ghost["reason"]), _age(ghost["since"]))
        for ghost in found["ghosts"]
    ]
    parts.append(
        table(("KIND", "ID", "DOUBTED BECAUSE", ">SINCE"), rows)
        if rows
        else Text("no ghosts: the PBX bears out all that is known", style="dim")
    )
    output.answer({**found, "reconciled": mended}, Group(*parts))
    return Exit.OK


def _age(since: str) -> str:
    return words.span(time.time() - from_rfc3339(since))


async def reconcile(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Have one PBX, or all of them, asked again."""
    mended = await _reconcile(client, arguments.pbx)
    differs = any(one["drift"] for one in mended)
    output.answer(
        {"reconciled": mended},
        _drift(mended) if differs else Text("no drift: all that is known is as the PBX lists it"),
    )
    return Exit.OK


async def _reconcile(client: Client, pbx: str | None) -> list[dict[str, Any]]:
    pbxs = [pbx] if pbx else [link["id"] for link in (await client.get("/status"))["pbxs"]]
    return [await client.act("POST", f"/pbxs/{ident}/reconcile", {}) for ident in pbxs]


def _drift(mended: list[dict[str, Any]]) -> RenderableType:
    rows = [
        (
            words.peer(one["pbx"]),
            words.peer(drift["name"]),
            words.peer(drift["id"]),
            words.peer(str(drift["believed"])),
            words.peer(str(drift["found"])),
        )
        for one in mended
        for drift in one["drift"]
    ]
    return table(("PBX", "DRIFT", "OF", "BELIEVED", "FOUND"), rows)

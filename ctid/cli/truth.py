"""`ctid explain`, `ghosts` and `reconcile`: how what is told is known, and what the PBX does not bear out."""

import argparse
import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ctid.cli import words
from ctid.cli.documents import act, as_entity, get
from ctid.cli.exits import Exit
from ctid.cli.output import Output, table
from ctid.client import Client, Refused
from ctid.client.http import segment
from ctid.logs import clean
from ctid.model.entities import Agent
from ctid.model.instant import from_rfc3339

_STORY = ("UTC", "EVENT", "OF", "TOLD", "STATE")
_STATE_WIDTH = 24
"""Every state fits; a longer reason of a pause goes on below it."""
_TOLD_WIDTH = 30
"""In a narrower column what was told could not be read."""
_GAP = 2


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
    story = await get(client, f"/agents/{segment(arguments.id)}/story")
    output.answer(story, _story(story, output.console.width))
    return Exit.OK


def _story(story: Mapping[str, Any], width: int) -> RenderableType:
    agent = as_entity(Agent, story["agent"])
    now = time.time()
    head = Text.assemble(words.peer(f"{agent.id} {agent.name}: "), words.agent_state(agent))
    head.append(f" for {words.span(now - agent.since)}")
    if agent.confirmed_at is not None:
        head.append(f", confirmed by the PBX {words.span(now - agent.confirmed_at)} ago")
    if agent.suspect:
        head.append(f"\nSUSPECT: {clean(agent.suspect)}", style="bold red")
    rows: list[tuple[Text, ...]] = []
    for step in story["steps"]:
        when = step["at"][11:23]
        state = step["state"] + (f" ({clean(step['reason'])})" if step["reason"] else "")
        style = "bold" if step["turned"] else "dim"
        rows.append(
            (
                Text(when),
                Text(clean(step["source"] or step["fact"])),
                Text(clean(step["about"])),
                Text(_changes(step["changed"])),
                Text(f"→ {state}" if step["turned"] else state, style=style),
            )
        )
    if not rows:
        return Group(head, Text("nothing has been told of her since ctid started", style="dim"))
    return Group(head, _steps(rows, width))


def _steps(rows: list[tuple[Text, ...]], width: int) -> Table:
    """The steps, in so many columns: what was told folds; where they are too few it goes below the event."""
    widest = [max(column) for column in zip(*([cell.cell_len for cell in row] for row in rows), strict=True)]
    when, event, of, told, state = widest
    state = min(state, _STATE_WIDTH)
    if width - (when + event + of + state + 4 * _GAP) < min(told, _TOLD_WIDTH):
        return _stacked(rows, event)
    grid = table(_STORY, rows)
    for column in grid.columns[-2:]:
        column.no_wrap, column.overflow = False, "fold"
    grid.columns[-1].width = state
    return grid


def _stacked(rows: list[tuple[Text, ...]], widest_event: int) -> Table:
    """Two lines a step, each as long as it needs to be."""
    folded = []
    for when, event, of, told, state in (tuple(map(Text, _STORY)), *rows):
        event.align("left", widest_event + _GAP)
        lines = Text.assemble(event, state)
        if of:
            lines.append("\n").append_text(of).append(": ").append_text(told)
        folded.append((when, lines))
    (when, lines), *rest = folded
    grid = table(("", ""), rest)
    grid.columns[0].header, grid.columns[1].header = when.append("\n"), lines
    grid.columns[1].no_wrap, grid.columns[1].overflow = False, "fold"
    return grid


def _changes(changed: Mapping[str, Any]) -> str:
    return clean(" ".join(f"{key}={'-' if value is None else value}" for key, value in changed.items()))


async def ghosts(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Reconcile, then list what is doubted by kind and id, and what the reconcile mended.

    Raises:
        Refused: among others, a PBX could not be asked; the detail names what lists without asking.
    """
    try:
        mended = [] if arguments.no_reconcile else await _reconcile(client, None)
    except Refused as problem:
        if not problem.code.startswith("pbx."):
            raise
        cure = "`ctid ghosts --no-reconcile` lists what is doubted without asking the PBX again"
        raise Refused({**problem.document, "detail": f"{problem}; {cure}"}) from problem
    found = await get(client, "/ghosts")
    found["ghosts"].sort(key=lambda ghost: (ghost["kind"], ghost["id"]))
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
    pbxs = [pbx] if pbx else [link["id"] for link in (await get(client, "/status"))["pbxs"]]
    return [await act(client, "POST", f"/pbxs/{segment(ident)}/reconcile", {}) for ident in pbxs]


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

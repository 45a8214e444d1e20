"""`ctid figures`: the figures of queues and agents, and with `--calls` the moments behind them."""

import argparse
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ctid.cli import words
from ctid.cli.client import Client
from ctid.cli.exits import Exit
from ctid.cli.output import Output, table
from ctid.history.entries import KINDS
from ctid.model.instant import from_rfc3339

KIND_WORDS = tuple(sorted(KINDS))
_PAGE = 500
_FILTERS = ("since", "until", "queue", "agent")


async def figures(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Tell the figures of a period, or the moments behind them."""
    asked = {name: value for name in _FILTERS if (value := getattr(arguments, name))}
    if arguments.calls:
        return await _calls(client, output, asked | ({"kind": arguments.kind} if arguments.kind else {}))
    document = await client.get("/figures", **asked)
    output.answer(document, _shown(document))
    return Exit.OK


async def _calls(client: Client, output: Output, asked: dict[str, str]) -> Exit:
    items: list[dict[str, Any]] = []
    asked |= {"limit": str(_PAGE)}
    while True:
        page = await client.get("/figures/calls", **asked)
        items += page["items"]
        if not page["next"]:
            break
        asked["cursor"] = page["next"]
    columns = ("AT", "WHAT", "QUEUE", "AGENT", "BY", ">WAITED", ">RANG", ">TALKED", "CALLER'S LEG", "FROM")
    rows = [
        (
            words.peer(_clock(item["at"])),
            words.peer(item["kind"]),
            words.peer(item["queue"]),
            words.peer(item["agent"]),
            words.peer(item["by"]),
            _span(item["hold_s"] if item["hold_s"] is not None else item["wait_s"]),
            _span(item["ring_s"]),
            _span(item["talk_s"]),
            words.peer(item["leg"]),
            words.peer(item["source"]),
        )
        for item in items
    ]
    output.answer({"items": items}, table(columns, rows) if rows else Text("no moments", style="dim"))
    return Exit.OK


def _shown(document: dict[str, Any]) -> RenderableType:
    queues = [
        (
            words.peer(row["queue"]),
            str(row["offered"]),
            str(row["answered"]),
            str(row["abandoned"]),
            words.peer(", ".join(f"{reason} {count}" for reason, count in sorted(row["left"].items()))),
            str(row["missed"]),
            _percent(row["answer_rate"]),
            _span(row["mean_hold_s"]),
            _span(row["mean_talk_s"]),
        )
        for row in document["queues"]
    ]
    agents = [
        (
            words.peer(row["agent"]),
            str(row["offered"]),
            str(row["answered"]),
            str(row["missed"]),
            str(row["served"]),
            _percent(row["answer_rate"]),
            _span(row["talk_s"]),
            _span(row["mean_talk_s"]),
        )
        for row in document["agents"]
    ]
    queue_columns = (
        "QUEUE",
        ">OFFERED",
        ">ANSWERED",
        ">ABANDONED",
        "LEFT",
        ">MISSED",
        ">RATE",
        ">ASA",
        ">TALK",
    )
    agent_columns = ("AGENT", ">OFFERED", ">ANSWERED", ">MISSED", ">SERVED", ">RATE", ">TALKED", ">MEAN")
    parts: list[RenderableType] = [Text(f"{_clock(document['since'])} to {_clock(document['until'])}")]
    parts.append(table(queue_columns, queues) if queues else Text("no calls in any queue", style="dim"))
    if agents:
        parts += [Text(""), table(agent_columns, agents)]
    parts += [_gap(gap) for gap in document["gaps"] if gap["state"] != "filled"]
    began = document["began_at"]
    if began is None or from_rfc3339(began) > from_rfc3339(document["since"]):
        since = _clock(began) if began else "not yet"
        parts.append(Text(f"the ledger begins {since}: nothing before is counted", style="yellow"))
    return Group(*parts)


def _gap(gap: dict[str, Any]) -> Text:
    ended = _clock(gap["ended_at"]) if gap["ended_at"] else "now"
    text = f"! {gap['state']}: {_clock(gap['began_at'])} to {ended} ({gap['cause']})"
    line = words.peer(f"{text}; {gap['detail']}" if gap["detail"] else text)
    for count in gap["counts"]:
        who = count["agent"] or count["queue"]
        left = f", {count['unserved']} left unserved" if count["unserved"] else ""
        line.append_text(words.peer(f"\n  {who}: {count['served']} served{left}"))
    line.stylize("yellow")
    return line


def _clock(at: str) -> str:
    return at[:19].replace("T", " ") + "Z"


def _span(seconds: float | None) -> str:
    return words.span(seconds) if seconds is not None else ""


def _percent(rate: float | None) -> str:
    return f"{rate:.0%}" if rate is not None else ""

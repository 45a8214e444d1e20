"""`ctid figures`: the figures of queues and agents, and with `--calls` the moments behind them."""

import argparse
import re
import time
from datetime import date
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ctid.cli import words
from ctid.cli.documents import get
from ctid.cli.exits import Exit
from ctid.cli.output import Output, table
from ctid.client import Client, Refused
from ctid.client.http import segment
from ctid.history.entries import KINDS
from ctid.model.instant import from_rfc3339, to_rfc3339

KIND_WORDS = tuple(sorted(KINDS))
_PAGE = 500
_FILTERS = ("since", "until", "queue", "agent")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def instant(text: str) -> str:
    """The beginning or end of a period: a date alone is its midnight in this machine's zone.

    Returns it as RFC 3339; any other text as it is, for ctid itself to judge.

    Raises:
        argparse.ArgumentTypeError: it looks like a date, and there is no such day.
    """
    if not _DATE.fullmatch(text):
        return text
    try:
        return _midnight(*date.fromisoformat(text).timetuple()[:3])
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(f"there is no day {text}") from error


def _midnight(year: int, month: int, day: int) -> str:
    return to_rfc3339(time.mktime((year, month, day, 0, 0, 0, 0, 1, -1)))


async def figures(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Tell the figures of a period, or the moments behind them."""
    if arguments.kind and not arguments.calls:
        text = "--kind chooses among the moments: it goes with --calls"
        output.fail({"code": "usage", "detail": text}, text)
        return Exit.USAGE
    asked = {name: value for name in _FILTERS if (value := getattr(arguments, name))}
    asked = {"since": _midnight(*time.localtime()[:3])} | asked
    if arguments.calls:
        return await _calls(client, output, asked | ({"kind": arguments.kind} if arguments.kind else {}))
    document = await get(client, "/figures", **asked)
    for kind in ("queue", "agent"):
        if not document[f"{kind}s"]:
            await _check(client, kind, asked)
    output.answer(document, _shown(document))
    return Exit.OK


async def _check(client: Client, kind: str, asked: dict[str, str]) -> None:
    """Check a filter by which nothing was found; of who is gone by now there may be figures all the same.

    Raises:
        Refused: there is no such queue or agent.
    """
    ident = asked.get(kind)
    if ident is None:
        return
    try:
        await get(client, f"/{kind}s/{segment(ident)}")
    except Refused as problem:
        if problem.status != 404:
            raise
        detail = (
            f"nothing is counted of the {kind} {ident!r}, and no {kind} has this id now; "
            f"`ctid {kind}s` lists those there are"
        )
        raise Refused({**problem.document, "detail": detail}) from problem


async def _calls(client: Client, output: Output, asked: dict[str, str]) -> Exit:
    items: list[dict[str, Any]] = []
    asked |= {"limit": str(_PAGE)}
    while True:
        page = await get(client, "/figures/calls", **asked)
        items += page["items"]
        if not page["next"]:
            break
        asked["cursor"] = page["next"]
    if not items:
        await _check(client, "queue", asked)
        await _check(client, "agent", asked)
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
        line.append("\n").append_text(words.peer(f"  {who}: {count['served']} served{left}"))
    line.stylize("yellow")
    return line


def _clock(at: str) -> str:
    return at[:19].replace("T", " ") + "Z"


def _span(seconds: float | None) -> str:
    return words.span(seconds) if seconds is not None else ""


def _percent(rate: float | None) -> str:
    return f"{rate:.0%}" if rate is not None else ""

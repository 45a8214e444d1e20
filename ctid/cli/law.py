"""`ctid periods`, `draw`, `agent sessions`: what the law owes agents, and gives supervisors."""

import argparse
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ctid.cli import words
from ctid.cli.documents import get
from ctid.cli.exits import Exit
from ctid.cli.output import Output, table
from ctid.client import Client
from ctid.client.http import segment

_PAGE = "500"


async def periods(client: Client, output: Output, _arguments: argparse.Namespace) -> Exit:
    """Tell when agents may be listened to."""
    document = await get(client, "/periods")
    output.answer(document, _periods(document))
    return Exit.OK


def _periods(document: dict[str, Any]) -> RenderableType:
    rows = []
    for team in document["teams"]:
        rules = [_rule(rule) for rule in team["periods"]] or ["none"]
        rows.append((words.peer(team["team"]), ", ".join(rules), str(team["notice"])))
    law = document["law"]
    needed = "" if law["periods_required"] else "; listening is not bound to them"
    return Group(
        table(("TEAM", "LISTENING PERIODS", "NOTICE"), rows),
        Text(f"By the clock of {document['timezone']}{needed}. {_bounds(law)}"),
    )


def _rule(rule: dict[str, Any]) -> str:
    days = " ".join([*rule["days"], *rule["dates"]])
    return f"{days} {rule['begins']}-{rule['ends']}"


def _bounds(law: dict[str, Any]) -> str:
    bounds = [
        (law["max_session_s"] / 60, "minutes a session"),
        (law["agent_minutes_per_week"], "minutes an agent a week"),
        (law["agent_sessions_per_day"], "sessions an agent a day"),
    ]
    found = [f"{value:g} {unit}" for value, unit in bounds if value]
    return f"At most {', '.join(found)}." if found else "No bound on minutes and sessions."


async def draw(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Draw an agent of a team at random."""
    document = await get(client, "/draw", team=arguments.team)
    among = " ".join(document["among"])
    output.answer(document, Text(f"{document['agent']}  (among {among}; seed {document['seed']})"))
    return Exit.OK


async def sessions(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """List the sessions about an agent."""
    path = f"/agents/{segment(arguments.agent)}/sessions"
    items: list[dict[str, Any]] = []
    asked = {"limit": _PAGE}
    while True:
        page = await get(client, path, **asked)
        items += page["items"]
        if not page["next"]:
            break
        asked["cursor"] = page["next"]
    rows = [
        (
            item["began_at"],
            item["ended_at"] or "goes on",
            words.peer(item["supervisor"]),
            " ".join(item["modes"]),
            str(item["purpose"]),
            "she asked" if item["origin"] == "agent_request" else "",
            f"{item['notice']}: {item['notice_state']}",
        )
        for item in items
    ]
    columns = ("BEGAN", "ENDED", "SUPERVISOR", "MODES", "PURPOSE", "", "NOTICE")
    shown = table(columns, rows) if rows else Text(f"Nobody has listened to {arguments.agent}.")
    output.answer({"items": items}, shown)
    return Exit.OK

"""`ctid status`, `agents`, `queues`, `calls`, `supervisions`: the state as tables."""

import argparse
import time
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ctid.cli import floor, words
from ctid.cli.documents import as_entity, get, listed
from ctid.cli.exits import Exit
from ctid.cli.output import Output, table
from ctid.client import Client
from ctid.logs import clean
from ctid.model.entities import Agent, Call, Pbx, Queue, Supervision
from ctid.model.instant import from_rfc3339
from ctid.model.words import AgentState


async def status(client: Client, output: Output, _arguments: argparse.Namespace) -> Exit:
    """Tell what runs, and how its links are."""
    document = await get(client, "/status")
    output.answer(document, _status(document))
    return Exit.OK


def _status(document: dict[str, Any]) -> RenderableType:
    at = from_rfc3339(document["at"])
    links = [as_entity(Pbx, link) for link in document["pbxs"]]
    up = words.span(at - from_rfc3339(document["started_at"]))
    lines = [Text(f"ctid {document['version']}, site {document['site']}, up {up}")]
    for link in links:
        line = Text("pbx ").append_text(floor.link_line(link, at))
        lines.append(line.append(f"  {link.driver} {link.version}"))
    lines.append(_broker(document.get("broker")))
    lines += [_webhook(hook) for hook in document.get("webhooks", ())]
    ready = Text("ready", style="green") if document["ready"] else Text("NOT READY: ", style="bold red")
    lines.append(ready.append("; ".join(document["missing"])))
    for token in document.get("tokens", ()):
        tense = "expires" if from_rfc3339(token["expires_at"]) > at else "EXPIRED"
        told = f"the token of {token['name']} {tense} at {token['expires_at']}"
        lines.append(Text(clean(told), style="yellow"))
    return Group(*lines)


def _broker(broker: dict[str, Any] | None) -> Text:
    if broker is None:
        return Text("broker none configured")
    line = Text("broker ").append(
        "● connected" if broker.get("connected") else "! DOWN",
        style="green" if broker.get("connected") else "bold red",
    )
    figures = ", ".join(
        f"{name} {value}" for name, value in broker.items() if name != "connected" and value not in (None, "")
    )
    return line.append(f"  {figures}")


def _webhook(hook: dict[str, Any]) -> Text:
    fine = hook["state"] == "ok"
    line = Text("webhook ").append_text(words.peer(hook["name"])).append(" ")
    line.append("● ok" if fine else f"! {hook['state'].upper()}", style="green" if fine else "bold red")
    figures = ", ".join(f"{name} {hook[name]}" for name in ("delivered", "waiting", "dead", "dropped"))
    reason = "" if fine else f"  {clean(hook['last_error'])}"
    return line.append(f"  {figures}{reason}")


async def agents(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """List the agents."""
    filters = {name: value for name in ("state", "team", "queue") if (value := getattr(arguments, name))}
    items, seq = await listed(client, "/agents", **filters)
    now = time.time()
    rows = []
    for item in items:
        agent = as_entity(Agent, item)
        rows.append(
            (
                words.peer(agent.id),
                words.peer(agent.name),
                words.peer(agent.team),
                words.agent_state(agent),
                words.span(now - agent.since),
                words.what_follows(agent, now),
                words.peer(agent.call or ""),
                words.memberships(agent.queues),
                words.missed(agent),
                words.peer(agent.suspect),
            )
        )
    columns = (
        "AGENT",
        "NAME",
        "TEAM",
        "STATE",
        ">SINCE",
        "NEXT",
        "CALL",
        "QUEUES",
        ">MISSED",
        "SUSPECT",
    )
    output.answer({"items": items, "seq": seq}, table(columns, rows) if rows else _none("agents"))
    return Exit.OK


async def queues(client: Client, output: Output, _arguments: argparse.Namespace) -> Exit:
    """List the queues, who waits and how the members stand."""
    items, seq = await listed(client, "/queues")
    now = time.time()
    shown = [as_entity(Queue, item) for item in items]
    columns = [
        "QUEUE",
        ">WAITING",
        ">LONGEST",
        *(f">{words.count_word(state).upper()}" for state in floor.COUNTED),
    ]
    rows = [floor.queue_row(queue, now) for queue in shown]
    output.answer({"items": items, "seq": seq}, table(columns, rows) if rows else _none("queues"))
    return Exit.OK


async def calls(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """List the live calls."""
    filters = {name: value for name in ("state", "queue") if (value := getattr(arguments, name))}
    items, seq = await listed(client, "/calls", **filters)
    now = time.time()
    rows = []
    for item in items:
        call = as_entity(Call, item)
        rows.append(
            (
                words.peer(call.id),
                words.call_state(call),
                words.span(now - call.since),
                words.peer(call.queue or ""),
                words.customer(call),
                words.peer(words.agent_of(call)),
                str(call.direction),
                f"by {len(call.supervisions)}" if call.supervisions else "",
                words.protection(call),
            )
        )
    columns = ("CALL", "STATE", ">SINCE", "QUEUE", "CUSTOMER", "AGENT", "DIRECTION", "SUPERVISED", "NOTE")
    output.answer({"items": items, "seq": seq}, table(columns, rows) if rows else _none("calls"))
    return Exit.OK


async def supervisions(client: Client, output: Output, _arguments: argparse.Namespace) -> Exit:
    """List the sessions that go on."""
    items, seq = await listed(client, "/supervisions")
    now = time.time()
    rows = [floor.supervision_row(as_entity(Supervision, item), now) for item in items]
    output.answer(
        {"items": items, "seq": seq},
        table(floor.SUPERVISION_COLUMNS, rows) if rows else _none("supervisions"),
    )
    return Exit.OK


def _none(what: str) -> Text:
    return Text(f"no {what}", style="dim")


AGENT_STATES = tuple(str(state) for state in AgentState)

"""`ctid supervise`, `switch`, `leave`: step into a call, change who hears whom, leave."""

import argparse
import sys
from typing import Any

from ctid.cli import words
from ctid.cli.documents import act, as_entity, get
from ctid.cli.exits import Exit
from ctid.cli.output import Output
from ctid.cli.stay import Stay
from ctid.client import Client, Refused
from ctid.client.http import segment
from ctid.model.entities import Supervision
from ctid.model.words import Mode

_ASKED = ("scope", "calls", "minutes", "hear")
"""What a session is asked for only where it is said: ctid has the defaults."""


async def supervise(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Start a session; in a terminal, stay with it until it ends or the user leaves."""
    target = await _target(client, arguments.target)
    body = {
        **target,
        "mode": arguments.mode,
        "via": {"phone": arguments.phone},
        "purpose": arguments.purpose,
        "note": arguments.note,
        **{name: value for name in _ASKED if (value := getattr(arguments, name)) is not None},
    }
    if output.as_json or arguments.detach or not sys.stdin.isatty():
        document = await act(client, "POST", "/supervisions", body)
        output.answer(document, words.session(as_entity(Supervision, document)))
        return Exit.OK
    return await Stay(client, output).run(body)


async def switch(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Change what of a session was asked for; returns once it is in force."""
    asked = {
        "mode": arguments.mode,
        "hear": arguments.hear,
        "muted": arguments.muted,
        "lead": arguments.lead or None,
    }
    body = {name: value for name, value in asked.items() if value is not None}
    document = await act(client, "PATCH", f"/supervisions/{segment(arguments.session)}", body)
    output.answer(document, words.session(as_entity(Supervision, document)))
    return Exit.OK


async def leave(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """End a session; the call goes on."""
    document = await act(client, "DELETE", f"/supervisions/{segment(arguments.session)}")
    session = as_entity(Supervision, document)
    rest = "" if session.mode is Mode.TAKEOVER or session.call is None else "; the call goes on"
    output.answer(document, words.peer(f"session {session.id} ended{rest}"))
    return Exit.OK


async def _target(client: Client, ident: str) -> dict[str, Any]:
    """Tell an agent's id from a call's by asking: ids are opaque, and both may have any form."""
    for kind in ("agent", "call"):
        try:
            await get(client, f"/{kind}s/{segment(ident)}")
        except Refused as problem:
            if problem.status != 404:
                raise
        else:
            return {kind: ident}
    detail = f"there is no agent and no call {ident!r}; `ctid agents` and `ctid calls` list those there are"
    raise Refused({"status": 404, "code": "agent.unknown", "title": "Not found", "detail": detail})

"""`ctid supervise`, `switch`, `leave`: step into a call, change who hears, leave."""

import argparse
import asyncio
import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any

from rich.text import Text

from ctid.cli import words
from ctid.cli.client import Client, Problem, Unreachable, as_entity, segment
from ctid.cli.exits import Exit
from ctid.cli.output import Output
from ctid.model.entities import Supervision
from ctid.model.words import Mode, SupervisionState
from ctid.tasks import TaskOwner

KEYS = {"l": Mode.LISTEN, "w": Mode.WHISPER, "b": Mode.BARGE, "t": Mode.TAKEOVER}
HEARS = {
    Mode.LISTEN: "nobody hears you",
    Mode.WHISPER: "the agent alone hears you",
    Mode.BARGE: "agent and customer hear you",
    Mode.TAKEOVER: "the customer is yours, the agent has been released",
}
RETRY_S = 1.0


async def supervise(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Start a session; in a terminal, stay with it until it ends or the user leaves."""
    target = await _target(client, arguments.target)
    body = {
        **target,
        "mode": arguments.mode,
        "via": {"phone": arguments.phone},
        "purpose": arguments.purpose,
        "note": arguments.note,
    }
    if output.as_json or arguments.detach or not sys.stdin.isatty():
        document = await client.act("POST", "/supervisions", body)
        output.answer(document, _told(as_entity(Supervision, document)))
        return Exit.OK
    return await _Stay(client, output).run(body)


async def switch(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Change a session's mode; returns once it is in force."""
    body = {"mode": arguments.mode}
    document = await client.act("PATCH", f"/supervisions/{segment(arguments.session)}", body)
    output.answer(document, _told(as_entity(Supervision, document)))
    return Exit.OK


async def leave(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """End a session; the call goes on."""
    document = await client.act("DELETE", f"/supervisions/{segment(arguments.session)}")
    session = as_entity(Supervision, document)
    rest = "" if session.mode is Mode.TAKEOVER else "; the call goes on"
    output.answer(document, words.peer(f"session {session.id} ended{rest}"))
    return Exit.OK


async def _target(client: Client, ident: str) -> dict[str, str]:
    """Tell an agent's id from a call's by asking: ids are opaque, and both may have any form."""
    for kind in ("agent", "call"):
        try:
            await client.get(f"/{kind}s/{segment(ident)}")
        except Problem as problem:
            if problem.status != 404:
                raise
        else:
            return {kind: ident}
    detail = f"there is no agent and no call {ident!r}; `ctid agents` and `ctid calls` list those there are"
    raise Problem({"status": 404, "code": "agent.unknown", "title": "Not found", "detail": detail})


def _told(session: Supervision) -> Text:
    about = f"agent {session.agent}" if session.agent else f"call {session.call}"
    hears = HEARS[session.mode]
    return words.peer(f"{session.id}: {session.mode} on {about} by phone {session.phone} ({hears})")


_Message = tuple[str, Any]
"""What reaches the session's loop: `key`, `started`, `failed`, `mode` or `ended`, each with its value."""


class _Stay:
    """Stays with a session in a terminal: keys switch, and the session's own end is told."""

    def __init__(self, client: Client, output: Output) -> None:
        self._client = client
        self._output = output
        self._mode = Mode.LISTEN
        self._path = ""
        self._inbox: asyncio.Queue[_Message] = asyncio.Queue()

    async def run(self, body: Mapping[str, Any]) -> Exit:
        """Begin the session, then handle keys and the session's changes until one of them ends it.

        Keys and signals are heard from before the request on, so that no session goes on unattended.
        """
        tasks = TaskOwner()
        try:
            with _keys(self._inbox):
                self._output.show(words.peer(f"ringing {body['via']['phone']} …  (q leaves)"))
                tasks.spawn("start", self._start(body))
                session = await self._begun(body["via"]["phone"])
                if session is None:
                    return Exit.OK
                self._mode = session.mode
                self._output.show(_told(session))
                self._output.show(
                    Text("keys: l listen  w whisper  b barge  t take over (twice)  q leave", style="dim")
                )
                tasks.spawn("follow", self._follow(session.id))
                return await self._handle()
        finally:
            await tasks.close()

    async def _start(self, body: Mapping[str, Any]) -> None:
        try:
            document = await self._client.act("POST", "/supervisions", body)
        except (Problem, Unreachable) as error:
            self._inbox.put_nowait(("failed", error))
        else:
            self._inbox.put_nowait(("started", as_entity(Supervision, document)))

    async def _begun(self, phone: str) -> Supervision | None:
        """Wait until the phone was picked up; none when the user gave up before."""
        leaving = False
        while True:
            kind, value = await self._inbox.get()
            if kind == "started":
                session: Supervision = value
                self._path = f"/supervisions/{segment(session.id)}"
                if not leaving:
                    return session
                await self._leave()
                return None
            if kind == "failed":
                if not leaving:
                    raise value
                self._output.show(Text("not begun"))
                return None
            if value == "q" and not leaving:
                leaving = True
                await self._stop_ringing(phone)

    async def _stop_ringing(self, phone: str) -> None:
        """End the session that rings; should that fail, it is left as soon as it begins."""
        self._output.show(Text("leaving …"))
        try:
            items, _ = await self._client.items("/supervisions")
            for item in items:
                if (item["phone"], item["state"]) == (phone, SupervisionState.RINGING):
                    await self._client.act("DELETE", f"/supervisions/{segment(item['id'])}")
        except (Problem, Unreachable) as error:
            self._output.fail({}, f"the phone rings on, {error}")

    async def _handle(self) -> Exit:
        sure = False
        while True:
            kind, value = await self._inbox.get()
            if kind == "ended":
                self._output.show(words.peer(f"the session ended: {value}"))
                return Exit.OK
            if kind == "mode":
                # A take-over is the last of a session's modes: what says another is late.
                if self._mode is not Mode.TAKEOVER and Mode(value) is not self._mode:
                    self._mode = Mode(value)
                    self._say()
                continue
            if value == "q":
                return await self._leave()
            mode = KEYS.get(value.lower())
            if mode is Mode.TAKEOVER and not sure:
                sure = True
                self._output.show(
                    Text("take over releases the agent: press t again to do it", style="yellow")
                )
                continue
            sure = False
            if mode is not None and mode is not self._mode:
                await self._switch(mode)

    async def _switch(self, mode: Mode) -> None:
        try:
            await self._client.act("PATCH", self._path, {"mode": mode})
        except (Problem, Unreachable) as error:
            self._output.fail({}, f"not switched, still {self._mode}: {error}")
            return
        self._mode = mode
        self._say()

    def _say(self) -> None:
        self._output.show(Text.assemble((str(self._mode), "bold"), f": {HEARS[self._mode]}"))

    async def _leave(self) -> Exit:
        if self._mode is Mode.TAKEOVER:
            # Ending the session now would hang up on the customer, whom nobody else serves any more.
            self._output.show(Text("the customer stays with you: hang up by your phone"))
            return Exit.OK
        await self._client.act("DELETE", self._path)
        self._output.show(Text("left; the call goes on"))
        return Exit.OK

    async def _follow(self, ident: str) -> None:
        """Put the session's modes and its end into the inbox; connects again by itself."""
        while True:
            try:
                async with aclosing(self._client.events(kind="supervision", id=ident)) as messages:
                    async for message in messages:
                        self._take(message)
            except (Problem, Unreachable) as error:
                self._output.fail({}, f"the session is not followed for now: {error}")
            await asyncio.sleep(RETRY_S)

    def _take(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "snapshot":
                found = message["entities"].get("supervisions", [])
                document = found[0] if found else None
            case "change":
                document = message["entity"]
            case _:
                return
        if document is None:
            self._inbox.put_nowait(("ended", "it is over"))
            return
        session = as_entity(Supervision, document)
        if session.state is SupervisionState.ENDED:
            self._inbox.put_nowait(("ended", str(session.end or "it is over").replace("_", " ")))
        else:
            self._inbox.put_nowait(("mode", session.mode))


@contextmanager
def _keys(inbox: asyncio.Queue[_Message]) -> Iterator[None]:
    """Put each key pressed into the inbox, unechoed; Ctrl-C, SIGTERM and a closed terminal mean `q`."""
    loop, terminal = asyncio.get_running_loop(), sys.stdin.fileno()

    def leave() -> None:
        inbox.put_nowait(("key", "q"))

    def pressed() -> None:
        data = os.read(terminal, 64)
        if not data:
            loop.remove_reader(terminal)
            leave()
        for key in data.decode("utf-8", "replace"):
            inbox.put_nowait(("key", key))

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)
    loop.add_reader(terminal, pressed)
    for number in signals:
        loop.add_signal_handler(number, leave)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
        loop.remove_reader(terminal)
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)

"""A terminal that stays with a supervision session: keys change it, and what it does is told."""

import asyncio
import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec
from rich.text import Text

from ctid.cli import words
from ctid.cli.documents import act, as_entity, listed
from ctid.cli.exits import Exit
from ctid.cli.output import Output
from ctid.client import Client, ClientError
from ctid.client.http import segment
from ctid.model.entities import Supervision
from ctid.model.words import Hear, Mode, SupervisionState
from ctid.tasks import TaskOwner

KEYS = {"l": Mode.LISTEN, "w": Mode.WHISPER, "b": Mode.BARGE, "t": Mode.TAKEOVER}
HELP = (
    "keys: l listen  w whisper  b barge  t take over (twice)  space mute  h hear both, agent, customer"
    "  d take the lead  r hand back  q leave"
)
SIDES = {Hear.BOTH: Hear.AGENT, Hear.AGENT: Hear.CUSTOMER, Hear.CUSTOMER: Hear.BOTH}
"""The side that follows each."""
RETRY_S = 1.0

_Message = tuple[str, Any]
"""What reaches the session's loop: `key`, `started`, `failed`, `session` or `ended`, each with its value."""


class Stay:
    """Stays with a session in a terminal: keys switch, and the session's own end is told."""

    def __init__(self, client: Client, output: Output) -> None:
        self._client = client
        self._output = output
        self._session: Supervision | None = None
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
                self._session = session
                self._output.show(words.session(session))
                self._output.show(Text(HELP, style="dim"))
                tasks.spawn("follow", self._follow(session.id))
                return await self._handle(session)
        finally:
            await tasks.close()

    async def _start(self, body: Mapping[str, Any]) -> None:
        try:
            document = await act(self._client, "POST", "/supervisions", body)
        except ClientError as error:
            self._inbox.put_nowait(("failed", error))
        else:
            self._inbox.put_nowait(("started", as_entity(Supervision, document)))

    async def _begun(self, phone: str) -> Supervision | None:
        """Wait until the phone was picked up, or the session armed; none when the user gave up before."""
        leaving = False
        while True:
            kind, value = await self._inbox.get()
            if kind == "started":
                session: Supervision = value
                if not leaving:
                    return session
                await self._leave(session)
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
            items, _ = await listed(self._client, "/supervisions")
            for item in items:
                if (item["phone"], item["state"]) == (phone, SupervisionState.RINGING):
                    await act(self._client, "DELETE", _path(item["id"]))
        except ClientError as error:
            self._output.fail({}, f"the phone rings on, {error}")

    async def _handle(self, session: Supervision) -> Exit:
        sure = False
        while True:
            kind, value = await self._inbox.get()
            if kind == "ended":
                self._output.show(words.peer(f"the session ended: {value}"))
                return Exit.OK
            if kind == "session":
                # A take-over is the last of a session's modes: what says another is late.
                if session.mode is not Mode.TAKEOVER or value.mode is Mode.TAKEOVER:
                    session = self._become(session, value)
                continue
            if value == "q":
                return await self._leave(session)
            wanted = _asked(value.lower(), session)
            if wanted.get("mode") is Mode.TAKEOVER and not sure:
                sure = True
                self._output.show(
                    Text("take over releases the agent: press t again to do it", style="yellow")
                )
                continue
            sure = False
            if wanted:
                session = await self._change(session, wanted)

    async def _change(self, session: Supervision, wanted: Mapping[str, Any]) -> Supervision:
        try:
            document = await act(self._client, "PATCH", _path(session.id), wanted)
        except ClientError as error:
            self._output.fail({}, f"not switched, still {session.mode}: {error}")
            return session
        changed = as_entity(Supervision, document)
        if changed.state is SupervisionState.ENDED:
            self._inbox.put_nowait(("ended", _why(changed)))
            return session
        return self._become(session, changed)

    def _become(self, old: Supervision, new: Supervision) -> Supervision:
        """Tell how the session is now, where that is another thing to tell."""
        if words.stance(new) != words.stance(old):
            self._output.show(Text.assemble((str(new.mode), "bold"), f": {words.stance(new)}"))
        if (new.agent, words.whereabouts(new)) != (old.agent, words.whereabouts(old)):
            self._output.show(words.peer(words.whereabouts(new)))
        return new

    async def _leave(self, session: Supervision) -> Exit:
        if session.mode is Mode.TAKEOVER:
            # Ending the session now would hang up on the customer, whom nobody else serves any more.
            self._output.show(Text("the customer stays with you: hang up by your phone"))
            return Exit.OK
        await act(self._client, "DELETE", _path(session.id))
        self._output.show(Text("left; the call goes on" if session.call else "left"))
        return Exit.OK

    async def _follow(self, ident: str) -> None:
        """Put the session's changes and its end into the inbox; connects again by itself."""
        changes = self._client.changes(kinds=["supervision"], ids=[ident], patience_s=0)
        while True:
            try:
                async for _ in changes:
                    self._take(msgspec.json.decode(changes.message))
            except ClientError as error:
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
        session = as_entity(Supervision, document) if document is not None else None
        if session is None or session.state is SupervisionState.ENDED:
            self._inbox.put_nowait(("ended", _why(session)))
        else:
            self._inbox.put_nowait(("session", session))


def _path(ident: str) -> str:
    return f"/supervisions/{segment(ident)}"


def _why(session: Supervision | None) -> str:
    end = session.end if session is not None else None
    return end.replace("_", " ") if end is not None else "it is over"


def _asked(key: str, session: Supervision) -> dict[str, Any]:
    """What a key asks for; nothing, when it is so already or the key means nothing."""
    mode = KEYS.get(key)
    if mode is not None:
        return {"mode": mode} if mode is not session.mode else {}
    match key:
        case " ":
            return {"muted": not session.muted}
        case "h":
            return {"hear": SIDES[session.hear]}
        case "d" if not session.lead:
            return {"lead": True}
        case "r":
            return {"mode": "handback"}
        case _:
            return {}


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

"""The fuzz of the API: `python -m fuzz.api --count 50000` asks whatever can be asked of a served floor.

A round is made of the seed and its own number, on a floor of its own; both together bring a failure back.
What is looked for: an answer that is not promised, a refusal that changed the state, an error in the log, a
task that died.
"""

import argparse
import asyncio
import json
import logging
import re
import secrets
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from structlog.testing import capture_logs

from api.support import Floor, token_of
from ctid.api.bus import BusCarrier
from ctid.api.context import Limits
from ctid.api.openapi import refusals
from ctid.api.operations import Operation
from ctid.events.topics import Topics
from ctid.model.users import UserRole
from ctid.publish.intake import Command, Intake
from ctid.rates import Rate
from ctid.state.store import Store
from fuzz import asks

ROUND = 150
WITHIN_S = 20.0
_WIDE = Rate(1_000_000.0, 1_000_000)
_LIMITS = Limits(commands=_WIDE, reads=_WIDE, failures=_WIDE, heartbeat_s=3600.0)
_ANYWHERE = {
    (404, "request.path_unknown"),
    (405, "request.method_not_allowed"),
    (400, "request.invalid"),
    (417, "request.invalid"),
}
"""What any path may answer, whatever was made of it."""
_PARTLY = "agent.partly_done"
"""The one refusal after which something is done."""


_Ask = Callable[[Floor], Awaitable[tuple[bytes | str, int, str]]]
"""Asks one thing: what, the status, and the code of a refusal."""
TRIES, _LATE_S = 4, 0.05


def state_of(store: Store) -> tuple[Any, ...]:
    """What may not change by a refusal."""
    kinds = (store.agents, store.calls, store.devices, store.queues, store.supervisions, store.helps)
    return (store.seq, *(dict(kind) for kind in kinds))


class _Errors(logging.Handler):
    """Keeps what libraries log as errors by the standard way."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.found.append(self.format(record))


class Round:
    """A floor that is asked `count` times over each carrier; raises AssertionError with what was asked."""

    def __init__(self, seed: int, number: int) -> None:
        self._random = Random(f"{seed}/{number}")  # noqa: S311 - it is to come back, not to be secret
        self.tally = Counter[str]()
        """The answers, by carrier and status."""

    async def play(self, count: int) -> None:
        """Ask, over HTTP, a socket and the bus in turn."""
        errors = _Errors()
        logging.getLogger().addHandler(errors)
        try:
            await self._play(count, errors)
        finally:
            logging.getLogger().removeHandler(errors)

    async def _play(self, count: int, errors: _Errors) -> None:
        with capture_logs() as lines:
            async with Floor(_LIMITS) as floor:
                await floor.populate()
                await floor.supervise()
                await floor.raise_hand()
                await floor.coach()
                self._intake = Intake(Topics("ctid", "test"), BusCarrier(floor.door))
                for _ in range(count):
                    for ask in (self._over_http, self._over_socket, self._over_bus):
                        asked = await self._without_change(floor, ask)
                        bad = [line for line in lines if line["log_level"] in ("error", "critical")]
                        assert not bad, (asked, bad)
                        assert not errors.found, (asked, errors.found)
                        lines.clear()

    async def _without_change(self, floor: Floor, ask: _Ask) -> bytes | str:
        """Ask, and see that a refusal changes nothing; what was asked.

        What an earlier command brings late, such as the end of a hand whose session ended, is not the
        refusal's: asked again, it changes nothing.
        """
        told: tuple[bytes | str, str] = ("", "")
        for _ in range(TRIES):
            place, before = self._random.getstate(), state_of(floor.hub.store)
            asked, status, code = await asyncio.wait_for(ask(floor), WITHIN_S)
            if status < 400 or code == _PARTLY or state_of(floor.hub.store) == before:
                return asked
            told = asked, code
            self._random.setstate(place)
            await asyncio.sleep(_LATE_S)
        raise AssertionError(f"a refusal changed the state: {told}")

    async def _over_http(self, floor: Floor) -> tuple[bytes, int, str]:
        ask = asks.over_http(self._random, {role: token_of(role) for role in UserRole})
        reader, writer = await asyncio.open_connection(*floor.server.address)
        writer.write(ask.raw)
        answer = await reader.read()
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        found = re.match(rb"HTTP/1\.[01] (\d{3}) ", head)
        assert found, (ask.raw, answer)
        status = int(found[1])
        self.tally[f"http {status}"] += 1
        if status < 400:
            # 304 answers If-None-Match, of whatever can be looked at.
            good = {ask.operation.status, 304} if ask.addressed else {200, 201, 302, 304}
            assert status in good, (ask.raw, answer)
            return ask.raw, status, ""
        assert b"Content-Type: application/problem+json" in head, (ask.raw, answer)
        if ask.method == "HEAD":
            return ask.raw, status, ""
        problem = json.loads(body)
        if ask.addressed:
            self._promised(ask.operation, ask.raw, status, problem, _ANYWHERE)
        return ask.raw, status, problem["code"]

    async def _over_socket(self, floor: Floor) -> tuple[bytes | str, int, str]:
        message = asks.over_socket(self._random)
        events = await floor.events(role=self._random.choice(list(UserRole)))
        if isinstance(message, bytes):
            await events.socket.send_bytes(message)
        else:
            await events.socket.send_str(message)
        while True:
            received = await events.socket.receive()
            if not isinstance(received.data, str):
                assert events.socket.close_code == 1009, (message, received)  # larger than any request
                return message, 413, ""
            reply = json.loads(received.data)
            if reply["type"] == "reply":
                break
        await events.socket.close()
        return message, *self._replied("websocket", message, reply)

    async def _over_bus(self, _floor: Floor) -> tuple[bytes, int, str]:
        name, payload = asks.over_mqtt(self._random)
        client = f"a {self._random.choice([*UserRole, 'nobody'])}"
        command = Command(topic=f"ctid/test/command/{client}/{name}", payload=payload, correlation=b"c")
        self._intake.take(command)
        answered = await self._intake.replies.get()
        assert (answered.topic, answered.correlation) == (f"ctid/test/reply/{client}", b"c"), (
            command,
            answered,
        )
        return payload, *self._replied("mqtt", payload, json.loads(answered.payload))

    def _replied(self, carrier: str, asked: bytes | str, reply: dict[str, Any]) -> tuple[int, str]:
        status: int = reply["status"]
        self.tally[f"{carrier} {status}"] += 1
        assert ("problem" in reply) is (status >= 400), (asked, reply)
        assert status != 500, (asked, reply)
        if status < 400:
            return status, ""
        assert reply["problem"]["status"] == status, (asked, reply)
        return status, reply["problem"]["code"]

    def _promised(
        self,
        operation: Operation,
        asked: bytes,
        status: int,
        problem: dict[str, Any],
        beside: set[tuple[int, str]],
    ) -> None:
        promised = {(status, code) for code, status in refusals(operation)} | beside
        assert status != 500, (asked, problem)
        assert (status, problem["code"]) in promised, (asked, problem)
        assert problem["status"] == status, (asked, problem)


def run(seed: int, count: int) -> Counter[str]:
    """Play rounds until each carrier was asked `count` times. Raises AssertionError."""
    tally = Counter[str]()
    for number in range(-(-count // ROUND)):
        playing = Round(seed, number)
        try:
            asyncio.run(playing.play(min(ROUND, count - number * ROUND)))
        except Exception as error:
            error.add_note(f"seed {seed}, round {number}")
            raise
        tally += playing.tally
    return tally


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50_000, help="requests over each carrier")
    parser.add_argument("--seed", type=int, default=None, help="of a failure that is to come back")
    options = parser.parse_args()
    chosen = options.seed if options.seed is not None else secrets.randbelow(2**31)
    print(f"seed {chosen}")  # noqa: T201 - a program's own output
    for answers, times in sorted(run(chosen, options.count).items()):
        sys.stdout.write(f"{answers}: {times}\n")

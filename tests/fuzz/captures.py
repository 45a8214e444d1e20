"""Captures mutated, and replayed: a file that somebody sends may hold anything."""

from collections import Counter
from random import Random

from msgspec.structs import replace

from ctid.capture import Record, message_record
from ctid.events.documents import Documents
from ctid.events.telling import cloud_event, events_of
from ctid.replay import play
from ctid.state.invariants import violations
from ctid.state.store import Store
from ctid_asterisk.replaying import Player
from fuzz.frames import END, Frame, parse, render
from fuzz.mutate import Mutator, Pools
from fuzz.rig import Broken
from fuzz.seeds import scenes
from helpers.captures import shipped
from replay.wire import PBX

_TALLY = "trouble in a capture"


def make(seed: int, number: int) -> tuple[list[Record], int]:
    """Make the records of a round, and say how many are mutated."""
    random = Random(f"{seed}/capture/{number}")  # noqa: S311 - reproducible, no secret
    scene = next(scene for scene in scenes() if scene.name == "queue-calls")
    mutator = Mutator(random, Pools([scene]), 1.0)
    rate = random.choice((0.02, 0.1, 0.4))
    records: list[Record] = []
    for record in shipped("queue-calls"):
        if random.random() < rate:
            records += _mutated(random, mutator, record)
        else:
            records.append(record)
    return records, mutator.count


def _mutated(random: Random, mutator: Mutator, record: Record) -> list[Record]:
    mutator.count += 1
    message = record.message
    match random.randrange(10):
        case 0:
            return []
        case 1:
            return [record, record]
        case 2:
            return [
                replace(record, t=record.t * random.choice((-1, 0, 1e9)), at=random.choice((0.0, 9e9, 1e11)))
            ]
        case _ if message is None:
            return [replace(record, id=f"ctid-{random.randrange(60)}")]
        case 3:
            return [message_record(record.t, record.at, mutator.garble(message + END))]
        case _:
            frame: Frame = parse(message)
            if not frame:
                return [record]
            told = render(mutator.field(frame)).removesuffix(END)
            return [message_record(record.t, record.at, told)]


def run(seed: int, number: int) -> tuple[int, int, Counter[str]]:
    """Play a round; returns how many records there were, how many were mutated, and what trouble there was.

    Raises:
        Broken: an invariant does not hold.
    """
    records, mutated = make(seed, number)
    store, player, tally = Store(), Player(PBX), Counter[str]()
    documents = Documents("lab", "boot", numbers_in_full=True)
    for count, (step, updates) in enumerate(play(map(player.take, records), store), 1):
        tally[_TALLY] += bool(step.trouble)
        for update in updates:
            for event in events_of(update, documents):
                cloud_event(event, documents)
        if count % 20 == 0 or count == len(records):
            found = violations(store)
            if found:
                raise Broken("; ".join(found[:5]))
    return len(records), mutated, tally

"""Who waits in a queue is a phone, also where a Local half waits on its behalf."""

import pytest

from e2e import records
from e2e.truth import Seen, Truth, differences

CHANNELS = """\
PJSIP/3001-00000000!c!7002!2!Up!Queue!desk!3001!!!3!1!b-one!1.0
Local/1007@from-queue-00000000;1!c!7000!2!Up!Queue!support!1007!!!3!0!b-one!1.1
Local/1007@from-queue-00000000;2!c!7000!2!Up!Queue!support!3001!!!3!0!!1.2
PJSIP/1001-00000001!c!7000!1!Ringing!AppQueue!(Outgoing Line)!1001!!!3!0!!1.3
PJSIP/1006-00000002!c!*40!2!Up!AgentLogin!1006,s!1006!!!3!9!b-pool!1.4
"""
QUEUE = """\
support has 1 calls (max unlimited) in 'rrmemory' strategy (0s holdtime, 0s talktime), W:0, C:0
   No Members
   Callers:
      1. {caller} (wait: 0:01, prio: 0)
"""
HALF = "Local/1007@from-queue-00000000;2"


def truth_of(caller: str) -> Truth:
    """1007 sent 3001 on into `support`, by her Local channel; 1006 has logged in to the pool."""
    channels = {channel.name: channel for channel in records.parse_channels(CHANNELS)}
    inside = (
        "b-one",
        ("basic", "simple_bridge", "", "", "PJSIP/3001-00000000", "Local/1007@from-queue-00000000;1"),
    )
    pool = ("b-pool", ("base", "holding_bridge", "AgentPool", "1006", "PJSIP/1006-00000002"))
    bridges = {
        ident: records.Bridge(ident, kind, technology, creator, name, tuple(members))
        for ident, (kind, technology, creator, name, *members) in (inside, pool)
    }
    return Truth(channels, bridges, records.parse_queues(QUEUE.format(caller=caller)), {})


def told(state: str) -> Seen:
    """The one call of ctid's, with 3001 in a state."""
    parties = [
        {"leg": "1.0", "device": "3001", "state": state},
        {"leg": "1.3", "device": "1001", "state": "alerting"},
    ]
    waiting = [{"call": "lab.1.0", "position": 1}] if state == "queued" else []
    call = {"id": "lab.1.0", "state": "alerting", "parties": parties}
    return Seen({"lab.1.0": call}, {}, {"support": {"waiting": waiting}}, {})


def test_the_caller_behind_a_local_half() -> None:
    """The half leads to the phone at the far end of its pair; a channel that is gone to nobody."""
    truth = truth_of(HALF)
    assert [
        channel and channel.name for channel in map(truth.caller, (HALF, "PJSIP/3001-00000000", "x"))
    ] == [
        "PJSIP/3001-00000000",
        "PJSIP/3001-00000000",
        None,
    ]


@pytest.mark.parametrize(("state", "agrees"), [("queued", True), ("connected", False)])
def test_he_is_told_as_waiting(state: str, agrees: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """The phone is to be shown as queued; the pool's idle agent is in no call."""
    found = list(differences(truth_of(HALF), told(state)))
    assert (found == []) == agrees, found

"""Where ctid tells something else than the PBX: each kind of difference is found, and none where none is."""

from copy import deepcopy
from typing import Any

import pytest

from e2e import records
from e2e.truth import Seen, Truth, differences

# 3001 talks with 1001, who holds; 3002 waits while 1005 rings, 3003 waits; 3004 talks with 1007 by a Local
# channel; 3005 is parked; 1002 and 3006 are in a conference; 2001 listens to 1001.
CHANNELS = """\
PJSIP/3001-00000000!c!7000!2!Up!Queue!support!3001!!!3!1!b-talk!1.0
PJSIP/1001-00000001!c!7000!1!Up!AppQueue!(Outgoing Line)!1001!!!3!1!b-talk!1.1
PJSIP/3002-00000002!c!7001!2!Up!Queue!sales!3002!!!3!0!!1.2
PJSIP/1005-00000003!c!7001!1!Ringing!AppQueue!(Outgoing Line)!1005!!!3!0!!1.3
PJSIP/3003-00000004!c!7001!2!Up!Queue!sales!3003!!!3!0!!1.4
PJSIP/3004-00000005!c!7002!2!Up!Queue!desk!3004!!!3!0!b-one!1.5
Local/1007@from-queue-00000000;1!c!7002!1!Up!AppQueue!(Outgoing Line)!1007!!!3!0!b-one!1.6
Local/1007@from-queue-00000000;2!c!1007!2!Up!Dial!PJSIP/1007,60!3004!!!3!0!b-two!1.7
PJSIP/1007-00000006!c!!1!Up!AppDial!(Outgoing Line)!1007!!!3!0!b-two!1.8
PJSIP/3005-00000007!c!7000!2!Up!Queue!support!3005!!!3!4!b-lot!1.9
PJSIP/1002-00000008!c!7100!2!Up!ConfBridge!7100!1002!!!3!0!b-room!1.10
PJSIP/3006-00000009!c!7100!2!Up!ConfBridge!7100!3006!!!3!0!b-room!1.11
CBAnn/7100-00000001;2!default!s!1!Up!(None)!!!!!3!0!b-room!1.12
PJSIP/2001-0000000a!c!!1!Up!Stasis!ctid!2001!!!3!0!b-ears!ctid-s1
"""
BRIDGES = {
    "b-talk": ("basic", "native_rtp", "", "", "PJSIP/3001-00000000", "PJSIP/1001-00000001"),
    "b-one": ("basic", "simple_bridge", "", "", "PJSIP/3004-00000005", "Local/1007@from-queue-00000000;1"),
    "b-two": ("basic", "simple_bridge", "", "", "Local/1007@from-queue-00000000;2", "PJSIP/1007-00000006"),
    "b-lot": ("parking", "holding_bridge", "Parking", "default", "PJSIP/3005-00000007"),
    "b-room": ("base", "softmix", "ConfBridge", "7100", "PJSIP/1002-00000008", "PJSIP/3006-00000009"),
    "b-ears": ("base", "softmix", "Stasis", "", "PJSIP/2001-0000000a"),
}
QUEUES = """\
support has 0 calls (max unlimited) in 'rrmemory' strategy (0s holdtime, 0s talktime), W:0, C:0
   Members:
      Alice (PJSIP/1001) (ringinuse disabled) (in call) (In use) has taken no calls yet
      Chloe (PJSIP/1003) with penalty 2 (ringinuse disabled) (paused:lunch) (Not in use) has taken no
      David (PJSIP/1004) (ringinuse disabled) (Unavailable) has taken no calls yet
      Farid (PJSIP/1006) (ringinuse disabled) (Not in use) has taken no calls yet
   No Callers

sales has 2 calls (max unlimited) in 'rrmemory' strategy (0s holdtime, 0s talktime), W:0, C:0
   Members:
      Emma (PJSIP/1005) (ringinuse disabled) (Ringing) has taken no calls yet
   Callers:
      1. PJSIP/3002-00000002 (wait: 0:01, prio: 0)
      2. PJSIP/3003-00000004 (wait: 0:00, prio: 0)

"""
DEVICES = {
    "1001": "In use",
    "3001": "On Hold",
    "1005": "Ringing",
    "1006": "Not in use",
    "1004": "Unavailable",
}

PARTIES: dict[str, list[tuple[str, str, str]]] = {
    "talk": [("1.0", "3001", "connected"), ("1.1", "1001", "held"), ("ctid-s1", "2001", "connected")],
    "first": [("1.2", "3002", "queued"), ("1.3", "1005", "alerting")],
    "second": [("1.4", "3003", "queued")],
    "desk": [("1.5", "3004", "connected"), ("1.8", "1007", "connected")],
    "lot": [("1.9", "3005", "held")],
    "room": [("1.10", "1002", "connected"), ("1.11", "3006", "connected")],
}
STATES = {
    "talk": "held",
    "first": "alerting",
    "second": "queued",
    "desk": "connected",
    "lot": "held",
    "room": "connected",
}


def the_truth() -> Truth:
    """What the PBX says."""
    channels = {channel.name: channel for channel in records.parse_channels(CHANNELS)}
    bridges = {
        ident: records.Bridge(ident, kind, technology, creator, name, tuple(inside))
        for ident, (kind, technology, creator, name, *inside) in BRIDGES.items()
    }
    return Truth(channels, bridges, records.parse_queues(QUEUES), DEVICES)


def what_ctid_says() -> Seen:
    """The same, as the API has it."""
    calls: dict[str, Any] = {}
    for ident, parties in PARTIES.items():
        told = [{"leg": leg, "device": device, "state": state} for leg, device, state in parties]
        supervisions = ["s1"] if ident == "talk" else []
        calls[ident] = {"state": STATES[ident], "parties": told, "supervisions": supervisions}
    calls["lot"]["parties"][0]["parked"] = "701"
    for party in calls["room"]["parties"]:
        party["conference"] = "7100"

    def membership(
        queue: str, state: str, reason: str = "", *, paused: bool = False, penalty: int = 0
    ) -> Any:
        return {"queue": queue, "state": state, "reason": reason, "paused": paused, "penalty": penalty}

    agents = {
        "1001": {"queues": [membership("support", "busy")]},
        "1003": {"queues": [membership("support", "not_ready", "lunch", paused=True, penalty=2)]},
        "1004": {"queues": [membership("support", "not_ready", "device_unavailable")]},
        "1005": {"queues": [membership("sales", "offered")]},
        "1006": {"queues": [membership("support", "ready")]},
    }
    waiting = [{"call": "first", "position": 1}, {"call": "second", "position": 2}]
    queues: dict[str, Any] = {"support": {"waiting": []}, "sales": {"waiting": waiting}}
    states = {"1001": "in_use", "3001": "held", "1005": "ringing", "1006": "idle", "1004": "unavailable"}
    devices = {number: {"state": state} for number, state in states.items()}
    return Seen(calls, agents, queues, devices)


def test_where_nothing_differs_nothing_is_told() -> None:
    """A floor with every kind of call, told rightly."""
    assert differences(the_truth(), what_ctid_says()) == []


def test_groups_join_over_local_channels_and_part_in_waiting_rooms() -> None:
    """Both ends of two bridges with a Local channel are together; who is parked, rings or waits is alone."""
    groups = the_truth().groups()
    assert frozenset({"1.5", "1.8"}) in groups
    assert frozenset({"1.10", "1.11"}) in groups
    for alone in ("1.2", "1.3", "1.4", "1.9"):
        assert frozenset({alone}) in groups
    assert not any("ctid-s1" in group for group in groups)


def _party(call: str, place: int, **changes: object) -> Any:
    def change(api: Seen) -> None:
        api.calls[call]["parties"][place].update(changes)

    return change


def _member(agent: str, **changes: object) -> Any:
    def change(api: Seen) -> None:
        api.agents[agent]["queues"][0].update(changes)

    return change


def _gone(call: str, place: int) -> Any:
    def change(api: Seen) -> None:
        del api.calls[call]["parties"][place]

    return change


def _call(ident: str, **changes: object) -> Any:
    def change(api: Seen) -> None:
        api.calls[ident].update(changes)

    return change


def _moved(api: Seen) -> None:
    api.calls["lot"]["parties"].append(api.calls["desk"]["parties"].pop())


def _merged(api: Seen) -> None:
    api.calls["desk"]["parties"] += api.calls["room"]["parties"]


def _swapped(api: Seen) -> None:
    api.queues["sales"]["waiting"].reverse()


def _jumped(api: Seen) -> None:
    first, second = api.queues["sales"]["waiting"]
    first["call"], second["call"] = second["call"], first["call"]


def _unknown_queue(api: Seen) -> None:
    del api.queues["sales"]


def _stranger(api: Seen) -> None:
    api.agents["1009"] = {"queues": [{"queue": "sales", "state": "ready", "paused": False, "penalty": 0}]}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_gone("second", 0), "PJSIP/3003-00000004 (1.4, Up) is in no call"),
        (_party("second", 0, leg="1.99"), "leg 1.99 of 3003"),
        (_party("talk", 0, device="3002"), "device 3002"),
        (_party("second", 0, state="connected"), "connected, and the PBX has it waiting"),
        (_party("desk", 0, state="queued"), "queued, and the PBX has it not waiting"),
        (_party("first", 1, state="connected"), "connected, and the PBX says Ringing"),
        (_party("desk", 1, state="alerting"), "alerting, and the PBX says Up"),
        (_party("talk", 1, state="connected"), "connected, and the PBX has 3001 On Hold"),
        (_party("talk", 0, state="held"), "held, and the PBX has 1001 In use"),
        (_party("lot", 0, parked=""), "parked ''"),
        (_party("desk", 0, parked="702"), "parked '702'"),
        (_party("room", 0, conference=""), "conference ''"),
        (_party("desk", 0, conference="7100"), "conference '7100'"),
        (_moved, "are connected, and in the calls ['desk', 'lot']"),
        (_merged, "connected with each other who are not"),
        (_call("desk", state="alerting"), "call desk is alerting, and the PBX connects"),
        (_call("second", state="connected"), "call second is connected, and the PBX connects []"),
        (_member("1003", paused=False), "1003 in support: paused False"),
        (_member("1003", reason="meeting"), "not 'lunch'"),
        (_member("1006", penalty=1), "1006 in support: penalty 1"),
        (_member("1006", state="busy"), "1006 in support: busy"),
        (_member("1001", state="ready"), "1001 in support: ready"),
        (_member("1005", state="ready"), "1005 in sales: ready"),
        (_member("1004", state="ready"), "1004 in support: ready"),
        (_member("1003", state="ready"), "1003 in support: ready"),
        (_member("1006", queue="sales"), "1006 is a member of support for the PBX, not for ctid"),
        (_stranger, "1009 is a member of sales for ctid, not for the PBX"),
        (_swapped, "queue sales: position 2 is in place 1"),
        (_jumped, "queue sales: ['1.4', '1.2'] wait, and for the PBX ['1.2', '1.4']"),
        (_unknown_queue, "ctid has no queue sales"),
        (lambda api: api.devices["1001"].update(state="idle"), "device 1001: idle, and the PBX says In use"),
    ],
)  # fmt: skip
def test_each_difference_is_told(change: Any, told: str) -> None:
    """One field changed is at least one line, which names it."""
    api = deepcopy(what_ctid_says())
    change(api)
    assert any(told in line for line in differences(the_truth(), api)), differences(the_truth(), api)

"""The parsers of the PBX's own truth, on text of a real Asterisk 22.10.1, and of 16.28 where it differs."""

from pathlib import Path

import pytest

from e2e import records
from e2e.records import Caller, QueueMember

CONSOLE = Path(__file__).with_name("console")
CHANNELS = (CONSOLE / "channels.txt").read_text()
BRIDGES = (CONSOLE / "bridges.txt").read_text()
BRIDGES_16 = (CONSOLE / "bridges-16.txt").read_text()
BRIDGE = (CONSOLE / "bridge.txt").read_text()
QUEUES = (CONSOLE / "queues.txt").read_text()
ENDPOINTS = (CONSOLE / "endpoints.txt").read_text()
QUEUE_LOG = (CONSOLE / "queue_log.txt").read_text()
CALL_RECORDS = (CONSOLE / "call_records.txt").read_text()


def test_channels() -> None:
    """Name, state, application, bridge and unique id of each, the phone and the other half of a Local."""
    waiting, local, ringing, announcer = records.parse_channels(CHANNELS)
    assert (waiting.phone, waiting.state, waiting.application, waiting.data) == (
        "3003",
        "Up",
        "Queue",
        "sales",
    )
    assert (waiting.bridge, waiting.uniqueid, waiting.caller) == ("", "1795426721.4", "3003")
    assert local.bridge == "97651151-0a32-4401-951b-1a725630f45f"
    assert (local.phone, local.other_half) == ("", "Local/1007@from-queue-00000000;2")
    assert (ringing.phone, ringing.state, ringing.other_half) == ("1005", "Ringing", "")
    assert (announcer.phone, announcer.other_half, announcer.data) == ("", "", "")


def test_an_application_s_data_may_hold_the_separator() -> None:
    """The fields behind the data are counted from the end."""
    (channel,) = records.parse_channels("PJSIP/1-1!c!e!1!Up!NoOp!a!b!!3001!!!3!0!bridge!17.1\n")
    assert (channel.data, channel.caller, channel.bridge) == ("a!b!", "3001", "bridge")
    with pytest.raises(ValueError, match="not a channel"):
        records.parse_channels("PJSIP/1-1!c!e!1!Up!NoOp!a\n")


def test_bridges() -> None:
    """The ids of all bridges, with and without a column of names, and one with its channels."""
    assert records.parse_bridge_ids(BRIDGES) == [
        "0f965ff8-a2f6-4d30-a04a-0124ca898b59",
        "43983aae-c59a-40eb-9669-74e321c1acfe",
    ]
    assert records.parse_bridge_ids(BRIDGES_16) == ["f4fdb508-a2f7-4b35-a776-515d82cd1975"]
    bridge = records.parse_bridge(BRIDGE)
    assert (bridge.kind, bridge.technology, bridge.creator, bridge.name) == (
        "base", "softmix", "ConfBridge", "7100",
    )  # fmt: skip
    assert bridge.channels == ("PJSIP/1002-00000008", "CBAnn/7100-00000001;2", "PJSIP/3005-00000009")
    with pytest.raises(ValueError, match="not a bridge"):
        records.parse_bridge("Bridge 'x' not found\n")
    with pytest.raises(ValueError, match="not a list of bridges"):
        records.parse_bridge_ids("No such command\n")


def test_queues() -> None:
    """Members with all that a line may tell, and callers in their order."""
    queues = records.parse_queues(QUEUES)
    assert {name: queue.strategy for name, queue in queues.items()} == {
        "pool": "linear",
        "sales": "rrmemory",
        "empty": "ringall",
    }
    (farid,) = queues["pool"].members
    assert farid == QueueMember(
        name="Farid Benali",
        interface="Local/1006@agent-pool",
        state_interface="Agent:1006",
        penalty=0,
        dynamic=False,
        paused=False,
        reason="",
        in_call=True,
        state="In use",
    )
    emma, chloe, grace = queues["sales"].members
    assert (emma.number, emma.state, emma.state_interface) == ("1005", "Ringing", "PJSIP/1005")
    assert (chloe.name, chloe.paused, chloe.reason, chloe.state) == (
        "Chloé Durand",
        True,
        "lunch",
        "Unavailable",
    )
    assert (grace.name, grace.penalty, grace.dynamic, grace.paused, grace.reason, grace.state) == (
        "Grace, (L)", 3, True, True, "", "Not in use",
    )  # fmt: skip
    assert queues["sales"].callers == (
        Caller(1, "PJSIP/3002-0000001f", 5),
        Caller(2, "PJSIP/3001-0000001e", 0),
    )
    assert queues["empty"].members == ()
    assert queues["empty"].callers == ()


@pytest.mark.parametrize("line", ["      somebody", "No such queue: x."])
def test_a_line_of_another_form_is_an_error(line: str) -> None:
    """What cannot be read is never passed over: a truth with holes proves nothing."""
    with pytest.raises(ValueError, match="not "):
        records.parse_queues(QUEUES.replace("   No Callers", line, 1))


def test_endpoints() -> None:
    """The state of each phone, and of nothing else."""
    assert records.parse_endpoints(ENDPOINTS) == {"1001": "In use", "1002": "Unavailable", "3001": "On Hold"}


def test_queue_log() -> None:
    """Lines with their data, however many."""
    started, connected, transferred = records.parse_queue_log(QUEUE_LOG)
    assert (started.event, started.call, started.data) == ("QUEUESTART", "NONE", ("",))
    assert (connected.at, connected.agent, connected.event) == (1795426720, "Alice Martin", "CONNECT")
    assert connected.data == ("0", "1795426720.1", "0")
    assert (transferred.queue, transferred.data[0]) == ("support", "700")
    with pytest.raises(ValueError, match="queue_log"):
        records.parse_queue_log("1795426720|NONE|x\n")


def test_call_records() -> None:
    """A row a call, with times, durations, both channels, unique id, linkedid and sequence."""
    answered, missed = records.parse_call_records(CALL_RECORDS)
    assert (answered.channel, answered.destination_channel) == ("PJSIP/3001-00000000", "PJSIP/1001-00000001")
    assert (answered.duration, answered.billable, answered.disposition) == (1, 1, "ANSWERED")
    assert (answered.uniqueid, answered.linkedid, answered.sequence) == ("1795426720.0", "1795426720.0", 0)
    assert (missed.answer, missed.disposition, missed.linkedid) == ("", "NO ANSWER", "1795426721.5")
    with pytest.raises(ValueError, match="not a call record"):
        records.parse_call_records('"","3001"\n')

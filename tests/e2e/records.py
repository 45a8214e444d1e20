"""What Asterisk's console and files tell, as types. Pure parsing of text that ctid has no part in.

The forms are those of Asterisk 16 to 22. Each function raises `ValueError` for a line that has another.
"""

import csv
import re
from typing import NamedTuple


class Channel(NamedTuple):
    """A channel, as `core show channels concise` has it; `bridge` is empty outside of one."""

    name: str
    context: str
    exten: str
    state: str
    application: str
    data: str
    caller: str
    bridge: str
    uniqueid: str

    @property
    def phone(self) -> str:
        """The number of the phone that it leads to, or nothing."""
        match = re.match(r"PJSIP/(\w+)-", self.name)
        return match[1] if match else ""

    @property
    def other_half(self) -> str:
        """The name of the other half of a Local channel, or nothing."""
        if not self.name.startswith("Local/"):
            return ""
        base, _, half = self.name.rpartition(";")
        return f"{base};{'2' if half == '1' else '1'}"


class Bridge(NamedTuple):
    """A bridge, as `bridge show <id>` has it."""

    id: str
    kind: str
    """`basic`, `base` (a conference), `parking`, `agent_hold` and the like."""
    technology: str
    creator: str
    name: str
    channels: tuple[str, ...]


class QueueMember(NamedTuple):
    """A member, as `queue show` has it; `state` is its device's, in Asterisk's words (`Not in use`)."""

    name: str
    interface: str
    state_interface: str
    penalty: int
    dynamic: bool
    paused: bool
    reason: str
    in_call: bool
    state: str

    @property
    def number(self) -> str:
        """The number in its interface."""
        match = re.search(r"/(\d+)", self.interface)
        return match[1] if match else ""


class Caller(NamedTuple):
    """A caller who waits, as `queue show` has it; position 1 is served first."""

    position: int
    channel: str
    priority: int


class QueueShown(NamedTuple):
    """A queue, as `queue show` has it."""

    name: str
    strategy: str
    members: tuple[QueueMember, ...]
    callers: tuple[Caller, ...]


class LogLine(NamedTuple):
    """A line of queue_log: epoch seconds, the caller's unique id (or who did it), and what happened."""

    at: int
    call: str
    queue: str
    agent: str
    event: str
    data: tuple[str, ...]


class CallRecord(NamedTuple):
    """A row of cdr-csv/Master.csv: times are `YYYY-MM-DD HH:MM:SS` in UTC, durations seconds."""

    source: str
    destination: str
    context: str
    channel: str
    destination_channel: str
    application: str
    data: str
    start: str
    answer: str
    end: str
    duration: int
    billable: int
    disposition: str
    uniqueid: str
    linkedid: str
    sequence: int


def parse_channels(text: str) -> list[Channel]:
    """Parse `core show channels concise`."""
    channels = []
    for line in text.splitlines():
        if "!" not in line:
            continue
        # Only the application's data may hold a `!` of its own.
        name, context, exten, _priority, state, application, *rest = line.split("!")
        if len(rest) < 8:
            raise ValueError(f"not a channel: {line}")
        data = "!".join(rest[:-7])
        caller, _account, _peer, _flags, _seconds, bridge, uniqueid = rest[-7:]
        channels.append(Channel(name, context, exten, state, application, data, caller, bridge, uniqueid))
    return channels


def parse_bridge_ids(text: str) -> list[str]:
    """Parse `bridge show all`: the bridges' ids, ctid's own ones and empty ones too."""
    lines = text.splitlines()
    if not lines or not lines[0].startswith("Bridge-ID"):
        raise ValueError(f"not a list of bridges: {text[:80]}")
    return [line.split()[0] for line in lines[1:] if line.strip()]


def parse_bridge(text: str) -> Bridge:
    """Parse `bridge show <id>`."""
    pairs = [line.partition(":") for line in text.splitlines() if ":" in line]
    fields = {key.strip(): value.strip() for key, _, value in pairs}
    if "Id" not in fields:
        raise ValueError(f"not a bridge: {text[:80]}")
    channels = tuple(value.strip() for key, _, value in pairs if key.strip() == "Channel")
    creator, name = fields.get("Creator", ""), fields.get("Name", "")
    return Bridge(fields["Id"], fields["Type"], fields["Technology"], creator, name, channels)


_QUEUE = re.compile(r"(\S+) has \d+ calls \(max \S+\) in '(\S+)' strategy")
_MEMBER = re.compile(
    r"\s+(?P<name>.*?) \((?P<interface>(?:PJSIP|SIP|Local|Agent)/?\S*?)(?: from (?P<state_interface>\S+))?\)"
    r"(?: with penalty (?P<penalty>\d+))? \(ringinuse \w+\)(?P<dynamic> \(dynamic\))?(?: \(realtime\))?"
    r"(?P<in_call> \(in call\))?(?P<paused> \(paused(?::(?P<reason>.*?))?(?: was \d+ secs ago)?\))?"
    r" \((?P<state>[A-Za-z+& -]+)\) has taken "
)
_CALLER = re.compile(r"\s+(\d+)\. (\S+) \(wait: [\d:]+, prio: (-?\d+)\)")


def parse_queues(text: str) -> dict[str, QueueShown]:
    """Parse `queue show`, of one queue or of all: name -> queue."""
    queues: dict[str, QueueShown] = {}
    name = part = ""
    for line in text.splitlines():
        if head := _QUEUE.match(line):
            name = head[1]
            queues[name] = QueueShown(name, head[2], (), ())
        elif line.strip() in ("Members:", "Callers:", "No Members", "No Callers", ""):
            part = line.strip()
        elif part == "Members:":
            queues[name] = queues[name]._replace(members=(*queues[name].members, _member(line)))
        elif part == "Callers:" and (caller := _CALLER.match(line)):
            waiting = Caller(int(caller[1]), caller[2], int(caller[3]))
            queues[name] = queues[name]._replace(callers=(*queues[name].callers, waiting))
        else:
            raise ValueError(f"not of a queue: {line}")
    return queues


def _member(line: str) -> QueueMember:
    match = _MEMBER.match(line)
    if match is None:
        raise ValueError(f"not a member: {line}")
    return QueueMember(
        name=match["name"],
        interface=match["interface"],
        state_interface=match["state_interface"] or match["interface"],
        penalty=int(match["penalty"] or 0),
        dynamic=match["dynamic"] is not None,
        paused=match["paused"] is not None,
        reason=match["reason"] or "",
        in_call=match["in_call"] is not None,
        state=match["state"],
    )


def parse_endpoints(text: str) -> dict[str, str]:
    """Parse `pjsip show endpoints`: phone -> its device's state in Asterisk's words.

    `On Hold` is who was put on hold by the other side, not who holds.
    """
    found = re.findall(r"^ Endpoint: {2}(\w+)(?:/\S*)? +(\S.*?) +\d+ of ", text, re.MULTILINE)
    return dict(found)


def parse_queue_log(text: str) -> list[LogLine]:
    """Parse queue_log; what an agent's name may hold between `|` is not told apart."""
    lines = []
    for line in text.splitlines():
        fields = line.split("|")
        if len(fields) < 5 or not fields[0].isdigit():
            raise ValueError(f"not a line of queue_log: {line}")
        at, call, queue, agent, event, *data = fields
        lines.append(LogLine(int(at), call, queue, agent, event, tuple(data)))
    return lines


def parse_call_records(text: str) -> list[CallRecord]:
    """Parse cdr-csv/Master.csv, written with unique ids, the user field and the newer columns."""
    records = []
    for row in csv.reader(text.splitlines()):
        if len(row) != 21:
            raise ValueError(f"not a call record: {row}")
        _, source, destination, context, _, channel, to, application, data, start, answer, end = row[:12]
        duration, billable, disposition, _, uniqueid, _, _, linkedid, sequence = row[12:]
        records.append(
            CallRecord(
                source, destination, context, channel, to, application, data, start, answer, end,
                int(duration), int(billable), disposition, uniqueid, linkedid, int(sequence),
            )
        )  # fmt: skip
    return records

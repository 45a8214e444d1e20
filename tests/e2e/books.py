"""The PBX's own books, queue_log and CDR, against what ctid told of the same calls. Pure.

A moment is a tuple of its name, queue, caller's leg, agent and who did it; its lengths are in seconds.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from e2e.records import CallRecord, LogLine
from lab import roster

TOLERANCE_S = 1.0
"""Asterisk's books count whole seconds, each rounded for itself."""
_AGENTS = {agent.name: agent.number for agent in roster.AGENTS}
_LEFT = {"EXITWITHTIMEOUT": "timeout", "EXITEMPTY": "empty", "EXITWITHKEY": "key", "WITHDRAW": "withdrawn"}
_SERVED = {
    "COMPLETECALLER": "caller",
    "COMPLETEAGENT": "agent",
    "BLINDTRANSFER": "transfer",
    "ATTENDEDTRANSFER": "transfer",
}


class Moment(NamedTuple):
    """Something that happened to a caller in a queue. `lengths`: by the name of the figure, in seconds."""

    name: str
    queue: str
    leg: str
    agent: str
    by: str
    lengths: Mapping[str, float]

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """All of it but its lengths."""
        return self[:5]


def of_log(lines: Iterable[LogLine]) -> Iterator[Moment]:
    """What queue_log tells of callers, in its order. Raises KeyError for an agent that the rig has not."""
    for line in lines:
        agent = "" if line.agent == "NONE" else _AGENTS.get(line.agent, line.agent)
        data = line.data
        match line.event:
            case "ENTERQUEUE":
                name, by, lengths = "caller_queued", "", {}
            case "CONNECT":
                name, by = "caller_answered", ""
                lengths = {"hold_s": float(data[0]), "ring_s": float(data[2])}
            case "COMPLETECALLER" | "COMPLETEAGENT":
                name, by = "call_served", _SERVED[line.event]
                lengths = {"hold_s": float(data[0]), "talk_s": float(data[1])}
            case "BLINDTRANSFER" | "ATTENDEDTRANSFER":
                name, by = "call_served", _SERVED[line.event]
                lengths = {"hold_s": float(data[-3]), "talk_s": float(data[-2])}
            case "ABANDON":
                name, by, lengths = "caller_abandoned", "", {"wait_s": float(data[2])}
            case "EXITWITHTIMEOUT" | "EXITEMPTY":
                name, by, lengths = "caller_left", _LEFT[line.event], {"wait_s": float(data[2])}
            case "EXITWITHKEY":
                name, by, lengths = "caller_left", _LEFT[line.event], {"wait_s": float(data[3])}
            case "WITHDRAW":
                name, by, lengths = "caller_left", _LEFT[line.event], {}
            case "RINGNOANSWER":
                name, by, lengths = "offer_missed", "", {"ring_s": float(data[0]) / 1000}
            case _:
                continue
        yield Moment(name, line.queue, line.call, agent, by, lengths)


def of_ctid(told: Iterable[Mapping[str, Any]]) -> Iterator[Moment]:
    """The moments of callers among the occurrences that ctid told, in their order."""
    for moment in told:
        if moment["queue"] is not None and moment["name"] != "state_drifted":
            lengths = {name: value for name, value in moment["figures"].items() if name.endswith("_s")}
            yield Moment(
                moment["name"], moment["queue"], moment["leg"], moment["agent"] or "", moment["by"], lengths
            )


def aliases(wire: bytes) -> dict[str, str]:
    """The unique ids under which queue_log has a caller, by what AMI told: id -> that of the caller's phone.

    A Local half waits on behalf of a phone, whose call its linked id names. Who takes over the place of a
    transferer in an application has her id in some of the lines, and his own in others.
    """
    found: dict[str, str] = {}
    for block in wire.decode(errors="replace").split("\r\n\r\n"):
        fields = dict(line.partition(": ")[::2] for line in block.split("\r\n"))
        match fields.get("Event"), fields.get("DestType"):
            case "Newchannel", _ if fields["Channel"].startswith("Local/"):
                found[fields["Uniqueid"]] = fields["Linkedid"]
            case "AttendedTransfer", "App":
                found[fields["SecondTransfererUniqueid"]] = fields["TransfereeUniqueid"]
    return found


def moments_differ(
    log: Iterable[Moment], told: Iterable[Moment], known_as: Mapping[str, str]
) -> Iterator[str]:
    """Where ctid told other moments than queue_log has, or other lengths; `known_as`: see `aliases`."""
    missing = [moment._replace(leg=known_as.get(moment.leg, moment.leg)) for moment in log]
    for moment in (moment._replace(leg=known_as.get(moment.leg, moment.leg)) for moment in told):
        same = [other for other in missing if other.key == moment.key]
        if not same:
            yield f"queue_log has no {' '.join(moment.key)} {dict(moment.lengths)}"
            continue
        other = same[0]
        missing.remove(other)
        for name, length in other.lengths.items():
            if abs(moment.lengths.get(name, -9.0) - length) > TOLERANCE_S:
                yield f"{' '.join(moment.key)}: {name} {moment.lengths.get(name)}, in queue_log {length}"
    for moment in missing:
        yield f"ctid did not tell {' '.join(moment.key)} {dict(moment.lengths)}"


def figures_differ(log: Iterable[Moment], figures: Mapping[str, Any]) -> Iterator[str]:
    """Where `GET /figures` of a window counts other than queue_log does in it."""
    moments = list(log)
    told = {queue["queue"]: queue for queue in figures["queues"]}
    for name in sorted({moment.queue for moment in moments} | told.keys()):
        of_queue = [moment for moment in moments if moment.queue == name]
        counted = _counted(of_queue)
        for figure, value in counted.items():
            mine = told.get(name, {}).get(figure, 0)
            spread = TOLERANCE_S * len(of_queue) if figure.endswith("_s") else 0
            if abs(mine - value) > spread:
                yield f"figures of {name}: {figure} is {mine}, in queue_log {value}"
        left = sorted(moment.by for moment in of_queue if moment.name == "caller_left")
        mine_left = sorted(
            reason for reason, n in told.get(name, {}).get("left", {}).items() for _ in range(n)
        )
        if left != mine_left:
            yield f"figures of {name}: left {mine_left}, in queue_log {left}"
    agents = {agent["agent"]: agent for agent in figures["agents"]}
    for number in sorted({moment.agent for moment in moments if moment.agent} | agents.keys()):
        counted = _counted([moment for moment in moments if moment.agent == number])
        for figure in ("answered", "missed", "served", "talk_s"):
            mine = agents.get(number, {}).get(figure, 0)
            spread = TOLERANCE_S * len(moments) if figure.endswith("_s") else 0
            if abs(mine - counted[figure]) > spread:
                yield f"figures of agent {number}: {figure} is {mine}, in queue_log {counted[figure]}"


def _counted(moments: list[Moment]) -> dict[str, float]:
    def count(name: str) -> int:
        return sum(moment.name == name for moment in moments)

    def total(name: str, length: str) -> float:
        return sum(moment.lengths.get(length, 0.0) for moment in moments if moment.name == name)

    return {
        "offered": count("caller_queued"),
        "answered": count("caller_answered"),
        "abandoned": count("caller_abandoned"),
        "missed": count("offer_missed"),
        "served": count("call_served"),
        "hold_s": total("caller_answered", "hold_s"),
        "talk_s": total("call_served", "talk_s"),
    }


def records_differ(rows: list[CallRecord], ended: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Where the calls that ended are others than the CDRs tell of, or began, or ended, at other times.

    `ended`: the calls as ctid told them last, by id. Each row's channel is of a call by its linked id or its
    own unique id, one of the call's `aliases`.
    """
    # The standing call of a pool's agent goes on in ctid while it is none.
    standing = {f"lab.{row.uniqueid}" for row in rows if row.application == "AgentLogin"}
    rows = [row for row in rows if row.application != "AgentLogin"]
    ended = {ident: call for ident, call in ended.items() if ident not in standing}
    final = {ident: _final(ident, ended) for ident in ended}
    of_alias = {alias: final[ident] for ident, call in ended.items() for alias in call["aliases"]}
    of_alias |= {ident.partition(".")[2]: into for ident, into in final.items()}
    by_call: dict[str, list[CallRecord]] = {}
    for row in rows:
        call = of_alias.get(row.uniqueid) or of_alias.get(row.linkedid)
        if call is None:
            yield f"CDR {row.uniqueid} (linked {row.linkedid}) of {row.channel} is of no call of ctid's"
        else:
            by_call.setdefault(call, []).append(row)
    for ident in sorted(set(final.values())):
        parts = [ended[part] for part, into in final.items() if into == ident and part in ended]
        if ident not in by_call:
            yield f"call {ident} has no CDR"
            continue
        yield from _times_differ(ident, by_call[ident], parts)


def _final(ident: str, ended: Mapping[str, Mapping[str, Any]]) -> str:
    """The call that this one became; merged once or several times."""
    seen = {ident}
    while (into := ended.get(ident, {}).get("merged_into")) and into not in seen:
        ident = into
        seen.add(ident)
    return ident


def _times_differ(ident: str, rows: list[CallRecord], parts: list[Mapping[str, Any]]) -> Iterator[str]:
    began = min(datetime.fromisoformat(part["started_at"]).timestamp() for part in parts)
    over = max(datetime.fromisoformat(part["ended_at"]).timestamp() for part in parts)
    first = min(_epoch(row.start) for row in rows)
    last = max(_epoch(row.end) for row in rows)
    # A CDR's second is cut off, not rounded.
    if not -TOLERANCE_S <= began - first <= 1 + TOLERANCE_S:
        yield f"call {ident} began at {began:.3f}, by its CDRs at {first:.0f}"
    if not -TOLERANCE_S <= over - last <= 1 + TOLERANCE_S:
        yield f"call {ident} ended at {over:.3f}, by its CDRs at {last:.0f}"


def _epoch(text: str) -> float:
    return datetime.fromisoformat(f"{text}+00:00").timestamp()

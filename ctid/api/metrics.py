"""Figures in the Prometheus text exposition format 0.0.4. Without a token, so without names of people."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ctid.api.context import ApiContext
from ctid.model.words import AgentState, CallState, LinkState
from ctid.webhooks.words import WebhookState, WebhookStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_Labels = Mapping[str, str]
_BROKER_COUNTERS = ("published", "dropped")


class RequestCounts:
    """How many requests each operation had, by carrier and status."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str, int]] = Counter()

    def count(self, carrier: str, operation: str, status: int) -> None:
        """Count one; `operation` is a name of the table, or one of few fixed words."""
        self.counts[carrier, operation, status] += 1


def render(context: ApiContext, requests: RequestCounts, sockets: int, streams: int) -> str:
    """All figures, each family with its help."""
    store, now = context.hub.store, context.clock.now()
    lines: list[str] = []

    def family(name: str, kind: str, text: str, samples: Iterable[tuple[_Labels, float]]) -> None:
        lines.append(f"# HELP {name} {text}")
        lines.append(f"# TYPE {name} {kind}")
        lines.extend(f"{name}{_labels(labels)} {_number(value)}" for labels, value in samples)

    family("ctid_build_info", "gauge", "The version that runs.", [({"version": context.version}, 1)])
    family(
        "ctid_start_time_seconds",
        "gauge",
        "When it started, seconds since the epoch.",
        [({}, context.started_at)],
    )
    links = {pbx: store.pbxs.get(pbx) for pbx in sorted({*context.required, *store.pbxs})}
    family(
        "ctid_pbx_up",
        "gauge",
        "Whether the link to the PBX is up.",
        [
            ({"pbx": pbx}, link is not None and link.state is LinkState.CONNECTED)
            for pbx, link in links.items()
        ],
    )
    family(
        "ctid_pbx_synchronized_seconds",
        "gauge",
        "When the last snapshot was taken, seconds since the epoch.",
        [
            ({"pbx": pbx}, link.synchronized_at)
            for pbx, link in links.items()
            if link is not None and link.synchronized_at is not None
        ],
    )
    family(
        "ctid_state_drift_total",
        "counter",
        "Differences between what was told and a snapshot, by kind, since the start.",
        [({"pbx": pbx, "kind": kind}, count) for (pbx, kind), count in sorted(store.drifts.items())],
    )
    suspects = Counter(
        (entity.pbx, entity.kind)
        for table in (store.agents, store.devices, store.calls)
        for entity in table.values()
        if entity.suspect
    )
    family(
        "ctid_suspects",
        "gauge",
        "Entities that the PBX's lists do not bear out, by kind.",
        [({"pbx": p, "kind": k}, suspects[p, k]) for p in links for k in ("agent", "device", "call")],
    )
    agents = Counter((agent.pbx, agent.state) for agent in store.agents.values())
    family(
        "ctid_agents",
        "gauge",
        "Agents by state.",
        [({"pbx": pbx, "state": state}, agents[pbx, state]) for pbx in links for state in AgentState],
    )
    calls = Counter((call.pbx, call.state) for call in store.calls.values())
    live = [state for state in CallState if state is not CallState.ENDED]
    family(
        "ctid_calls",
        "gauge",
        "Live calls by state.",
        [({"pbx": pbx, "state": state}, calls[pbx, state]) for pbx in links for state in live],
    )
    queues = sorted(store.queues.values(), key=lambda queue: queue.id)
    family(
        "ctid_queue_waiting",
        "gauge",
        "Callers who wait.",
        [({"pbx": queue.pbx, "queue": queue.id}, len(queue.waiting)) for queue in queues],
    )
    family(
        "ctid_queue_longest_wait_seconds",
        "gauge",
        "How long the one who waits longest has waited; 0 when nobody does.",
        [
            (
                {"pbx": queue.pbx, "queue": queue.id},
                max((max(now - caller.since, 0.0) for caller in queue.waiting), default=0.0),
            )
            for queue in queues
        ],
    )
    family("ctid_updates_total", "counter", "Updates of the state since the start.", [({}, store.seq)])
    family("ctid_websocket_subscribers", "gauge", "Clients that follow the events.", [({}, sockets)])
    family("ctid_sse_subscribers", "gauge", "The same, by server-sent events.", [({}, streams)])
    family(
        "ctid_api_requests_total",
        "counter",
        "Requests by carrier, operation and status.",
        [
            ({"carrier": carrier, "operation": operation, "status": str(status)}, count)
            for (carrier, operation, status), count in sorted(requests.counts.items())
        ],
    )
    ledger = context.history.status()
    family("ctid_history_behind", "gauge", "Whether the ledger cannot be written.", [({}, ledger.behind)])
    family("ctid_history_waiting", "gauge", "Moments that are not in the ledger yet.", [({}, ledger.waiting)])
    family("ctid_history_gaps_open", "gauge", "Gaps that are not filled yet.", [({}, ledger.gaps_open)])
    family(
        "ctid_history_dropped_total",
        "counter",
        "Moments that the memory had no room for, a gap until the PBX's log is read.",
        [({}, ledger.dropped)],
    )
    _webhooks(context.webhooks.status(), family)
    if context.broker_status is not None:
        _broker(context.broker_status(), family)
    return "\n".join(lines) + "\n"


def _broker(status: Mapping[str, Any], family: Any) -> None:
    connected = bool(status.get("connected"))
    family("ctid_broker_up", "gauge", "Whether the MQTT broker is connected.", [({}, connected)])
    for name in _BROKER_COUNTERS:
        value = status.get(name)
        if isinstance(value, int):
            family(f"ctid_broker_{name}_total", "counter", f"Messages {name}.", [({}, value)])


def _webhooks(hooks: Sequence[WebhookStatus], family: Any) -> None:
    if not hooks:
        return
    for name, kind, text in (
        ("delivered_total", "counter", "Events that its receiver has taken, since the start."),
        ("dropped_total", "counter", "Events that were not kept for it, since the start."),
        ("waiting", "gauge", "Events that wait to be sent."),
        ("dead", "gauge", "Events that were given up and are still kept."),
    ):
        values = [({"webhook": hook.name}, getattr(hook, name.removesuffix("_total"))) for hook in hooks]
        family(f"ctid_webhook_{name}", kind, text, values)
    up = [({"webhook": hook.name}, hook.state is WebhookState.OK) for hook in hooks]
    family("ctid_webhook_up", "gauge", "Whether its receiver takes events.", up)


def _labels(labels: _Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))

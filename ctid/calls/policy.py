"""What the configuration says of acting on calls. Pure."""

from collections.abc import Mapping

from msgspec import Struct, field

from ctid.model.ids import AgentId, QueueId


class CallPolicy(Struct, frozen=True, kw_only=True):
    """All of it.

    `context` is the part of the PBX's dialplan in which numbers are dialled and calls go on; `prefixes` are
    how the numbers begin that may be dialled, beside agents and queues. `queue_numbers` are what enters a
    queue, where that is not its own name; `addresses` by what the configuration reaches agents. Files of
    recordings go into `directory` of the PBX (empty: its monitor folder), in `format`; `ring_s` in seconds.
    """

    context: str = "from-internal"
    prefixes: tuple[str, ...] = ()
    ring_s: float = 30.0
    sender: str = "ctid"
    queue_numbers: Mapping[QueueId, str] = field(default_factory=dict)
    addresses: Mapping[AgentId, str] = field(default_factory=dict)
    directory: str = ""
    format: str = "wav"

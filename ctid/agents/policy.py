"""What the configuration says of commanding agents. Pure."""

from collections.abc import Mapping

from msgspec import Struct, field

from ctid.model.ids import AgentId, PbxId, QueueId


class Placement(Struct, frozen=True, kw_only=True):
    """An agent whom the configuration knows: she can be logged in though no queue has her yet.

    `queues` are those of a login without any named; `address` is what the PBX dials, none leaves it to
    the PBX's driver.
    """

    name: str = ""
    team: str = ""
    address: str | None = None
    queues: tuple[QueueId, ...] = ()


class Policy(Struct, frozen=True, kw_only=True):
    """All of it. `pbx` is where an agent is sought whom no queue has yet.

    With no `pause_reasons` a reason is free text. `work_reason` is the reason of the pause by which
    after-call work is enforced; empty when it is not.
    """

    pbx: PbxId
    placements: Mapping[AgentId, Placement] = field(default_factory=dict)
    pause_reasons: tuple[str, ...] = ()
    work_reason: str = ""

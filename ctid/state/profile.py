"""What the configuration says of people, queues and phones, as the state needs it."""

from collections.abc import Mapping

from msgspec import Struct, field

from ctid.model.ids import AgentId, DeviceId, PbxId, QueueId


class AgentProfile(Struct, frozen=True, kw_only=True):
    """A name and a team for an agent whom the PBX only knows by an address.

    `after_call_work_s` is her team's, in seconds; 0 leaves it to others. `pbx` is where she is logged out as
    long as no queue has her; none: she is not known before.
    """

    name: str = ""
    team: str = ""
    after_call_work_s: float = 0.0
    pbx: PbxId | None = None


class QueueProfile(Struct, frozen=True, kw_only=True):
    """A queue's name for people, and its after-call work in seconds (0: the member's own)."""

    name: str = ""
    wrapup_s: float = 0.0


class Profiles(Struct, frozen=True, kw_only=True):
    """All of them. `phones` are the supervisors' devices, which are never customers.

    `after_call_work_s` is the site's own length, where neither queue, team nor PBX gives one. A pause with
    the reason `after_call_work_reason` is ctid's own: after-call work made known to the PBX.
    """

    agents: Mapping[AgentId, AgentProfile] = field(default_factory=dict)
    queues: Mapping[QueueId, QueueProfile] = field(default_factory=dict)
    phones: frozenset[DeviceId] = frozenset()
    after_call_work_s: float = 0.0
    after_call_work_reason: str = ""

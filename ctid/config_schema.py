"""What the configuration file may say; defaults are written here once, `config/ctid.toml` tells each."""

from pathlib import Path
from typing import Any, Literal

from msgspec import Struct, field

from ctid.config_secrets import Secret
from ctid.model.users import UserRole


class HttpConfig(Struct, frozen=True, kw_only=True):
    """Where the API listens. It speaks no TLS: beyond the loopback it belongs behind a proxy that does."""

    listen: str = "127.0.0.1:8080"
    allow_remote: bool = False

    @property
    def host(self) -> str:
        """The address to bind to, without brackets."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The TCP port to bind to."""
        return int(self.listen.rpartition(":")[2])


class MqttConfig(Struct, frozen=True, kw_only=True):
    """The broker. Topics are `<base>/<site>/…`; `numbers` says how callers' numbers appear there."""

    url: str = "mqtt://127.0.0.1:1883"
    base: str = "ctid"
    username: str = ""
    password: Secret = Secret()
    numbers: Literal["masked", "full"] = "masked"
    protocol: Literal["auto", "5", "3.1.1"] = "auto"


class LogConfig(Struct, frozen=True, kw_only=True):
    """How much is logged, and how: `auto` is `console` on a terminal and `json` elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json", "auto"] = "auto"


class PbxConfig(Struct, frozen=True, kw_only=True):
    """A PBX and its driver. `settings` are the keys that only the driver knows, secrets already read."""

    id: str
    driver: str
    required: bool = True
    """Whether ctid counts as ready only while the link to this PBX is up."""
    settings: dict[str, Any] = {}


class TokenConfig(Struct, frozen=True, kw_only=True):
    """Who may call the API: the SHA-256 of a token, in hex, and the role and phones of its bearer."""

    name: str
    role: UserRole
    sha256: str
    phones: tuple[str, ...] = ()
    lab: bool = False
    """A token that is public knowledge; refused unless the API listens on the loopback alone."""


class PhoneConfig(Struct, frozen=True, kw_only=True):
    """A supervisor's phone: `address` is what the PBX dials, such as `PJSIP/2001`."""

    name: str
    pbx: str
    address: str


class AgentConfig(Struct, frozen=True, kw_only=True):
    """A name and a team for an agent; who is an agent, the PBX's queues say."""

    id: str
    name: str = ""
    team: str = ""


class QueueConfig(Struct, frozen=True, kw_only=True):
    """A name for a queue, and its after-call work in seconds (0: what the PBX says)."""

    id: str
    name: str = ""
    wrapup_s: float = 0.0


class SupervisionConfig(Struct, frozen=True, kw_only=True):
    """Listening to calls. `ring_s` bounds the ringing of the supervisor's phone, in seconds."""

    ring_s: float = 20.0
    phone_keys: bool = False
    """Whether keys pressed on the supervisor's phone may switch the mode at all."""
    phone_keys_roles: tuple[UserRole, ...] = (UserRole.SUPERVISOR, UserRole.ADMIN)


class Config(Struct, frozen=True, kw_only=True):
    """The whole of it. The file's names of the arrays are singular: `[[token]]`, `[[phone]]` and so on."""

    site: str = "main"
    state_directory: Path = Path("/var/lib/ctid")
    http: HttpConfig = HttpConfig()
    mqtt: MqttConfig | None = None
    log: LogConfig = LogConfig()
    pbx: tuple[PbxConfig, ...]
    tokens: tuple[TokenConfig, ...] = field(default=(), name="token")
    phones: tuple[PhoneConfig, ...] = field(default=(), name="phone")
    agents: tuple[AgentConfig, ...] = field(default=(), name="agent")
    queues: tuple[QueueConfig, ...] = field(default=(), name="queue")
    supervision: SupervisionConfig = SupervisionConfig()

"""What the configuration file may say; defaults are written here once, `config/ctid.toml` tells each."""

from pathlib import Path
from typing import Any, Literal

from msgspec import Struct, field

from ctid.coaching.sheets import Criterion
from ctid.config_secrets import Secret
from ctid.identity.claims import Group
from ctid.model.instant import Instant
from ctid.model.users import Right, UserRole
from ctid.model.words import NoticeKind
from ctid.rates import COMMANDS, FAILURES, READS
from ctid.supervision.law import Law

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class HttpConfig(Struct, frozen=True, kw_only=True):
    """Where the API listens: beyond the loopback with TLS of its own, or behind a proxy that does it.

    Of each user's commands and reads, and of requests without a good token from each peer address: so many
    a second, and so many at once.
    """

    listen: str = "127.0.0.1:8080"
    allow_remote: bool = False
    """Whether other machines may send tokens in clear."""
    tls_cert: str = ""
    """PEM, the server's certificate first, then its chain; empty: no TLS."""
    tls_key: str = ""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks of proxies that are believed when they say whom a request comes from."""
    cors_origins: tuple[str, ...] = ()
    """Of which origins web pages may use the API."""
    commands_per_s: float = COMMANDS.per_s
    commands_burst: int = COMMANDS.burst
    reads_per_s: float = READS.per_s
    reads_burst: int = READS.burst
    failures_per_s: float = FAILURES.per_s
    failures_burst: int = FAILURES.burst

    @property
    def host(self) -> str:
        """The address to bind to, without brackets."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The TCP port to bind to."""
        return int(self.listen.rpartition(":")[2])


class MqttConfig(Struct, frozen=True, kw_only=True):
    """The broker. Topics are `<base>/<site>/…`; `numbers` says how callers' numbers appear there.

    `tls_ca`, `tls_cert` and `tls_key` are files as PEM: absolute, or in `$CREDENTIALS_DIRECTORY`. Without
    `tls_ca` the machine's authorities are trusted; without `tls_key` the key is in `tls_cert`.
    """

    url: str = "mqtt://127.0.0.1:1883"
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    base: str = "ctid"
    username: str = ""
    password: Secret = Secret()
    numbers: Literal["masked", "full"] = "masked"
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    commands: bool = False
    """Whether what clients publish below `command` is carried out with the rights of their token."""
    home_assistant: bool = False
    """Whether Home Assistant is told of the site, by its discovery on `<home_assistant_prefix>/…`."""
    home_assistant_prefix: str = "homeassistant"


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
    """Who may call the API: the SHA-256 of a token, in hex, and the role and phones of its bearer.

    `expires`: from then on it is good no more; none: it does not expire.
    """

    name: str
    role: UserRole
    sha256: str
    phones: tuple[str, ...] = ()
    expires: Instant | None = None
    teams: tuple[str, ...] = ()
    """Her own teams; `*`: every one."""
    agent: str = ""
    """Who she is among the agents."""
    lab: bool = False
    """A token that is public knowledge; refused unless the API listens on the loopback alone."""
    scopes: tuple[str, ...] = ()
    """What of its role's operations it may do; none: all."""


class SessionsConfig(Struct, frozen=True, kw_only=True):
    """How long the session of somebody who logs in lasts: unused, in minutes, and at all, in hours."""

    idle_minutes: float = 60.0
    longest_hours: float = 12.0


class OidcConfig(Struct, frozen=True, kw_only=True):
    """The OpenID provider whose people may log in, and what its groups are here."""

    issuer: str
    client_id: str
    client_secret: Secret = Secret()
    redirect_uri: str
    """Where the provider sends browsers back to: `https://…/api/v1/oidc/callback`."""
    scopes: tuple[str, ...] = ("openid", "profile")
    name_claim: str = "preferred_username"
    groups_claim: str = "groups"
    agent_claim: str = ""
    groups: tuple[Group, ...] = field(default=(), name="group")


class PhoneConfig(Struct, frozen=True, kw_only=True):
    """A supervisor's phone: `address` is what the PBX dials, such as `PJSIP/2001`.

    One that is `outside` is a number behind a trunk, or may be in anybody's hands: whoever answers has to
    enter the `pin` before she hears anything.
    """

    name: str
    pbx: str
    address: str
    outside: bool = False
    pin: Secret = Secret()


class AgentConfig(Struct, frozen=True, kw_only=True):
    """A name and a team for an agent; who is one, the PBX's queues say, and `queues` those she can log in to.

    `address` is what the PBX dials to reach her, such as `PJSIP/1001`; empty leaves it to the driver.
    """

    id: str
    name: str = ""
    team: str = ""
    address: str = ""
    queues: tuple[str, ...] = ()
    protected: bool = False
    """A representative of the staff: nobody may monitor her."""
    supervisor: bool = False
    """Monitored only by who has the right `supervisors`."""


class TeamConfig(Struct, frozen=True, kw_only=True):
    """A team: its after-call work in seconds (0: what the PBX says, or `[after_call_work]`), and its notice.

    `notice` is how its agents are told that they are listened to.
    """

    id: str
    name: str = ""
    after_call_work_s: float = 0.0
    notice: NoticeKind = NoticeKind.MQTT


class QueueConfig(Struct, frozen=True, kw_only=True):
    """A name for a queue, and its after-call work in seconds (0: her team's, or what the PBX says).

    `number` is what is dialled to enter it; empty: its id.
    """

    id: str
    name: str = ""
    number: str = ""
    wrapup_s: float = 0.0


class ReconcileConfig(Struct, frozen=True, kw_only=True):
    """Comparing what is known with the PBX's own lists, every `every_s` seconds; 0: only when asked to."""

    every_s: float = 60.0


class HistoryConfig(Struct, frozen=True, kw_only=True):
    """The ledger of the queues' moments; what is older than `keep_days` is taken out of it."""

    keep_days: int = 400


class RetentionConfig(Struct, frozen=True, kw_only=True):
    """For how many days each class of what is kept about people stays; the ledger has `[history]`."""

    audit_days: int = 365
    sheets_days: int = 365
    help_days: int = 365
    recordings_days: int = 180
    webhooks_days: int = 7


class SupervisionConfig(Struct, frozen=True, kw_only=True):
    """Listening to calls. `ring_s` bounds the ringing of the supervisor's phone, in seconds."""

    ring_s: float = 20.0
    phone_keys: bool = False
    """Whether keys pressed on the supervisor's phone may switch the mode at all."""
    phone_keys_roles: tuple[UserRole, ...] = (UserRole.SUPERVISOR, UserRole.ADMIN)
    outside_prefixes: tuple[str, ...] = ()
    """How the numbers begin that an outside phone may have; none: no outside number at all."""
    notice_text: str = "A supervisor listens to this call."
    """What an agent reads on her phone where her team's notice is a message."""


class GrantConfig(Struct, frozen=True, kw_only=True):
    """Rights of a role, or of the token of one name, over teams: ids, `own` or `*`."""

    role: UserRole | None = None
    user: str = ""
    teams: tuple[str, ...]
    rights: tuple[Right, ...]


class LawConfig(Law, frozen=True, kw_only=True):
    """What bounds the listening to agents. `timezone`: such as `Europe/Paris`; empty: the machine's."""

    timezone: str = ""


class PeriodConfig(Struct, frozen=True, kw_only=True):
    """When the agents of a team (`*`: of all) may be listened to, on `days` of the week and on `dates`."""

    team: str
    days: tuple[Day, ...] = ()
    dates: tuple[str, ...] = ()
    begins: str = field(name="from")
    ends: str = field(name="to")


class CallsConfig(Struct, frozen=True, kw_only=True):
    """Acting on calls: where in the dialplan numbers are dialled, and which; `ring_s` in seconds."""

    context: str = "from-internal"
    allowed_prefixes: tuple[str, ...] = ()
    ring_s: float = 30.0
    message_from: str = "ctid"
    """The name that a phone shows with a text."""


class RecordingConfig(Struct, frozen=True, kw_only=True):
    """Recordings: where on the PBX, and in which format."""

    directory: str = ""
    format: Literal["wav", "gsm", "ulaw", "alaw"] = "wav"


class HelpConfig(Struct, frozen=True, kw_only=True):
    """Raised hands. One that nobody has taken ends by itself after `expires_s` seconds."""

    expires_s: float = 300.0


class CoachingConfig(Struct, frozen=True, kw_only=True):
    """Coaching sheets: their grid, and for how many hours an author may change one."""

    edit_hours: float = 24.0
    grid: tuple[Criterion, ...] = (
        Criterion(id="greeting", label="Greeting"),
        Criterion(id="listening", label="Listening"),
        Criterion(id="solution", label="Solution"),
        Criterion(id="closing", label="Closing"),
    )


class WebhookConfig(Struct, frozen=True, kw_only=True):
    """Where events are sent by POST, and which: `events` are types such as `call.answered`, `call.*`, `*`.

    With `queues` or `teams`, only what is about one of them. `timeout_s` bounds an answer, in seconds.
    """

    name: str
    url: str
    events: tuple[str, ...]
    secret: Secret = Secret()
    """What it is signed with: `whsec_` and 24 to 64 bytes in base64."""
    old_secret: Secret = Secret()
    """The one before, while receivers change over: then it is signed with both."""
    queues: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    numbers: Literal["masked", "full"] = "masked"
    pop_url: str = ""
    """The address that a CRM opens for a call, with words such as `{number}` in it."""
    timeout_s: float = 10.0
    allow_plain: bool = False
    """Whether it may be sent over http to another machine."""
    tls_ca: str = ""
    """A file of certificates (PEM) to know the receiver by; empty: the system's."""


class AgentRules(Struct, frozen=True, kw_only=True):
    """What holds for commands to agents. With no `pause_reasons` any text is one."""

    pause_reasons: tuple[str, ...] = ()


class AfterCallWorkConfig(Struct, frozen=True, kw_only=True):
    """After-call work where neither queue, team nor PBX gives a length, in seconds; `enforce`: by a pause."""

    default_s: float = 0.0
    enforce: bool = False
    reason: str = "after_call_work"


class Config(Struct, frozen=True, kw_only=True):
    """The whole of it. The file's names of the arrays are singular: `[[token]]`, `[[phone]]` and so on."""

    site: str = "main"
    state_directory: Path = Path("/var/lib/ctid")
    http: HttpConfig = HttpConfig()
    mqtt: MqttConfig | None = None
    log: LogConfig = LogConfig()
    pbx: tuple[PbxConfig, ...]
    tokens: tuple[TokenConfig, ...] = field(default=(), name="token")
    sessions: SessionsConfig = SessionsConfig()
    oidc: OidcConfig | None = None
    phones: tuple[PhoneConfig, ...] = field(default=(), name="phone")
    agents: tuple[AgentConfig, ...] = field(default=(), name="agent")
    teams: tuple[TeamConfig, ...] = field(default=(), name="team")
    queues: tuple[QueueConfig, ...] = field(default=(), name="queue")
    agent_rules: AgentRules = field(default=AgentRules(), name="agents")
    after_call_work: AfterCallWorkConfig = AfterCallWorkConfig()
    supervision: SupervisionConfig = SupervisionConfig()
    grants: tuple[GrantConfig, ...] = field(default=(), name="grant")
    law: LawConfig = LawConfig()
    periods: tuple[PeriodConfig, ...] = field(default=(), name="period")
    help: HelpConfig = HelpConfig()
    coaching: CoachingConfig = CoachingConfig()
    reconcile: ReconcileConfig = ReconcileConfig()
    history: HistoryConfig = HistoryConfig()
    retention: RetentionConfig = RetentionConfig()
    calls: CallsConfig = CallsConfig()
    recording: RecordingConfig = RecordingConfig()
    webhooks: tuple[WebhookConfig, ...] = field(default=(), name="webhook")

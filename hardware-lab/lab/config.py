"""Writes the whole configuration of a rig's Asterisk and broker from the templates in hardware-lab/etc."""

import getpass
import re
import wave
from pathlib import Path

import msgspec

from lab import roster
from lab.errors import LabError
from lab.ports import RTP_PORTS, Ports
from lab.root import Root

TEMPLATES = Path(__file__).resolve().parent.parent / "etc"
CHECKOUT = TEMPLATES.parent.parent
SHIPPED = CHECKOUT / "config" / "asterisk"
BROKER_TEMPLATE = "mosquitto.conf"
UNUSED = ("acl", "ccss", "pjproject", "queuerules", "stasis", "udptl", "websocket_client")
"""Configuration files that may be empty; without them Asterisk starts its log with errors."""
SOCKET_PATH_LIMIT = 107
"""Bytes of a path of a unix socket (unix(7)); Asterisk's console socket lives in the run folder."""


class RigOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What may differ between rigs.

    `direct_media` lets phones exchange RTP directly; `persist` lets the broker keep retained messages over
    its restart; `suite` is the distribution suite of the root (None: what `CTID_LAB_SUITE` names, else what
    the machine's apt suggests).
    `ari` is false for an Asterisk without ARI, on which ctid's user may do what it then needs.
    `scenarios` adds the queues of `roster.EXTRA_QUEUES`, and qualifies the phone `roster.QUALIFIED`.
    """

    direct_media: bool = False
    persist: bool = False
    scenarios: bool = False
    ari: bool = True
    suite: str | None = None


class RigPaths(msgspec.Struct, frozen=True):
    """The folders of a rig, all below `base`."""

    base: Path

    @property
    def etc(self) -> Path:
        """Asterisk's configuration."""
        return self.base / "etc"

    @property
    def log(self) -> Path:
        """Logs of all programs, the queue log and the call records."""
        return self.base / "log"

    @property
    def run(self) -> Path:
        """Asterisk's console socket and pid file."""
        return self.base / "run"

    @property
    def var(self) -> Path:
        """Asterisk's database."""
        return self.base / "var"

    @property
    def spool(self) -> Path:
        """Recordings."""
        return self.base / "spool"

    @property
    def mosquitto(self) -> Path:
        """The broker's configuration and retained messages."""
        return self.base / "mosquitto"

    @property
    def silence(self) -> Path:
        """The music on hold: a silent file."""
        return self.base / "silence"

    @property
    def asterisk_conf(self) -> Path:
        """The file that Asterisk and its console are started with."""
        return self.etc / "asterisk.conf"

    @property
    def broker_conf(self) -> Path:
        """The file that mosquitto is started with."""
        return self.mosquitto / BROKER_TEMPLATE

    @property
    def queue_log(self) -> Path:
        """Asterisk's own record of the queues."""
        return self.log / "queue_log"

    @property
    def call_records(self) -> Path:
        """Asterisk's own call detail records (CSV)."""
        return self.log / "cdr-csv/Master.csv"


def fill(template: str, values: dict[str, str]) -> str:
    """Replace each `@{name}` in `template`. Raises `KeyError` for a name that `values` lacks."""
    return re.sub(r"@\{(\w+)\}", lambda match: values[match[1]], template)


def _phone(number: str, name: str, context: str, *, qualified: bool = False) -> str:
    qualify = (f"qualify_frequency = {roster.QUALIFY_SECONDS}", "qualify_timeout = 1.0") if qualified else ()
    return "\n".join(
        [
            f"[{number}](phone)",
            f"context = {context}",
            f"auth = {number}",
            f"aors = {number}",
            f'callerid = "{name}" <{number}>',
            f"[{number}](phone-auth)",
            f"username = {number}",
            f"password = {roster.password(number)}",
            f"[{number}](phone-aor)",
            *qualify,
            "",
        ]
    )


def _phones(qualified: str | None) -> str:
    agents = [
        _phone(agent.number, agent.name, "from-internal", qualified=agent.number == qualified)
        for agent in roster.AGENTS
    ]
    supervisors = [_phone(number, f"Supervisor {number}", "from-internal") for number in roster.SUPERVISORS]
    customers = [_phone(number, f"Customer {number}", "from-customers") for number in roster.CUSTOMERS]
    return "\n".join(agents + supervisors + customers)


def _extra_queues() -> str:
    names = {agent.number: agent.name for agent in roster.AGENTS}
    lines = []
    for queue in roster.EXTRA_QUEUES:
        lines += [f"[{queue.name}](lab)", f"strategy = {queue.strategy}", *queue.settings]
        for number, form in queue.members:
            interface, _, state = form.format(number=number).partition(",")
            lines.append(f"member => {interface},0,{names[number]}" + (f",{state}" if state else ""))
        lines.append("")
    return "\n".join(lines)


def _pooled() -> str:
    return "\n".join(f"[{agent.number}](pooled)\nfullname = {agent.name}\n" for agent in roster.AGENTS)


def _queues() -> str:
    lines = []
    for queue in roster.QUEUES:
        lines += [f"[{queue.name}](lab)", f"strategy = {queue.strategy}", f"wrapuptime = {queue.wrapup}"]
        for agent in roster.AGENTS:
            if queue.name in agent.queues:
                member = roster.interface(agent)
                state = f"hint:{agent.number}@ext-local" if member.startswith("Local/") else member
                lines.append(f"member => {member},0,{agent.name},{state}")
        lines.append("")
    return "\n".join(lines)


def _hints() -> str:
    numbers = [agent.number for agent in roster.AGENTS] + list(roster.SUPERVISORS)
    return "\n".join(f"exten => {number},hint,PJSIP/{number}" for number in numbers)


def _interfaces() -> str:
    named = [agent for agent in roster.AGENTS if roster.interface(agent).startswith("Local/")]
    return "\n".join(f"exten => {agent.number},1,Return({roster.interface(agent)})" for agent in named)


def _present(text: str, modules: set[str]) -> str:
    """`modules.conf` without the modules that this Asterisk does not have: older ones have fewer."""
    lines = text.splitlines(keepends=True)
    return "".join(
        line for line in lines if not line.startswith("load") or line.split("=")[1].strip() in modules
    )


def render(root: Root, paths: RigPaths, ports: Ports, options: RigOptions) -> dict[Path, str]:
    """Every configuration file of a rig with its text; writes nothing."""
    values = {
        "etc": str(paths.etc),
        "log": str(paths.log),
        "run": str(paths.run),
        "var": str(paths.var),
        "spool": str(paths.spool),
        "silence": str(paths.silence),
        "mosquitto": str(paths.mosquitto),
        "modules": str(root.modules),
        "data": str(root.path / "usr/share/asterisk"),
        "sip": str(ports.sip),
        "ami": str(ports.ami),
        "ari": str(ports.ari),
        "mqtt": str(ports.mqtt),
        "rtp_first": str(ports.rtp),
        "rtp_last": str(ports.rtp + RTP_PORTS - 1),
        "direct_media": "yes" if options.direct_media else "no",
        "persist": "true" if options.persist else "false",
        "ari_enabled": "yes" if options.ari else "no",
        "manager_without_ari": "" if options.ari else f"#include {SHIPPED}/manager.ctid-no-ari.conf",
        "dialplan_without_ari": "" if options.ari else f"#include {SHIPPED}/extensions.ctid-no-ari.conf",
        "user": getpass.getuser(),
        "default_customer": roster.DEFAULT_CUSTOMER,
        "shipped": str(SHIPPED),
        "phones": _phones(roster.QUALIFIED if options.scenarios else None),
        "queues": _queues() + (_extra_queues() if options.scenarios else ""),
        "pooled": _pooled(),
        "hints": _hints(),
        "interfaces": _interfaces(),
    }
    files = {}
    for template in sorted(TEMPLATES.glob("*.conf")):
        folder = paths.mosquitto if template.name == BROKER_TEMPLATE else paths.etc
        text = fill(template.read_text(), values)
        if template.name == "modules.conf":
            text = _present(text, {module.name for module in root.modules.glob("*.so")})
        files[folder / template.name] = text
    return files | {paths.etc / f"{name}.conf": "" for name in UNUSED}


def write(root: Root, paths: RigPaths, ports: Ports, options: RigOptions) -> None:
    """Write a rig's folders and configuration.

    Raises `LabError` where the folder's path is too long for Asterisk's console socket.
    """
    socket_path = paths.run / "asterisk.ctl"
    if len(str(socket_path).encode()) > SOCKET_PATH_LIMIT:
        raise LabError(
            f"the path {socket_path} is too long for a unix socket: name a shorter folder in CTID_LAB_DIR"
        )
    for folder in (paths.etc, paths.log, paths.run, paths.var, paths.spool, paths.mosquitto, paths.silence):
        folder.mkdir(parents=True, exist_ok=True)
    for name in ("cdr-csv", "cdr-custom", "cel-custom"):
        (paths.log / name).mkdir(exist_ok=True)
    for name in ("monitor", "recording", "tmp"):
        (paths.spool / name).mkdir(exist_ok=True)
    for path, text in render(root, paths, ports, options).items():
        path.write_text(text)
    with wave.open(str(paths.silence / "silence.wav"), "wb") as silence:
        silence.setnchannels(1)
        silence.setsampwidth(2)
        silence.setframerate(8000)
        silence.writeframes(bytes(2 * 8000 * 10))

"""What the types of the configuration cannot say: ranges, references, names that stand once. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ctid.agents.reasons import fault_of
from ctid.calls.plan import NUMBER
from ctid.config_identity import identity_mistakes
from ctid.config_law import law_mistakes
from ctid.config_schema import Config, MqttConfig, PhoneConfig, RetentionConfig
from ctid.config_webhooks import webhook_mistakes
from ctid.hosts import is_loopback
from ctid.model.addresses import fault_of_phone, outside_number
from ctid.model.ids import safe_id
from ctid.model.web import network_of, origin_of
from ctid.toml_reader import Mistake, nearest

if TYPE_CHECKING:
    from ctid.toml_lines import Path as KeyPath

_SHA256 = re.compile(r"[0-9a-f]{64}")
_CONTEXT = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_SENDER = re.compile(r"[\w .-]{1,40}")
_DIRECTORY = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9_.-]+)+/?")
_LONGEST_RING_S = 120.0
_LONGEST_KEPT_DAYS = 3660
_LONGEST_RECONCILE_S = 86400.0
_LONGEST_WORK_S = 3600.0
_RATES_PER_S = (0.1, 10_000.0)
_BURSTS = (1, 100_000)
_LONGEST_HELP_S = 3600.0
_LONGEST_EDIT_HOURS = 720.0
_CRITERIA = 40
_UNIQUE = (
    ("token", "name"),
    ("token", "sha256"),
    ("phone", "name"),
    ("agent", "id"),
    ("team", "id"),
    ("queue", "id"),
    ("webhook", "name"),
)


def check_unique(document: Mapping[str, Any], mistakes: list[Mistake]) -> None:
    """Names that must stand once; judged on the plain document, so that no other mistake hides these."""
    for array, key in _UNIQUE:
        tables = document.get(array)
        seen: dict[str, int] = {}
        for index, table in enumerate(tables if isinstance(tables, list) else ()):
            value = table.get(key) if isinstance(table, dict) else None
            if not isinstance(value, str):
                continue
            if value in seen:
                first = f"{array}[{seen[value]}]"
                problem = f"is a second {array} with the {key} {value!r} (the first is {first})"
                cure = "give it another, or take one away"
                mistakes.append(Mistake(path=(array, index, key), problem=problem, cure=cure))
            seen.setdefault(value, index)


def check_values(config: Config, mistakes: list[Mistake]) -> None:
    """Everything that can only be judged once the whole document has its types."""
    mistakes += [*_names(config), *_ranges(config), *_tokens(config), *_addresses(config)]
    mistakes += [*_listener(config), *_web(config), *_references(config), *_reasons(config), *_agents(config)]
    mistakes += law_mistakes(config)
    mistakes += webhook_mistakes(config)
    mistakes += _calls(config)
    mistakes += _grid(config)
    mistakes += identity_mistakes(config)


def _names(config: Config) -> Iterator[Mistake]:
    topics: list[tuple[KeyPath, str]] = [(("site",), config.site)]
    topics += [(("pbx", index, "id"), pbx.id) for index, pbx in enumerate(config.pbx)]
    if config.mqtt is not None:
        for key in ("base", "home_assistant_prefix"):
            topics += [(("mqtt", key), level) for level in getattr(config.mqtt, key).split("/")]
    for path, name in topics:
        if not name or safe_id(name) != name:
            cure = "use letters, digits and _ . @ : = ~ - only"
            yield Mistake(path=path, problem=f"{name!r} does not fit into a topic", cure=cure)


def _ranges(config: Config) -> Iterator[Mistake]:
    seconds: list[tuple[KeyPath, float, float, float]] = [
        (("queue", index, "wrapup_s"), queue.wrapup_s, 0, _LONGEST_WORK_S)
        for index, queue in enumerate(config.queues)
    ]
    seconds += [
        (("team", index, "after_call_work_s"), team.after_call_work_s, 0, _LONGEST_WORK_S)
        for index, team in enumerate(config.teams)
    ]
    seconds.append((("after_call_work", "default_s"), config.after_call_work.default_s, 0, _LONGEST_WORK_S))
    seconds.append((("reconcile", "every_s"), config.reconcile.every_s, 0, _LONGEST_RECONCILE_S))
    seconds.append((("supervision", "ring_s"), config.supervision.ring_s, 1, _LONGEST_RING_S))
    seconds.append((("calls", "ring_s"), config.calls.ring_s, 1, _LONGEST_RING_S))
    seconds.append((("help", "expires_s"), config.help.expires_s, 10, _LONGEST_HELP_S))
    for path, value, least, most in seconds:
        if not least <= value <= most:
            cure = f"seconds, {least:g} to {most:g}"
            yield Mistake(path=path, problem=f"{value:g} is out of range", cure=cure)
    if not 0 <= config.coaching.edit_hours <= _LONGEST_EDIT_HOURS:
        problem = f"{config.coaching.edit_hours:g} is out of range"
        cure = f"hours, 0 to {_LONGEST_EDIT_HOURS:g}"
        yield Mistake(path=("coaching", "edit_hours"), problem=problem, cure=cure)
    for what in ("commands", "reads", "failures"):
        for key, (least, most) in ((f"{what}_per_s", _RATES_PER_S), (f"{what}_burst", _BURSTS)):
            value = getattr(config.http, key)
            if not least <= value <= most:
                cure = f"{least:g} to {most:g}"
                yield Mistake(path=("http", key), problem=f"{value:g} is out of range", cure=cure)
    days: list[tuple[KeyPath, int]] = [(("history", "keep_days"), config.history.keep_days)]
    classes = RetentionConfig.__struct_fields__
    days += [(("retention", name), getattr(config.retention, name)) for name in classes]
    for path, kept in days:
        if not 1 <= kept <= _LONGEST_KEPT_DAYS:
            cure = f"days, 1 to {_LONGEST_KEPT_DAYS}"
            yield Mistake(path=path, problem=f"{kept} is out of range", cure=cure)


def _tokens(config: Config) -> Iterator[Mistake]:
    for index, token in enumerate(config.tokens):
        if not _SHA256.fullmatch(token.sha256):
            problem = f"must be 64 hex digits in lower case, and is {len(token.sha256)} characters long"
            cure = "`ctid token print` makes a token and its hash"
            yield Mistake(path=("token", index, "sha256"), problem=problem, cure=cure)


def _pin(index: int, phone: PhoneConfig) -> Iterator[Mistake]:
    """Whoever answers outside has to show that it is she."""
    good = phone.pin.isascii() and phone.pin.isdigit() and 4 <= len(phone.pin) <= 12
    if phone.outside != good or (phone.pin and not good):
        yield Mistake(
            path=("phone", index, "pin"),
            problem="an outside phone needs a PIN of 4 to 12 digits"
            if phone.outside
            else "is no outside phone's",
            cure='write pin = "…", or pin_file, and outside = true' if phone.outside else "leave it out",
        )


def _addresses(config: Config) -> Iterator[Mistake]:
    for index, pbx in enumerate(config.pbx[1:], 1):
        # Agents, devices and queues are known by their id alone: 1001 of two PBXs would be one agent.
        problem = f"is a second PBX, {pbx.id!r}, and ctid watches one"
        yield Mistake(path=("pbx", index), problem=problem, cure="run one ctid beside each PBX")
    if not config.pbx:
        yield Mistake(path=("pbx",), problem="there is no PBX", cure="add a [[pbx]] table")
    for index, phone in enumerate(config.phones):
        yield from _pin(index, phone)
        number = outside_number(phone.address)
        if phone.outside and number is not None:
            if not number.startswith(config.supervision.outside_prefixes or ("none",)):
                yield Mistake(
                    path=("phone", index, "address"),
                    problem=f"the number {number} begins with none of supervision.outside_prefixes",
                    cure="name there how the numbers begin that a call for a supervisor may go to",
                )
        elif fault := fault_of_phone(phone.address):
            problem, cure = f"{phone.address!r} {fault}", 'name one phone of the PBX, such as "PJSIP/2001"'
            yield Mistake(path=("phone", index, "address"), problem=problem, cure=cure)
    if not config.state_directory.is_absolute():
        problem = f"{str(config.state_directory)!r} is not absolute"
        yield Mistake(path=("state_directory",), problem=problem, cure="begin it with /")
    if config.mqtt and not _is_broker(config.mqtt.url):
        cure = 'such as "mqtt://127.0.0.1:1883" or "mqtts://broker:8883"; the user name has a key of its own'
        yield Mistake(path=("mqtt", "url"), problem=f"{config.mqtt.url!r} names no broker", cure=cure)
    if config.mqtt:
        yield from _broker_tls(config.mqtt)


def _broker_tls(mqtt: MqttConfig) -> Iterator[Mistake]:
    if mqtt.tls_key and not mqtt.tls_cert:
        cure = "name its certificate in tls_cert"
        yield Mistake(path=("mqtt", "tls_key"), problem="a key without a certificate", cure=cure)
    if not mqtt.url.startswith("mqtts:"):
        for key in ("tls_ca", "tls_cert"):
            if getattr(mqtt, key):
                problem = f"without TLS it is of no use, and url is {mqtt.url!r}"
                yield Mistake(path=("mqtt", key), problem=problem, cure="begin url with mqtts://")


def _is_broker(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("mqtt", "mqtts")
            and bool(parts.hostname)
            and parts.port != 0
            and not parts.username
        )
    except ValueError:
        return False


def _listener(config: Config) -> Iterator[Mistake]:
    path, listen = ("http", "listen"), config.http.listen
    port = listen.rpartition(":")[2]
    if not config.http.host or not (port.isascii() and port.isdigit() and int(port) < 2**16):
        cure = 'such as "127.0.0.1:8080" or "[::1]:8080"'
        yield Mistake(path=path, problem=f"{listen!r} is no address and port", cure=cure)
        return
    if is_loopback(config.http.host):
        return
    if not (config.http.allow_remote or config.http.tls_cert or config.http.trusted_proxies):
        problem = f"{listen} can be reached from other machines, without TLS"
        cure = (
            "set http.tls_cert and tls_key, or name the TLS proxy before it in http.trusted_proxies, or "
            "listen on 127.0.0.1"
        )
        yield Mistake(path=path, problem=problem, cure=cure)
    for index, token in enumerate(config.tokens):
        if token.lab:
            problem = (
                f"{token.name!r} is a token of the lab, known to everybody, and {listen} is not the loopback"
            )
            cure = "make tokens of your own: `ctid token create`"
            yield Mistake(path=("token", index, "lab"), problem=problem, cure=cure)


def _web(config: Config) -> Iterator[Mistake]:
    http = config.http
    if bool(http.tls_cert) != bool(http.tls_key):
        lacks = "tls_key" if http.tls_cert else "tls_cert"
        problem, cure = "is missing", "TLS takes the certificate and its key"
        yield Mistake(path=("http", lacks), problem=problem, cure=cure)
    for index, text in enumerate(http.trusted_proxies):
        try:
            network_of(text)
        except ValueError:
            path: KeyPath = ("http", "trusted_proxies", index)
            cure = 'such as "127.0.0.1" or "10.0.0.0/8"'
            yield Mistake(path=path, problem=f"{text!r} is no address and no network", cure=cure)
    for index, text in enumerate(http.cors_origins):
        if origin_of(text) != text:
            path = ("http", "cors_origins", index)
            cure = 'as browsers send it, such as "https://wallboard.example.com"; each by itself, and never *'
            yield Mistake(path=path, problem=f"{text!r} is no origin", cure=cure)


def _references(config: Config) -> Iterator[Mistake]:
    pbxs, phones = [pbx.id for pbx in config.pbx], [phone.name for phone in config.phones]
    wanted: list[tuple[KeyPath, str, list[str], str]] = [
        (("phone", index, "pbx"), phone.pbx, pbxs, "[[pbx]]") for index, phone in enumerate(config.phones)
    ]
    wanted += [
        (("token", index, "phones", number), name, phones, "[[phone]]")
        for index, token in enumerate(config.tokens)
        for number, name in enumerate(token.phones)
    ]
    for path, name, known, kind in wanted:
        if name not in known:
            yield Mistake(path=path, problem=f"there is no {kind} {name!r}", cure=nearest(name, known))


def _reasons(config: Config) -> Iterator[Mistake]:
    work, reasons = config.after_call_work, config.agent_rules.pause_reasons
    named: list[tuple[KeyPath, str]] = [(("after_call_work", "reason"), work.reason)]
    named += [(("agents", "pause_reasons", index), reason) for index, reason in enumerate(reasons)]
    for path, reason in named:
        fault = fault_of(reason) if reason else "is empty"
        if fault:
            cure = "a reason is a short text, such as lunch"
            yield Mistake(path=path, problem=f"{reason!r} {fault}", cure=cure)
        elif work.enforce and reason in reasons and path == ("after_call_work", "reason"):
            problem = f"{reason!r} is one of agents.pause_reasons"
            cure = "take it out there: whoever gave it by hand would be resumed by ctid"
            yield Mistake(path=path, problem=problem, cure=cure)


def _calls(config: Config) -> Iterator[Mistake]:
    calls, recording = config.calls, config.recording
    if not _CONTEXT.fullmatch(calls.context):
        cure = 'the name of a dialplan context, such as "from-internal"'
        yield Mistake(path=("calls", "context"), problem=f"{calls.context!r} is no context", cure=cure)
    for index, prefix in enumerate(calls.allowed_prefixes):
        if NUMBER.fullmatch(prefix) is None:
            cure = "how numbers begin: 1 to 32 of 0-9 * # +"
            path: KeyPath = ("calls", "allowed_prefixes", index)
            yield Mistake(path=path, problem=f"{prefix!r} begins no number", cure=cure)
    if not _SENDER.fullmatch(calls.message_from):
        cure = "letters, digits, blanks, _ . - only, at most 40"
        yield Mistake(path=("calls", "message_from"), problem="cannot be shown as a name", cure=cure)
    if recording.directory and not _DIRECTORY.fullmatch(recording.directory):
        problem = f"{recording.directory!r} is no absolute path of letters, digits, _ . and -"
        cure = 'such as "/var/spool/asterisk/monitor"'
        yield Mistake(path=("recording", "directory"), problem=problem, cure=cure)
    for index, queue in enumerate(config.queues):
        if queue.number and NUMBER.fullmatch(queue.number) is None:
            cure = "1 to 32 of 0-9 * # +"
            path = ("queue", index, "number")
            yield Mistake(path=path, problem=f"{queue.number!r} cannot be dialled", cure=cure)


def _agents(config: Config) -> Iterator[Mistake]:
    teams = [team.id for team in config.teams]
    for index, agent in enumerate(config.agents):
        if teams and agent.team and agent.team not in teams:
            problem = f"there is no [[team]] {agent.team!r}"
            yield Mistake(path=("agent", index, "team"), problem=problem, cure=nearest(agent.team, teams))
        if not agent.address.isprintable():
            cure = 'such as "PJSIP/1001"'
            yield Mistake(path=("agent", index, "address"), problem="must be what the PBX dials", cure=cure)
        for number, queue in enumerate(agent.queues):
            if not queue or queue in agent.queues[:number]:
                problem = f"{queue!r} is {'there twice' if queue else 'no queue'}"
                yield Mistake(path=("agent", index, "queues", number), problem=problem, cure="take it out")


def _grid(config: Config) -> Iterator[Mistake]:
    grid = config.coaching.grid
    if not 1 <= len(grid) <= _CRITERIA:
        problem = f"has {len(grid)} criteria"
        yield Mistake(path=("coaching", "grid"), problem=problem, cure=f"give 1 to {_CRITERIA}")
    for index, criterion in enumerate(grid):
        if not criterion.id or safe_id(criterion.id) != criterion.id:
            problem = f"{criterion.id!r} is no id"
            cure = "use letters, digits and _ . @ : = ~ - only"
            yield Mistake(path=("coaching", "grid", index, "id"), problem=problem, cure=cure)
        elif criterion.id in [other.id for other in grid[:index]]:
            problem = f"is a second criterion {criterion.id!r}"
            yield Mistake(path=("coaching", "grid", index, "id"), problem=problem, cure="give it another id")

"""The daemon as a program of a rig: its configuration, its tokens, and how a shell reaches it."""

import hashlib
import os
import secrets
import shlex
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from lab.config import CHECKOUT
from lab.cutter import Cutter
from lab.rig import Rig, Service
from lab.roster import SUPERVISORS

OUTSIDE_PHONE, PIN = "mobile", "4711"
"""A supervisor's phone that may be in anybody's hands: the last one of the roster, with a PIN."""
BEARERS = {
    "admin": 'role = "admin"',
    "supervisor": f'role = "supervisor"\nphones = {[*SUPERVISORS, OUTSIDE_PHONE]}\nteams = ["*"]',
    "stranger": f'role = "supervisor"\nphones = {list(SUPERVISORS)}\nteams = ["staff"]',
    "integrator": 'role = "integrator"',
    "viewer": 'role = "viewer"',
    "agent": 'role = "agent"\nagent = "1001"',
    "principal": 'role = "principal"',
}
"""Who has a token, and the rest of its table: the stranger supervises a team whose one agent is protected."""
TOKENS_FILE = "tokens"
ENV_FILE = "env"
PYTHON_PATH = os.pathsep.join(str(CHECKOUT / folder) for folder in ("hardware-lab", "drivers", "."))
"""Where this checkout's packages are, for a program that is started in any folder."""

_CONFIGURATION = """\
site = "lab"
state_directory = "{state}"

[http]
listen = "127.0.0.1:{http}"
{rates}
[mqtt]
url = "mqtt://127.0.0.1:{mqtt}"
commands = {commands}

[log]
format = "console"

[[pbx]]
id = "lab"
driver = "asterisk"
port = {ami}
username = "ctid"
secret = "ctid-lab"
queue_log = "{queue_log}"
{pbx_ari}
[supervision]
ring_s = {ring_s}
phone_keys = {phone_keys}

[calls]
allowed_prefixes = ["8000"]
ring_s = {ring_s}
message_from = "Supervision"

{law}"""

_ARI = """
[pbx.ari]
url = "http://127.0.0.1:{ari}"
username = "ctid"
password = "ctid-lab"
"""

LAW = """\
[law]
agent_minutes_per_week = 0
agent_sessions_per_day = 0
periods_required = false
"""
"""The lab's: tests listen to the same agents again and again."""
PROTECTED = "1006"
"""The agent who represents the staff."""

WIDE_RATES = """\
commands_per_s = 500.0
commands_burst = 500
reads_per_s = 2000.0
reads_burst = 2000
"""
"""Tests and benches ask again and again, all with the tokens of a few users."""

_QUEUES = (("support", "Support", 5, "7000"), ("sales", "Sales", 0, "7001"), ("desk", "Desk", 0, "7002"))
_TEAMS = {"1001": "north", "1002": "north", "1003": "north", "1004": "north", PROTECTED: "staff"}


def tokens_of(rig: Rig) -> dict[str, str]:
    """The tokens of this rig's daemon by their bearer; made at the first call, and kept with the rig."""
    path = rig.base / TOKENS_FILE
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text("".join(f"{name} {secrets.token_urlsafe(24)}\n" for name in BEARERS))
    return dict(line.split() for line in path.read_text().splitlines())


def url_of(rig: Rig) -> str:
    """Where this rig's daemon listens."""
    return f"http://127.0.0.1:{rig.ports.http}"


def env_text(rig: Rig, tokens: Mapping[str, str]) -> str:
    """The lines of `.lab/env`, for a shell: where daemon and broker are, the `tokens` by bearer, `.lab/bin`.

    The command `ctid` takes CTID_TOKEN, which is the supervisor's.
    """
    lines = {
        "CTID_URL": url_of(rig),
        "CTID_MQTT": f"mqtt://127.0.0.1:{rig.ports.mqtt}",
        **{f"CTID_TOKEN_{name.upper()}": token for name, token in tokens.items()},
        "CTID_TOKEN": tokens["supervisor"],
    }
    binaries = shlex.quote(str(rig.base / "bin"))
    path = f'case ":$PATH:" in *:{binaries}:*) ;; *) export PATH={binaries}:"$PATH" ;; esac\n'
    return "".join(f"export {name}={value}\n" for name, value in lines.items()) + path


def write_env(rig: Rig) -> Path:
    """Write `.lab/env`, readable by its owner only."""
    path = rig.base / ENV_FILE
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(env_text(rig, tokens_of(rig)))
    return path


def write_configuration(
    rig: Rig,
    *,
    ring_s: float = 20.0,
    phone_keys: bool = False,
    state: Path | None = None,
    ami: int | None = None,
    ari: int | None = None,
    law: str = LAW,
    commands: bool = False,
) -> Path:
    """Write the `ctid.toml` of a rig, and return where it is.

    `state`: another state directory; `ami`, `ari`: other ports than Asterisk's own, such as relays';
    `law`: the tables that bound the listening to agents; `commands`: whether it takes commands by MQTT, which
    the rig's broker takes from anybody, in anybody's name.
    """
    state = state or rig.base / "ctid"
    state.mkdir(parents=True, exist_ok=True)
    text = _CONFIGURATION.format(
        state=state,
        http=rig.ports.http,
        rates=WIDE_RATES,
        mqtt=rig.ports.mqtt,
        commands=str(commands).lower(),
        ami=ami or rig.ports.ami,
        pbx_ari=_ARI.format(ari=ari or rig.ports.ari) if rig.options.ari else "",
        queue_log=rig.paths.queue_log,
        ring_s=ring_s,
        phone_keys=str(phone_keys).lower(),
        law=law,
    )
    for name, token in tokens_of(rig).items():
        digest = hashlib.sha256(token.encode()).hexdigest()
        text += f'\n[[token]]\nname = "lab-{name}"\nsha256 = "{digest}"\nlab = true\n{BEARERS[name]}\n'
    for phone in SUPERVISORS:
        text += f'\n[[phone]]\nname = "{phone}"\npbx = "lab"\naddress = "PJSIP/{phone}"\n'
    text += f'\n[[phone]]\nname = "{OUTSIDE_PHONE}"\npbx = "lab"\naddress = "PJSIP/{SUPERVISORS[-1]}"\n'
    text += f'outside = true\npin = "{PIN}"\n'
    for queue, name, wrapup, number in _QUEUES:
        text += f'\n[[queue]]\nid = "{queue}"\nname = "{name}"\nwrapup_s = {wrapup}\nnumber = "{number}"\n'
    for agent, team in _TEAMS.items():
        text += f'\n[[agent]]\nid = "{agent}"\nteam = "{team}"\n'
        text += "protected = true\n" if agent == PROTECTED else ""
    path = state / "ctid.toml"
    path.write_text(text)
    return path


def answers_ok(url: str) -> bool:
    """Whether a GET of `url` on loopback answers 200 within a second."""
    try:
        with urllib.request.urlopen(url, timeout=1.0) as reply:  # noqa: S310  # the lab's own http address
            return bool(reply.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def service(rig: Rig, configuration: Path, environment: Mapping[str, str] | None = None) -> Service:
    """The daemon, run from this checkout; ready when `GET /readyz` answers 200."""
    return Service(
        name="ctid",
        argv=[sys.executable, "-m", "ctid", "run", "--config", str(configuration)],
        ready=lambda: answers_ok(f"{url_of(rig)}/readyz"),
        environment={"PYTHONPATH": PYTHON_PATH, **(environment or {})},
    )


def maker(
    *,
    ring_s: float = 20.0,
    phone_keys: bool = False,
    through: Cutter | None = None,
    ari_through: Cutter | None = None,
    law: str = LAW,
    commands: bool = False,
) -> Callable[[Rig], Service]:
    """What `Rig` takes among its `services`. `through`, `ari_through`: relays to AMI and ARI for the daemon.

    `law` and `commands` are as `write_configuration` takes them.
    `Rig.kill("ctid")` ends it as a crash does, and `Rig.restart("ctid")` starts it again with the same
    configuration and the same state directory.
    """

    def make(rig: Rig) -> Service:
        if through is not None:
            through.target = rig.ports.ami
        if ari_through is not None:
            ari_through.target = rig.ports.ari
        path = write_configuration(
            rig,
            ring_s=ring_s,
            phone_keys=phone_keys,
            ami=through.port if through else None,
            ari=ari_through.port if ari_through else None,
            law=law,
            commands=commands,
        )
        return service(rig, path)

    return make

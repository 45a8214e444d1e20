"""What the lab hands to the daemon and to the user: the daemon as a program of the rig, and `.lab/env`."""

import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from lab.config import CHECKOUT
from lab.rig import Rig, Service

ENV_FILE = "env"


def default_services() -> tuple[Callable[[Rig], Service], ...]:
    """The programs that `up` starts after Asterisk and the broker, in their order."""
    return ()


def tokens_of(rig: Rig) -> dict[str, str]:
    """The tokens that the daemon of `rig` takes, by the name of their variable (`CTID_TOKEN_ADMIN` ...)."""
    del rig
    return {}


def ctid_service(rig: Rig, configuration: Path) -> Service:
    """The daemon, run from this checkout with `configuration`; ready when `GET /readyz` answers 200."""
    path = ":".join(str(CHECKOUT / folder) for folder in (".", "drivers"))
    return Service(
        name="ctid",
        argv=[sys.executable, "-m", "ctid", "run", "--config", str(configuration)],
        ready=lambda: answers_ok(f"http://127.0.0.1:{rig.ports.http}/readyz"),
        environment={"PYTHONPATH": path},
    )


def answers_ok(url: str) -> bool:
    """Whether a GET of `url` on loopback answers 200 within a second."""
    try:
        with urllib.request.urlopen(url, timeout=1.0) as reply:  # noqa: S310  # the lab's own http address
            return bool(reply.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def env_text(rig: Rig, tokens: Mapping[str, str]) -> str:
    """The lines of `.lab/env`, for a shell: where the daemon and the broker are, and the tokens."""
    lines = {
        "CTID_URL": f"http://127.0.0.1:{rig.ports.http}",
        "CTID_MQTT": f"mqtt://127.0.0.1:{rig.ports.mqtt}",
        **tokens,
    }
    return "".join(f"export {name}={value}\n" for name, value in lines.items())


def write_env(rig: Rig, tokens: Mapping[str, str]) -> Path:
    """Write `.lab/env`, readable by its owner only."""
    path = rig.base / ENV_FILE
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(env_text(rig, tokens))
    return path

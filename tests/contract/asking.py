"""A ctid that runs is asked by schemathesis as its own OpenAPI document says, and as it does not."""

import asyncio
import os
import re
import sys
from pathlib import Path

from msgspec import Struct

_HERE = Path(__file__).parent
LEFT_OUT = ("positive_data_acceptance", "not_a_server_error")
"""Its checks for which `hooks.py` has its own: a state may refuse what is valid, a PBX be gone."""
WITHOUT_TOKEN = ("ignored_auth", "missing_required_header")
"""Its checks that come so often without a good token that a server which bounds it answers 429 for 401."""
ENDLESS = ("events.stream",)
"""Operations whose good answer has no end, so that it cannot be waited for; others test them."""
_SHOWN = 20_000


class Asked(Struct, frozen=True, kw_only=True):
    """What a run came to, when nothing was wrong."""

    operations: int
    cases: int


async def ask(
    url: str,
    token: str,
    admin: str,
    folder: Path,
    *,
    examples: int,
    within_s: float,
    seed: int | None = None,
    phases: str = "examples,coverage,fuzzing,stateful",
    left_out: tuple[str, ...] = LEFT_OUT,
) -> Asked:
    """Ask a server, with a token, every operation of its document; `admin` is who may list what is there.

    `examples` is the most of an operation in a phase that draws them; `folder` takes what it writes.

    Raises:
        AssertionError: an answer was not as the document says; with the request that reproduces it.
        TimeoutError: it was not done in time.
    """
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(_HERE / "schemathesis.toml")),
        *("run", f"{url}/api/v1/openapi.json", "--header", f"Authorization: Bearer {token}"),
        *("--checks", "all", "--exclude-checks", ",".join(left_out), "--phases", phases),
        *("--max-examples", str(examples), "--request-timeout", "20", "--warnings", "off"),
        *("--continue-on-failure", "--no-shrink"),
        *(word for name in ENDLESS for word in ("--exclude-operation-id", name)),
        *(("--seed", str(seed)) if seed is not None else ()),
    ]
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": "hooks",
        "PYTHONPATH": str(_HERE),
        "CTID_URL": url,
        "CTID_TOKEN_ADMIN": admin,
        "COLUMNS": "150",
    }
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(within_s):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = output.decode(errors="replace")
    assert process.returncode == 0, text[-_SHOWN:]
    return Asked(operations=_figure(r"Tested: (\d+)", text), cases=_figure(r"(\d+) generated", text))


def _figure(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    assert found, text[-_SHOWN:]
    return int(found[1])

"""A real OpenID provider on the loopback (the certified `oidc-provider`), and a browser's way through it."""

import asyncio
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urljoin

import aiohttp
import msgspec

from lab import leash
from lab.errors import LabError

FOLDER = Path(__file__).resolve().parent.parent / "oidc"
CALLBACK = "http://127.0.0.1:1/api/v1/oidc/callback"
"""Where browsers are sent back to: nothing listens there, the browser of the tests stops before it."""
START_S = 20.0
STEPS = 12
_FORM = re.compile(r'<form[^>]*action="([^"]+)"')
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')


def missing() -> str:
    """Why there can be no provider here; empty: there can."""
    if shutil.which("node") is None:
        return "there is no node on this machine: `hardware-lab/setup.sh oidc` adds it"
    if not (FOLDER / "node_modules").is_dir():
        return "the provider is not installed: `hardware-lab/setup.sh oidc` does it"
    return ""


@asynccontextmanager
async def provider(people: Mapping[str, Any], *, port: int = 0, **options: Any) -> AsyncIterator[str]:
    """Run a provider; yields its issuer.

    `people` are claims by login name; other options are those of provider.mjs. Raises `LabError`.
    """
    node = shutil.which("node")
    if node is None:
        raise LabError(missing())
    known = {"port": port, "client": "ctid", "secret": "a secret", "callback": CALLBACK, "people": people}
    said = msgspec.json.encode(known | options).decode()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        leash.__file__,
        str(os.getpid()),
        node,
        str(FOLDER / "provider.mjs"),
        said,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_S):
            line = await process.stdout.readline()
        if not line:
            raise LabError("the OpenID provider did not start")
        yield msgspec.json.decode(line)["issuer"]
    finally:
        process.stdin.close()
        await process.wait()


class Browser:
    """Follows redirects and fills in forms, with its own cookies; an async context manager."""

    def __init__(self) -> None:
        self._http = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._http.close()

    async def log_in(self, address: str, name: str) -> str:
        """Go to the provider, log in there, and agree; returns the address that it sends back to."""
        method = "GET"
        form: dict[str, str] = {}
        for _ in range(STEPS):
            async with self._http.request(
                method, address, data=form or None, allow_redirects=False
            ) as response:
                text, location = await response.text(), response.headers.get("Location")
            if location is not None:
                address, method, form = urljoin(address, location), "GET", {}
                if address.startswith(CALLBACK):
                    return address
                continue
            found = _FORM.search(text)
            if found is None:
                raise LabError(f"the provider shows no form: {text[:400]}")
            address, method = urljoin(address, found[1]), "POST"
            form = dict(_HIDDEN.findall(text))
            if form.get("prompt") == "login":
                form |= {"login": name, "password": "whatever"}
        raise LabError("the provider does not come to an end")

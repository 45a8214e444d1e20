"""The receiver of the guide, as it stands there."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from ctid.webhooks.signing import key_of, signed_headers
from helpers.receiver import SECRET

GUIDE = Path(__file__).parents[3] / "docs" / "webhooks.md"


async def test_the_receiver_of_the_guide(capsys: pytest.CaptureFixture[str]) -> None:
    """It takes what is signed, once; what is forged it refuses."""
    (code,) = re.findall(r"<!-- receiver -->\n```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    room: dict[str, Any] = {"__name__": "receiver"}
    exec(code, room)  # noqa: S102 - the guide's own code
    body = b'{"id":"b1-7","type":"ctid.call.answered","data":{"agent":"1001","number":"********78"}}'
    headers = signed_headers([key_of(SECRET)], "b1-7", time.time(), body)
    async with TestClient(TestServer(room["app"])) as client:
        for _ in range(2):
            assert (await client.post("/hooks/ctid", data=body, headers=headers)).status == 204
        assert (await client.post("/hooks/ctid", data=body + b" ", headers=headers)).status == 401
    assert capsys.readouterr().out == "ctid.call.answered 1001 ********78\n"

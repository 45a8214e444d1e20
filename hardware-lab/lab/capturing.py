"""Captures of the rig's Asterisk, by the tool that an admin uses: for tests, replays and benches."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ctid.model.ids import PbxId
from ctid.ports import CaptureOrder, Recording
from ctid_asterisk.driver import AsteriskDriver
from lab.ports import Ports


@asynccontextmanager
async def capturing(
    ports: Ports, path: Path, *, raw: bool = True, everything: bool = False
) -> AsyncIterator[Recording]:
    """Record into the new file `path` while the block runs; what happened in it is in the file afterwards.

    It is recorded as the daemon's user, with the daemon's filters; with `everything`, as the lab's user and
    unfiltered. A snapshot stands at the beginning and at the end, more where the block asks for them.
    Raises what `ctid.ports.RecordingDriver.record` and `Recording` raise.
    """
    user = {"username": "lab", "secret": "lab"} if everything else {"username": "ctid", "secret": "ctid-lab"}
    settings = {"port": ports.ami, "filter_at_source": not everything, **user}
    recording = await AsteriskDriver(PbxId("lab"), settings).record(
        CaptureOrder(path=path, raw=raw, reconcile_s=0.0)
    )
    reason = "the block failed"
    try:
        yield recording
        await recording.snapshot()
        reason = "done"
    finally:
        await recording.close(reason)

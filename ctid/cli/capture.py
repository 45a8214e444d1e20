"""`ctid capture`: record what a PBX sends, for a bug report or a test."""

import argparse
import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.live import Live
from rich.text import Text

from ctid.app import make_driver
from ctid.capture import CaptureError
from ctid.cli import words
from ctid.cli.exits import Exit
from ctid.cli.output import Output
from ctid.config import Config, ConfigError, PbxConfig, load
from ctid.logs import configure
from ctid.model.errors import LinkError, LinkRefused
from ctid.ports import CaptureOrder, CaptureTotals, Recording, RecordingDriver
from ctid.tasks import TaskOwner

FRAME_S = 0.5
INTERRUPTED = "interrupted"
TIME_OVER = "the time was over"
_RAW = "raw: it holds callers' numbers and names as the PBX sent them; handle it as personal data"
_SCRUBBED = "scrubbed: numbers, names and addresses are replaced"


def capture(output: Output, arguments: argparse.Namespace) -> Exit:
    """Record until Ctrl-C, the end of the time, or the end of the link."""
    path = Path(arguments.config)
    try:
        config = load(path, make_driver)
        pbx = _chosen(config, arguments.pbx)
    except ConfigError as error:
        output.fail({"code": "config.invalid", "detail": str(error)}, str(error))
        return Exit.CONFIG
    except LookupError as error:
        return _refused(output, "usage", str(error.args[0]), Exit.USAGE)
    driver = make_driver(pbx)
    if not isinstance(driver, RecordingDriver):
        text = f"the driver {pbx.driver!r} cannot record"
        return _refused(output, "capture.unsupported", text, Exit.REFUSED)
    configure("warning", "console")
    order = CaptureOrder(
        path=Path(arguments.output if arguments.file is None else arguments.file),
        raw=arguments.raw,
        keep_queues=arguments.keep_queues,
        reconcile_s=config.reconcile.every_s if arguments.reconcile is None else arguments.reconcile,
    )
    try:
        return asyncio.run(_record(output, driver, order, arguments.seconds))
    except CaptureError as error:
        return _refused(output, "capture.file", str(error), Exit.REFUSED)
    except LinkRefused as error:
        return _refused(output, "pbx.refused", f"{pbx.id}: {error}", Exit.AUTH)
    except LinkError as error:
        return _refused(output, "pbx.link_down", f"{pbx.id}: {error}", Exit.UNREACHABLE)


def _refused(output: Output, code: str, text: str, code_of_exit: Exit) -> Exit:
    output.fail({"code": code, "detail": text}, text)
    return code_of_exit


def _chosen(config: Config, ident: str | None) -> PbxConfig:
    """The PBX that is meant, the first unless it is said. Raises LookupError with what to say."""
    known = {pbx.id: pbx for pbx in config.pbx}
    if ident is None:
        return config.pbx[0]
    if ident not in known:
        raise LookupError(f"there is no PBX {ident!r} in the configuration; there is {', '.join(known)}")
    return known[ident]


async def _record(
    output: Output, driver: RecordingDriver, order: CaptureOrder, seconds: float | None
) -> Exit:
    recording, reason = None, ""
    tasks = TaskOwner()
    until = asyncio.timeout(None)
    with _on_signals(until):
        try:
            async with until:
                recording = await driver.record(order)
                if not output.as_json and output.console.is_terminal:
                    tasks.spawn("progress", _progress(output, recording, order))
                async with asyncio.timeout(seconds):
                    reason = await recording.ended()
        except TimeoutError:
            reason = INTERRUPTED if until.expired() else TIME_OVER
        finally:
            # Whatever ends it, what there is becomes whole.
            await tasks.close()
            if recording is not None:
                reason = await recording.close(reason)
    if recording is None:
        return Exit.INTERRUPTED
    totals = recording.totals
    document = {
        "file": str(order.path),
        "raw": order.raw,
        "messages": totals.messages,
        "file_bytes": totals.file_bytes,
        "seconds": round(totals.seconds, 3),
        "reason": reason,
    }
    kind = _RAW if order.raw else _SCRUBBED
    output.answer(
        document, Text.assemble(_so_far(order.path, totals), "\nended: ", words.peer(reason), f"\n{kind}")
    )
    return Exit.OK if reason in (INTERRUPTED, TIME_OVER) else Exit.REFUSED


@contextmanager
def _on_signals(until: asyncio.Timeout) -> Iterator[None]:
    """Let SIGINT and SIGTERM end a timeout scope; while the file is closed after it, they change nothing."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)

    def end() -> None:
        with suppress(RuntimeError):  # the scope is over, or ending
            until.reschedule(loop.time())

    for number in signals:
        loop.add_signal_handler(number, end)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


async def _progress(output: Output, recording: Recording, order: CaptureOrder) -> None:
    with Live(console=output.console, auto_refresh=False, transient=True) as live:
        while True:
            live.update(_so_far(order.path, recording.totals).append("; Ctrl-C ends it"), refresh=True)
            await asyncio.sleep(FRAME_S)


def _so_far(path: Path, totals: CaptureTotals) -> Text:
    size = f"{totals.file_bytes / 1024:.0f} KiB"
    return words.peer(f"{path}: {totals.messages} messages in {words.span(totals.seconds)}, {size}")

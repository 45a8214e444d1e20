"""`ctid run`, `check-config`, `version`: what needs no running daemon."""

import argparse
import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog
from rich.text import Text

from ctid import __version__
from ctid.app import CannotStart, make_driver, run
from ctid.cli.exits import Exit
from ctid.cli.output import Output
from ctid.config import Config, ConfigError, load
from ctid.config_law import law_warnings
from ctid.logs import configure
from ctid.model.users import UserRole

_new_loop: Callable[[], asyncio.AbstractEventLoop] | None
try:
    from uvloop import new_event_loop as _new_loop
except ImportError:  # it has no build for this machine; asyncio's own loop does the same, slower
    _new_loop = None

log = structlog.get_logger(__name__)

ROLES = tuple(str(role) for role in UserRole)


def run_daemon(output: Output, arguments: argparse.Namespace) -> Exit:
    """Run the daemon in the foreground until it is told to stop."""
    path = Path(arguments.config)
    try:
        config = load(path, make_driver)
    except ConfigError as error:
        return _wrong(output, error)
    configure(config.log.level, config.log.format)
    try:
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            runner.get_loop().set_exception_handler(_unhandled)
            runner.run(run(config))
    except CannotStart as error:
        output.fail({"code": "cannot_start", "detail": str(error)}, str(error))
        return Exit.CANNOT_START
    return Exit.OK


def _unhandled(_loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """Log what the loop has nobody to raise to, such as a callback's exception."""
    error = context.get("exception")
    log.error(
        "error outside any task",
        problem=context.get("message"),
        exc_info=error if isinstance(error, BaseException) else None,
    )


def check_config(output: Output, arguments: argparse.Namespace) -> Exit:
    """Check a configuration file: all that is wrong with it, or a summary of it."""
    path = Path(arguments.config if arguments.file is None else arguments.file)
    try:
        config = load(path, make_driver)
    except ConfigError as error:
        return _wrong(output, error)
    warnings = law_warnings(config)
    told = [f"{path}: good ({_summary(config)})", *(f"but {warning}" for warning in warnings)]
    output.answer(
        {"file": str(path), "ok": True, "mistakes": [], "warnings": warnings}, Text("\n".join(told))
    )
    return Exit.OK


def _summary(config: Config) -> str:
    broker = config.mqtt.url if config.mqtt else "none"
    pbxs = ", ".join(f"{pbx.id} by {pbx.driver}" for pbx in config.pbx)
    counts = f"{len(config.tokens)} tokens, {len(config.phones)} phones"
    return f"site {config.site}; pbx {pbxs}; API on {config.http.listen}; broker {broker}; {counts}"


def _wrong(output: Output, error: ConfigError) -> Exit:
    mistakes = [
        {
            "line": line,
            "path": ".".join(map(str, mistake.path)),
            "problem": mistake.problem,
            "cure": mistake.cure,
        }
        for line, mistake in error.mistakes
    ]
    output.fail(
        {"code": "config.invalid", "file": str(error.file), "ok": False, "mistakes": mistakes}, str(error)
    )
    return Exit.CONFIG


def version(output: Output, _arguments: argparse.Namespace) -> Exit:
    """Tell the version."""
    output.answer({"version": __version__}, Text(f"ctid {__version__}"))
    return Exit.OK

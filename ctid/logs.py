"""How ctid logs: one line a fact, on standard error, for a person or as JSON.

Three promises hold for every line, whoever wrote it: no control character of a peer reaches the
terminal or the journal, no secret is in it, and no phone number stands in full above `debug`.
"""

import logging
import os
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal, TextIO

import msgspec
import structlog
from structlog.typing import Processor

from ctid.model.instant import enc_hook

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["console", "json", "auto"]

_LONGEST_TEXT = 1000
"""Characters of one value: a peer must not fill the journal by one fact."""
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SECRETS = frozenset({"secret", "password", "token", "authorization", "cookie"})
_NUMBERS = frozenset({"number", "caller", "dialled", "caller_number", "callerid"})
_MULTILINE = frozenset({"exception", "stack"})
"""Tracebacks, which are ours and have lines."""
_PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
"""Of syslog(3); journald takes `<n>` at a line's start for it (sd-daemon(3))."""


def configure(level: Level = "info", form: Format = "auto", stream: TextIO | None = None) -> None:
    """Set up logging for the process, that of the libraries included.

    `auto` writes for a person when `stream` (standard error) is a terminal, else JSON.
    """
    out = stream or sys.stderr
    console = form == "console" or (form == "auto" and out.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            hide_secrets,
            hide_numbers,
            clean_text,
            *_renderers(console=console, colors=console and out.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Bridge)]:
        root.removeHandler(handler)
    root.addHandler(_Bridge())
    root.setLevel(logging.WARNING)


def _renderers(*, console: bool, colors: bool) -> list[Processor]:
    if console:
        return [
            structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
        ]
    return [_journal if "JOURNAL_STREAM" in os.environ else _json]


def _json(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> str:
    ordered = {
        "at": fields.pop("timestamp"),
        "level": fields.pop("level"),
        "event": fields.pop("event"),
        **fields,
    }
    return msgspec.json.encode(ordered, enc_hook=_any_form).decode()


def _any_form(value: Any) -> Any:
    """Any value has a form in a log: a fact lost for want of one would be worse."""
    try:
        return enc_hook(value)
    except NotImplementedError:
        return clean(repr(value))


def _journal(logger: Any, method: str, fields: MutableMapping[str, Any]) -> str:
    return f"<{_PRIORITIES.get(method, 6)}>{_json(logger, method, fields)}"


def clean(text: str) -> str:
    """Make text of a peer fit for one line: control characters become U+FFFD, and the rest is cut at 1000."""
    return _CONTROLS.sub("\ufffd", text[:_LONGEST_TEXT])


def clean_text(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Clean every text in the fields, however deep it lies."""
    for name, value in fields.items():
        if name not in _MULTILINE:
            fields[name] = _cleaned(value)
        elif isinstance(value, str):
            fields[name] = "\n".join(_CONTROLS.sub("\ufffd", line) for line in value.split("\n"))
    return fields


def _cleaned(value: Any) -> Any:
    match value:
        case str():
            return clean(value)
        case Mapping():
            return {_cleaned(key): _cleaned(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_cleaned(item) for item in value]
        case _:
            return value


def hide_secrets(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put stars for the value of any field whose name says that it is a secret, however deep it lies."""
    for name, value in fields.items():
        fields[name] = _without_secrets(name, value)
    return fields


def _without_secrets(name: object, value: Any) -> Any:
    if isinstance(name, str) and name.lower() in _SECRETS:
        return "***"
    if isinstance(value, Mapping):
        return {key: _without_secrets(key, item) for key, item in value.items()}
    return value


def hide_numbers(_logger: Any, method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Star a phone number but for its last two digits, unless the line is of level `debug`."""
    if method == "debug":
        return fields
    for name in _NUMBERS & fields.keys():
        text = str(fields[name])
        fields[name] = "*" * max(len(text) - 2, 0) + text[-2:] if len(text) > 2 else "*" * len(text)
    return fields


class _Bridge(logging.Handler):
    """Carries what libraries log by the standard way into ours."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = structlog.get_logger(record.name)
        method = {logging.CRITICAL: "critical", logging.ERROR: "error", logging.WARNING: "warning"}
        write = getattr(logger, method.get(record.levelno, "info"))
        write(record.getMessage(), library=record.name, exc_info=record.exc_info or None)

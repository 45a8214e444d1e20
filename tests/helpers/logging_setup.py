"""Logging is set up for a whole process; a test that does so gives it back as it was."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from ctid.logs import _Bridge


@contextmanager
def logging_restored() -> Iterator[None]:
    """Undo `ctid.logs.configure` at the end."""
    root = logging.getLogger()
    level = root.level
    try:
        yield
    finally:
        structlog.reset_defaults()
        for handler in [handler for handler in root.handlers if isinstance(handler, _Bridge)]:
            root.removeHandler(handler)
        root.setLevel(level)

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from ctid.logs import clean, configure
from ctid.model.instant import Instant
from helpers.logging_setup import logging_restored


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave logging as it was found; whether the tests themselves run under the journal does not matter."""
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    with logging_restored():
        yield


@pytest.fixture
def lines() -> Callable[[], list[dict[str, Any]]]:
    """Log as JSON at `debug`, and read what was logged."""
    stream = io.StringIO()
    configure("debug", "json", stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """Each line is one JSON object with time, level and event first, and instants as RFC 3339."""
    structlog.get_logger().info("link up", pbx="main", since=Instant(0), odd={1, 2})
    (line,) = lines()
    assert list(line)[:3] == ["at", "level", "event"]
    assert line["level"] == "info"
    assert line["pbx"] == "main"
    assert line["since"] == "1970-01-01T00:00:00.000Z"


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_control_characters(form: Any) -> None:
    """No control character of a peer reaches the output: in values, in nested ones, in the event itself."""
    stream = io.StringIO()
    configure("info", form, stream)
    evil = "a\x1b[2Jb\r\nc\x9bd\u2028e\udce9"
    structlog.get_logger().info(f"event {evil}", text=evil, deep={"k": [evil]})
    written = stream.getvalue()
    assert written.count("\n") == 1
    assert all(character.isprintable() for character in written.rstrip("\n"))
    for escaped in ("\\u001b", "\\r", "\\u009b", "\\x1b"):
        assert escaped not in written


def test_clean_is_bounded() -> None:
    """A peer's text takes at most a thousand characters of a line."""
    assert len(clean("x" * 5000)) == 1000


def test_secrets(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """Fields named as secrets are never written, however deep they lie."""
    structlog.get_logger().debug(
        "login", secret="s3cret", settings={"ari": {"password": "s3cret"}}, Token="s3cret"
    )
    assert "s3cret" not in json.dumps(lines())


def test_numbers(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """Callers' numbers stand in full at debug alone; above it the last two digits are left."""
    structlog.get_logger().debug("call", number="0612345678")
    structlog.get_logger().info("call", number="0612345678", dialled="15")
    assert [line["number"] for line in lines()] == ["0612345678", "********78"]
    assert lines()[1]["dialled"] == "**"


def test_traceback(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """An exception is written with its traceback, on the same line of JSON."""
    try:
        int("bad\x1b")
    except ValueError as error:
        structlog.get_logger().critical("task died", exc_info=error)
    (line,) = lines()
    assert "test_traceback" in line["exception"]
    assert line["exception"].splitlines()[-1].startswith("ValueError: invalid literal")


def test_libraries(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """What a library logs by the standard way comes out in the same form, from warnings upwards."""
    logging.getLogger("aiohttp.server").error("went %s", "wrong")
    logging.getLogger("aiohttp.server").info("chatter")
    assert [(line["event"], line["library"], line["level"]) for line in lines()] == [
        ("went wrong", "aiohttp.server", "error")
    ]


def test_journal_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the journal each line bears its priority, so that `journalctl -p` sorts it."""
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    stream = io.StringIO()
    configure("info", "auto", stream)
    structlog.get_logger().warning("careful")
    structlog.get_logger().debug("left out")
    assert stream.getvalue().startswith('<4>{"at":')
    assert stream.getvalue().count("\n") == 1

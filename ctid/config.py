"""The reading of the configuration file: every mistake at once, with its line and the cure."""

import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ctid import toml_reader
from ctid.config_checks import check_unique, check_values
from ctid.config_schema import (
    AfterCallWorkConfig,
    AgentConfig,
    AgentRules,
    CallsConfig,
    CoachingConfig,
    Config,
    GrantConfig,
    HelpConfig,
    HistoryConfig,
    HttpConfig,
    LawConfig,
    LogConfig,
    MqttConfig,
    OidcConfig,
    PbxConfig,
    PeriodConfig,
    PhoneConfig,
    QueueConfig,
    ReconcileConfig,
    RecordingConfig,
    SessionsConfig,
    SupervisionConfig,
    TeamConfig,
    TokenConfig,
    WebhookConfig,
)
from ctid.config_secrets import Secret, with_files, with_secrets
from ctid.ports import SettingsError
from ctid.toml_lines import Lines
from ctid.toml_reader import Mistake, dotted

__all__ = [
    "DEFAULT_PATH",
    "AfterCallWorkConfig",
    "AgentConfig",
    "AgentRules",
    "CallsConfig",
    "CoachingConfig",
    "Config",
    "ConfigError",
    "GrantConfig",
    "HelpConfig",
    "HistoryConfig",
    "HttpConfig",
    "LawConfig",
    "LogConfig",
    "MqttConfig",
    "OidcConfig",
    "PbxConfig",
    "PeriodConfig",
    "PhoneConfig",
    "QueueConfig",
    "ReconcileConfig",
    "RecordingConfig",
    "Secret",
    "SessionsConfig",
    "SupervisionConfig",
    "TeamConfig",
    "TokenConfig",
    "WebhookConfig",
    "load",
]

DEFAULT_PATH = Path("/etc/ctid/ctid.toml")

_PBX_KEYS = ("id", "driver", "required")


class ConfigError(Exception):
    """The configuration cannot be used: every mistake with file, line, path, what is wrong and the cure."""

    def __init__(self, file: Path, mistakes: Iterable[tuple[int, Mistake]]) -> None:
        self.file = file
        self.mistakes = tuple(sorted(mistakes, key=lambda found: found[0]))
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """One line of text a mistake: `file:line: path: problem; cure`; line 0 is the file as a whole."""
        texts = []
        for line, mistake in self.mistakes:
            where = f"{self.file}:{line}" if line else str(self.file)
            path = f" {dotted(mistake.path)}:" if mistake.path else ""
            cure = f"; {mistake.cure}" if mistake.cure else ""
            texts.append(f"{where}:{path} {mistake.problem}{cure}")
        return texts


def load(path: Path, check_driver: Callable[[PbxConfig], object] | None = None) -> Config:
    """Read a configuration file and the secret files that it names.

    A secret `x` can be written as `x_file`, the path of a file that holds it; a relative path is looked
    up in `$CREDENTIALS_DIRECTORY` (systemd.exec(5), Credentials), then beside the configuration file.
    `check_driver` is called with each PBX and raises `SettingsError` for what only its driver can judge.

    Raises:
        ConfigError: the file cannot be read, or is wrong; all that is wrong is told.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        cure = "name the file with --config PATH" if isinstance(error, FileNotFoundError) else ""
        whole = Mistake(path=(), problem=f"cannot be read: {error.strerror}", cure=cure)
        raise ConfigError(path, [(0, whole)]) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            path, [(0, Mistake(path=(), problem="is not UTF-8", cure="save it as UTF-8"))]
        ) from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(path, [_not_toml(text, str(error))]) from error
    mistakes: list[Mistake] = []
    config = _read(document, path.parent, mistakes)
    if config is not None and check_driver is not None:
        _check_drivers(config, check_driver, mistakes)
    if mistakes or config is None:
        lines = Lines(text)
        raise ConfigError(path, [(lines.of(mistake.path), mistake) for mistake in mistakes])
    return config


def _not_toml(text: str, problem: str) -> tuple[int, Mistake]:
    found = re.search(r"\(at line (\d+), column (\d+)\)|\(at end of document\)", problem)
    line = int(found[1]) if found and found[1] else text.count("\n") + 1
    cure = "strings stand in quotes, and a key stands once in its table (https://toml.io)"
    return line, Mistake(path=(), problem=f"is not TOML: {problem}", cure=cure)


def _read(document: dict[str, Any], folder: Path, mistakes: list[Mistake]) -> Config | None:
    document = with_files(with_secrets(document, (), folder, mistakes), folder, mistakes)
    document = _with_settings(document)
    config = toml_reader.read(Config, document, mistakes)
    check_unique(document, mistakes)
    if config is not None:
        check_values(config, mistakes)
    return config


def _with_settings(document: dict[str, Any]) -> dict[str, Any]:
    """Move what only a driver knows of a `[[pbx]]` into `settings`."""
    tables = document.get("pbx")
    if not isinstance(tables, list):
        return document
    moved = [
        {key: value for key, value in table.items() if key in _PBX_KEYS}
        | {"settings": {key: value for key, value in table.items() if key not in _PBX_KEYS}}
        if isinstance(table, dict)
        else table
        for table in tables
    ]
    return document | {"pbx": moved}


def _check_drivers(config: Config, check: Callable[[PbxConfig], object], mistakes: list[Mistake]) -> None:
    for index, pbx in enumerate(config.pbx):
        try:
            check(pbx)
        except SettingsError as error:
            parts = tuple(error.path.split(".")) if error.path else ()
            mistakes.append(Mistake(path=("pbx", index, *parts), problem=error.message))

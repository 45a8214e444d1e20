"""Secrets: read from files that the configuration names, and shown by nothing."""

import os
from pathlib import Path
from typing import Any

from ctid.toml_lines import Path as KeyPath
from ctid.toml_reader import Mistake


class Secret(str):
    """Text that no repr, and so no log and no traceback, shows."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def with_secrets(
    table: dict[str, Any], path: KeyPath, folder: Path, mistakes: list[Mistake]
) -> dict[str, Any]:
    """Replace each `x_file = path` in a table, and in those within, by `x = content`."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        here = (*path, key)
        if key.endswith("_file") and key != "_file" and isinstance(value, str):
            name = key.removesuffix("_file")
            if name in table:
                mistakes.append(
                    Mistake(
                        path=here, problem=f"{name} is given as well", cure=f"keep one of {name} and {key}"
                    )
                )
            else:
                found[name] = _secret(value, here, folder, mistakes)
        elif isinstance(value, dict):
            found[key] = with_secrets(value, here, folder, mistakes)
        elif isinstance(value, list):
            found[key] = [
                with_secrets(item, (*here, index), folder, mistakes) if isinstance(item, dict) else item
                for index, item in enumerate(value)
            ]
        elif key in ("secret", "password", "client_secret") and isinstance(value, str):
            found[key] = Secret(value)
        else:
            found[key] = value
    return found


FILES = ("tls_cert", "tls_key")
"""Keys of `[http]` that name files which are read again and again, and not here."""


def with_files(document: dict[str, Any], folder: Path, mistakes: list[Mistake]) -> dict[str, Any]:
    """Replace each file that `[http]` names by its whole path, looked up as secrets are."""
    http = document.get("http")
    if not isinstance(http, dict):
        return document
    found: dict[str, Any] = {}
    for key in FILES:
        name = http.get(key)
        if isinstance(name, str) and name:
            places = _places(name, folder)
            found[key] = str(next((place for place in places if place.exists()), places[-1]))
            if not any(place.exists() for place in places):
                mistakes.append(_no_file(name, ("http", key), places))
    return document | {"http": http | found}


def _places(name: str, folder: Path) -> list[Path]:
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    return [Path(place) / name for place in (credentials, folder) if place]


def _no_file(name: str, path: KeyPath, places: list[Path]) -> Mistake:
    tried = ", ".join(dict.fromkeys(str(place) for place in places))
    cure = "make the file, or check LoadCredential= of the unit"
    return Mistake(path=path, problem=f"no file {name!r} (tried {tried})", cure=cure)


def _secret(name: str, path: KeyPath, folder: Path, mistakes: list[Mistake]) -> Secret:
    places = _places(name, folder)
    for place in places:
        if not place.exists():
            continue
        try:
            text = place.read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            problem = f"the secret in {place} cannot be read: {getattr(error, 'strerror', None) or error}"
            mistakes.append(
                Mistake(path=path, problem=problem, cure="it must be text that ctid's user may read")
            )
            return Secret()
        if not text:
            mistakes.append(Mistake(path=path, problem=f"{place} is empty", cure="write the secret into it"))
        return Secret(text)
    mistakes.append(_no_file(name, path, places))
    return Secret()

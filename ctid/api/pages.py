"""The files of the browsable page of the API, shipped within the package."""

from importlib import resources

from msgspec import Struct

_MEDIA_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
_FILES = {"docs": "docs.html", "docs/docs.js": "docs.js", "docs/docs.css": "docs.css"}


class Page(Struct, frozen=True, kw_only=True):
    """One file, UTF-8."""

    body: bytes
    media_type: str


def pages() -> dict[str, Page]:
    """The files by their path beneath the API's base."""
    folder = resources.files("ctid.api") / "static"
    return {
        path: Page(body=(folder / name).read_bytes(), media_type=_MEDIA_TYPES[name.rpartition(".")[2]])
        for path, name in _FILES.items()
    }

"""The keys of `[[pbx]]` that are Asterisk's."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from ctid.ports import SettingsError

QUEUE_LOG = "/var/log/asterisk/queue_log"
"""Where Asterisk has its queue log unless it was built or configured otherwise."""


class AriSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The REST interface, by which a supervisor is put into a call."""

    url: str = "http://127.0.0.1:8088"
    username: str
    password: str
    app: str = "ctid"
    """The Stasis application's name, which the take-over context names too."""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach one Asterisk."""

    host: str = "127.0.0.1"
    port: int = 5038
    username: str
    secret: str
    tls: bool = False
    tls_ca: str = ""
    """A file of certificates to trust; the system's when empty."""
    filter_at_source: bool = True
    quality: bool = True
    """Whether the reports of how audio travels (RTCP) are read: two a leg every five seconds."""
    takeover_context: str = "ctid-takeover"
    handback_context: str = "ctid-handback"
    supervise_context: str = "ctid-supervise"
    """Where a supervisor's phone is without ARI."""
    queue_log: str = QUEUE_LOG
    """The queue log's file, empty for none. The default is only read where Asterisk is on this machine."""
    allow_known_bad: bool = False
    """Whether modes of supervision are allowed that this version of Asterisk is known to do harm in."""
    ari: AriSettings | None = None
    """Without it supervision is by AMI alone, if its user may do what that takes; else there is none."""


def read_settings(settings: Mapping[str, Any]) -> Settings:
    """Check the keys. Raises SettingsError: one is unknown, missing or of the wrong type."""
    try:
        return msgspec.convert(dict(settings), Settings)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `")
        raise SettingsError(path.removesuffix("`").removeprefix("$").removeprefix("."), message) from error

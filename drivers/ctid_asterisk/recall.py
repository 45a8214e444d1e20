"""What Asterisk can tell of a time that ctid did not see: its queue log, or its counters alone."""

import asyncio
import ipaddress
from collections.abc import Mapping, Sequence
from pathlib import Path

from ctid.model.facts import Member
from ctid.model.ids import LegId, PbxId, QueueId, safe_id
from ctid.model.instant import Instant
from ctid.ports import Counters, MemberCounters, MemberName, QueueCounters, Recollection
from ctid_asterisk import log_files
from ctid_asterisk.fields import agent_of_interface, natural, printable
from ctid_asterisk.members import Key
from ctid_asterisk.queue_log import Names, tell
from ctid_asterisk.settings import QUEUE_LOG, Settings
from ctid_asterisk.wire import Message


def log_path(settings: Settings) -> tuple[Path | None, str]:
    """Where the queue log is; or none, and why."""
    if not settings.queue_log:
        return None, "the setting queue_log is empty: set it to the path of Asterisk's queue log"
    if settings.queue_log == QUEUE_LOG and not _is_here(settings.host):
        # The file of that name here would be another Asterisk's.
        cure = "mount its queue log here, and set queue_log to where"
        return None, f"Asterisk is on another machine, {settings.host}: {cure}"
    return Path(settings.queue_log), ""


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def recall(
    pbx: PbxId,
    settings: Settings,
    since: Instant,
    *,
    members: Mapping[Key, Member],
    channels: Mapping[str, str],
    remembered: Sequence[MemberName],
    counters: Counters | None,
) -> Recollection:
    """Read the log; see `ctid.ports.Connection.recall`.

    `members` and `channels` (names by unique id) are those that live, `counters` those just read.
    """
    asked = Names(members, remembered, channels)
    names = asked.known()
    path, reason = log_path(settings)
    if path is None:
        return Recollection(since=None, names=names, counters=counters, reason=reason)
    try:
        reading = await asyncio.to_thread(log_files.read, path, since)
    except OSError as error:
        return Recollection(since=None, names=names, counters=counters, reason=_why(path, error))
    story = tell(reading.lines, pbx, asked)
    reaches = reading.reaches if reading.reaches is not None else reading.until
    return Recollection(
        since=Instant(max(float(since), reaches)),
        until=Instant(reading.until),
        more=reading.more,
        moments=story.moments,
        nameless=tuple(sorted(story.nameless)),
        strange=frozenset(map(LegId, story.strange)),
        unread=reading.unread + story.unread,
        names=names,
        counters=counters,
    )


def _why(path: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        cure = "let ctid's user read it, by the group that owns it"
    elif isinstance(error, FileNotFoundError):
        cure = "set queue_log, or queue_log = yes in Asterisk's logger.conf"
    else:
        cure = "mend it, or set queue_log"
    where = printable(str(error.filename or path))
    return f"the queue log {where} cannot be read ({error.strerror or error}): {cure}"


def read_counters(items: Sequence[Message], at: Instant) -> Counters:
    """The counters in the answer to QueueStatus.

    `Completed` counts the calls that ended, a `CallsTaken` alike; `Abandoned` counts also those who left by a
    timeout or because nobody served, and none who left by a key (Asterisk, apps/app_queue.c, update_queue and
    record_abandoned). A figure that is none is 0; an item without a queue, or a member's without an
    interface, is left out.
    """
    queues, members = [], []
    for item in items:
        fields = item.legible
        if not (name := fields.get("queue")):
            continue
        queue = QueueId(safe_id(name))
        if item.name == "QueueParams":
            served, unserved = _count(fields, "completed"), _count(fields, "abandoned")
            queues.append(QueueCounters(queue=queue, served=served, unserved=unserved))
        elif item.name == "QueueMember" and (interface := fields.get("location") or fields.get("interface")):
            agent, taken = agent_of_interface(interface), _count(fields, "callstaken")
            members.append(MemberCounters(queue=queue, agent=agent, served=taken))
    return Counters(at=at, queues=tuple(queues), members=tuple(members))


def _count(fields: Mapping[str, str], key: str) -> int:
    return natural(fields.get(key, "")) or 0

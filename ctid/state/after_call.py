"""After-call work: how long it is, and when it begins. ctid owns it; a PBX tells of no end of it."""

from ctid.model.entities import AfterCallWork
from ctid.model.facts import Member
from ctid.model.instant import Instant
from ctid.state.profile import AgentProfile, Profiles, QueueProfile

SAME_CLOCK_S = 2.0
"""A PBX whose clock differs by more than this has its own idea of the time: ours then times the work."""

_NO_AGENT = AgentProfile()
_NO_QUEUE = QueueProfile()


def length_s(member: Member, profiles: Profiles) -> float:
    """The seconds of after-call work of a membership: the queue's, else her team's, the PBX's, the site's."""
    queue = profiles.queues.get(member.queue, _NO_QUEUE)
    team = profiles.agents.get(member.agent, _NO_AGENT)
    return queue.wrapup_s or team.after_call_work_s or member.wrapup_s or profiles.after_call_work_s


def work_after(
    old: Member | None, new: Member, profiles: Profiles, at: Instant, now: Instant
) -> AfterCallWork | None:
    """The work that begins as a membership changes at `at` of the PBX's clock, `now` by ours; or none.

    It begins when the queue's call is over. Of a membership that is seen for the first time (`old` is none)
    the time of the last call tells whether it still goes on.
    """
    length = length_s(new, profiles)
    if not length or new.serving is not None:
        return None
    since = at
    if old is None:
        if new.last_call_at is None:
            return None
        since = new.last_call_at
    elif old.serving is None:
        return None
    skew = at - now if now and abs(at - now) > SAME_CLOCK_S else 0.0
    ends_at = Instant(since - skew + length)
    if ends_at <= max(at - skew, now):
        return None
    return AfterCallWork(queue=new.queue, since=since, ends_at=ends_at)

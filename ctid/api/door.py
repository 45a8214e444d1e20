"""The one door that every carrier brings requests to."""

from collections.abc import Callable

from ctid.api.context import ApiContext
from ctid.api.dispatch import Dispatcher
from ctid.api.gate import Gate
from ctid.api.metrics import RequestCounts
from ctid.api.replays import Replays


class Door:
    """What carriers share: who asks and how often, what a key stands for, and the count of what came.

    A user has the same rates, and a key the same meaning, whatever carries them. `now` is the loop's clock,
    in seconds.
    """

    def __init__(self, context: ApiContext, now: Callable[[], float]) -> None:
        self.context = context
        self.gate = Gate(context.identity.directory, context.clock, context.limits, now)
        self.dispatcher = Dispatcher(context, Replays(now))
        self.requests = RequestCounts()

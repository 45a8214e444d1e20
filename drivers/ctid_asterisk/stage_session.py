"""One supervision session under way: its parts on the PBX, and who waits for what of them."""

import asyncio

from msgspec.structs import replace

from ctid.model.commands import EndSupervision
from ctid.model.entities import Supervision
from ctid.model.errors import CtidError, SupervisionRefused
from ctid.model.words import Scope, SupervisionEnd, SupervisionState
from ctid_asterisk.pin import PinEntry
from ctid_asterisk.refusals import Ended, gone
from ctid_asterisk.sessions import Names, Record, Stance, stance_of


class Session:
    """One session that is under way."""

    def __init__(self, record: Record, names: Names, phone: str) -> None:
        self.record = record
        self.names = names
        self.phone = phone
        self.snoop: str | None = None
        self.customer: str | None = None
        """The customer's channel, once he has been taken over."""
        self.moving: str | None = None
        """The customer's channel, from the moment that the PBX is asked to move him to her."""
        self.back: str | None = None
        """The agent's channel, while she is rung to have the customer back."""
        self.made: set[str] = set()
        """What is to be cleared away at its end: the bridge, and the channels that the PBX may have."""
        self.leaving: set[str] = set()
        """Channels whose end is our own doing."""
        self.left: set[str] = set()
        """Those of them that have ended."""
        self.joined: dict[str, asyncio.Future[None]] = {}
        """Channels we wait for: done when they enter the application, failed when they end."""
        self.lock = asyncio.Lock()
        self.lost: SupervisionEnd | None = None
        """Why it cannot go on, from the moment that the PBX tells it."""
        self.over = False
        self.pin: PinEntry | None = None
        """While whoever answered her phone has to enter it."""

    @property
    def supervision(self) -> Supervision:
        """The session as it is published."""
        return self.record.supervision

    @property
    def stance(self) -> Stance:
        """Who hears her, and whom she hears."""
        return stance_of(self.supervision)

    @property
    def is_ringing(self) -> bool:
        """Whether her phone has not been answered yet."""
        return self.supervision.state is SupervisionState.RINGING

    @property
    def outlasts_call(self) -> bool:
        """Whether she waits for the agent's next call when this one is over."""
        return self.supervision.scope is Scope.AGENT

    def check_not_hers(self) -> None:
        """Raise SupervisionRefused when the call has become the supervisor's own."""
        if self.customer is not None:
            raise SupervisionRefused("mode_not_possible", "the customer is hers: he can be handed back")

    def check(self) -> None:
        """Raise what ended the session, if anything has."""
        if self.over or self.lost is not None:
            raise gone(self.lost)

    def check_may_end(self, command: EndSupervision) -> None:
        """Raise SupervisionRefused where the end would leave a customer with nobody, and is not to."""
        if command.unless_taken_over and self.customer is not None:
            raise SupervisionRefused("mode_not_possible", "the customer is hers, and has nobody else")

    def keep(self, wanted: Supervision) -> None:
        """Take over what is the core's to say; who hears whom, and since when, stays as it is."""
        own = self.supervision
        kept = replace(
            wanted, state=own.state, mode=own.mode, hear=own.hear, muted=own.muted, since=own.since
        )
        self.record = replace(self.record, supervision=kept)

    def failure(self, error: BaseException) -> CtidError | None:
        """What to tell instead of `error`, when the session is lost; none when `error` is the reason."""
        if self.lost is None:
            return None
        refusal = gone(self.lost)
        refusal.__cause__ = error
        return refusal

    def expect(self, channel: str) -> asyncio.Future[None]:
        """Wait for a channel to enter the application; set up before it is asked to."""
        future = asyncio.get_running_loop().create_future()
        self.joined[channel] = future
        return future

    def settle(self, channel: str, failure: Exception | None) -> bool:
        """Tell the one who waits for a channel; false when nobody does."""
        future = self.joined.pop(channel, None)
        if future is None or future.done():
            return False
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)
            future.exception()  # the waiter may have given up already
        return True

    def settle_all(self, failure: Exception) -> None:
        """Tell all who wait that it will not come."""
        for channel in list(self.joined):
            self.settle(channel, failure)

    def stop_ringing(self) -> None:
        """Whoever waits for her to answer, or for her PIN, stops here."""
        self.settle_all(Ended(self.phone, 0))

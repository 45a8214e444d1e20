"""What carries out the commands of supervision: by ARI's snoop channels, or by ChanSpy without ARI."""

from collections.abc import Sequence
from typing import Protocol

from ctid.model.commands import (
    EndSupervision,
    FollowSupervision,
    GiveNotice,
    HandBack,
    KeepSupervision,
    StartSupervision,
    SwitchSupervision,
    TakeOver,
)
from ctid.model.entities import Supervision


class Conductor(Protocol):
    """Conducts sessions from their beginning to their end.

    Each method returns once its command is in force, and raises `CtidError` with nothing half done left
    behind; what a command is, its own docstring says.
    """

    def supervisions(self) -> Sequence[Supervision]:
        """The sessions there are, as they are published."""
        ...

    async def start(self, command: StartSupervision) -> None:
        """Conduct a session's beginning."""
        ...

    async def switch(self, command: SwitchSupervision) -> None:
        """Change who hears her and whom she hears."""
        ...

    async def follow(self, command: FollowSupervision) -> None:
        """Put her into another call, or at another agent's side."""
        ...

    async def keep(self, command: KeepSupervision) -> None:
        """Keep what is the core's to say of a session."""
        ...

    async def give_notice(self, command: GiveNotice) -> None:
        """Sound a tone in one party's ear."""
        ...

    async def end(self, command: EndSupervision) -> None:
        """Release the supervisor."""
        ...


class HandingOver(Protocol):
    """Conducts take-overs and hand-backs of the same sessions."""

    async def take_over(self, command: TakeOver, near: str, back: str, queue: str) -> None:
        """Leave the customer with the supervisor.

        `near` is the channel that holds the customer's place towards the agent. If the supervisor is gone
        when he arrives, the dialplan rings `back`; if that is in vain, he waits in `queue`, if any.
        """
        ...

    async def hand_back(self, command: HandBack, address: str) -> None:
        """Return the customer to the agent at `address`, and end the session."""
        ...

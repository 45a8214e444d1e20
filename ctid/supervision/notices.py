"""How agents are told that they are listened to, other than by a tone."""

from collections.abc import Callable

from ctid.model.entities import Supervision
from ctid.model.words import NoticeKind


class Notices:
    """Tells agents. `on_the_bus`: whether what ctid says reaches the broker now.

    On the bus `monitored` of the agent is what a lamp or a screen shows; it is there by the state itself.
    """

    def __init__(self, on_the_bus: Callable[[], bool]) -> None:
        self._on_the_bus = on_the_bus

    async def notify(self, session: Supervision) -> bool:
        """Tell the agent of a session in the way its `notice` says; whether she has been told."""
        return session.notice is NoticeKind.MQTT and self._on_the_bus()

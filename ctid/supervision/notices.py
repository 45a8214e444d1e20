"""How agents are told that they are listened to, other than by a tone."""

from collections.abc import Callable

from ctid.hub import Hub
from ctid.model.commands import SendMessage
from ctid.model.entities import Supervision
from ctid.model.words import NoticeKind


class Notices:
    """Tells agents. `on_the_bus`: whether what ctid says reaches the broker now.

    On the bus `monitored` of the agent is what a lamp or a screen shows; it is there by the state itself. A
    message is the `text`, from `sender`, to her phone.
    """

    def __init__(self, hub: Hub, on_the_bus: Callable[[], bool], text: str, sender: str) -> None:
        self._hub = hub
        self._on_the_bus = on_the_bus
        self._text = text
        self._sender = sender

    async def notify(self, session: Supervision) -> bool:
        """Tell the agent of a session in the way its `notice` says; whether she has been told.

        Raises:
            CtidError: the PBX did not send the message.
        """
        if session.notice is NoticeKind.MQTT:
            return self._on_the_bus()
        agent = self._hub.store.agents.get(session.agent) if session.agent is not None else None
        if session.notice is not NoticeKind.MESSAGE or agent is None or agent.device is None:
            return False
        command = SendMessage(device=agent.device, text=self._text, sender=self._sender)
        await self._hub.execute(session.pbx, command)
        return True

"""An AMI server that speaks Asterisk's text as it is scripted to."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ctid_asterisk.wire import Message

Fields = dict[str, str]
Say = Callable[[Fields], str]

COMMANDS = (
    *("Hangup", "BlindTransfer", "Redirect", "Getvar", "Setvar", "QueueChangePriorityCaller"),
    *("MixMonitor", "StopMixMonitor", "MixMonitorMute", "MessageSend"),
)
"""The actions of acts on calls, which this Asterisk and this user have."""
CLOSE = "<close>"
"""Said instead of an answer: the connection ends there."""


def block(*lines: str) -> str:
    """One message."""
    return "".join(f"{line}\r\n" for line in (*lines, ""))


def text_of(message: Message) -> str:
    """A built message as the server sends it."""
    return block(*[f"{key}: {value}" for key, value in message.pairs])


def listing(complete: str, *items: Message) -> Say:
    """The answer to a list action."""

    def say(fields: Fields) -> str:
        ident = f"ActionID: {fields['actionid']}"
        told = [block("Response: Success", ident, "EventList: start")]
        told += [block(*[f"{key}: {value}" for key, value in item.pairs], ident) for item in items]
        told.append(block(f"Event: {complete}", ident, "EventList: Complete", f"ListItems: {len(items)}"))
        return "".join(told)

    return say


def answer(*lines: str, status: str = "Success") -> Say:
    """A plain answer."""
    return lambda fields: block(f"Response: {status}", f"ActionID: {fields['actionid']}", *lines)


class AmiServer:
    """What it was asked, and what it says to each action; the defaults are an Asterisk with nothing in it."""

    def __init__(self) -> None:
        self.asked: list[Fields] = []
        self.port = 0
        self.connections = 0
        self.greeting = "Asterisk Call Manager/11.0.0\r\n"
        self.says: dict[str, Say] = {
            "Challenge": answer("Challenge: 12345"),
            "Login": self.logged_in,
            "CoreSettings": answer("AsteriskVersion: 22.10.1"),
            "Filter": answer(),
            "Ping": answer("Ping: Pong"),
            "CoreShowChannels": listing("CoreShowChannelsComplete"),
            "QueueStatus": listing("QueueStatusComplete"),
            "DeviceStateList": listing("DeviceStateListComplete"),
            "Status": listing("StatusComplete"),
            "BridgeList": listing("BridgeListComplete"),
            "Agents": listing("AgentsComplete"),
            "ParkedCalls": listing("ParkedCallsComplete"),
            "PJSIPShowContacts": answer("Message: No Contacts found", status="Error"),
            "ShowDialPlan": self.dialplan,
            "BlindTransfer": answer(),
            "ListCommands": answer(*[f"{name}: what it does  (Priv: call,all)" for name in COMMANDS]),
            "Setvar": self.variable_set,
        }
        self._writer: asyncio.StreamWriter | None = None

    @staticmethod
    def logged_in(fields: Fields) -> str:
        """The login is accepted, and Asterisk has booted."""
        return answer("Message: Authentication accepted")(fields) + block("Event: FullyBooted", "Uptime: 1")

    @staticmethod
    def dialplan(fields: Fields) -> str:
        """The context is there."""
        item = Message.build(("Event", "ListDialplan"), ("Context", fields["context"]))
        return listing("ShowDialPlanComplete", item)(fields)

    @staticmethod
    def variable_set(fields: Fields) -> str:
        """A global variable comes back as an event: that is the fence."""
        event = block(
            "Event: VarSet",
            f"Timestamp: {time.time():.6f}",
            "Channel: none",
            f"Variable: {fields['variable']}",
            f"Value: {fields['value']}",
        )
        return answer()(fields) + (event if "channel" not in fields else "")

    def count(self, action: str) -> int:
        """How often an action was asked for."""
        return sum(fields["action"] == action for fields in self.asked)

    def tell(self, *events: Message | str) -> None:
        """Send events, or any text."""
        assert self._writer is not None, "nobody is connected"
        for event in events:
            self._writer.write((event if isinstance(event, str) else text_of(event)).encode())

    def hang_up(self) -> None:
        """Close the connection."""
        assert self._writer is not None, "nobody is connected"
        self._writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Conduct one connection."""
        self._writer = writer
        self.connections += 1
        try:
            writer.write(self.greeting.encode())
            while True:
                data = await reader.readuntil(b"\r\n\r\n")
                lines = [line.partition(": ") for line in data.decode().split("\r\n") if line]
                fields = {key.lower(): value for key, _, value in reversed(lines)}
                self.asked.append(fields)
                said, closing, _ = self.says[fields["action"]](fields).partition(CLOSE)
                writer.write(said.encode())
                if closing:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def ami_server() -> AsyncIterator[AmiServer]:
    """A server on a free port."""
    made = AmiServer()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        if made._writer is not None:
            made._writer.close()
        await server.wait_closed()

"""What a relay costs that does nothing: it reads AMI, makes JSON of each event, and publishes that at QoS 1.

`python -m bench.bare_relay AMI_PORT MQTT_PORT`. It publishes no more than the events that ctid reads as well,
by ctid's own connection to the broker, which is the fastest that there is here: what ctid takes longer is
what it does between the two sockets.
"""

import asyncio
import json
import sys
from typing import Any

import uvloop

from ctid.model.ids import PbxId
from ctid.publish.connection import Connection
from ctid.publish.packets import Connect, Publish
from ctid_asterisk.normalize import Normalizer

TOPIC = "relay"
_LOGIN = b"Action: Login\r\nUsername: ctid\r\nSecret: ctid-lab\r\n\r\n"


def _ignore(*_: Any) -> None:
    """Nothing comes, and nobody waits for acknowledgements."""


async def relay(ami: int, mqtt: int) -> None:
    """Relay, until AMI ends."""
    wanted = Normalizer(PbxId("bare")).wanted
    hello = Connect(version="5", client="bare-relay", keep_alive_s=60)
    connection = Connection(hello, heard=_ignore, settled=_ignore, moved=_ignore)
    await connection.open("127.0.0.1", mqtt, None)
    reader, writer = await asyncio.open_connection("127.0.0.1", ami)
    writer.write(_LOGIN)
    held = b""
    while data := await reader.read(65_536):
        *blocks, held = (held + data).split(b"\r\n\r\n")
        for block in blocks:
            fields = dict(line.split(": ", 1) for line in block.decode().split("\r\n") if ": " in line)
            name = fields.get("Event")
            if name in wanted:
                payload = json.dumps(fields).encode()
                connection.publish(Publish(topic=f"{TOPIC}/{name}", payload=payload, qos=1), None)
        connection.flush()


if __name__ == "__main__":
    uvloop.run(relay(int(sys.argv[1]), int(sys.argv[2])))

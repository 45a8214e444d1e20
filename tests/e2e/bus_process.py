"""Keeps all that is on a broker, a line of JSON each, on its output: `PORT`."""

import sys
from typing import Any

import msgspec
import paho.mqtt.client as paho
from msgspec import Struct
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

SUBSCRIBED = "subscribed"


class Heard(Struct, frozen=True):
    """One message. `content_type` is empty where it had none."""

    topic: str
    qos: int
    retain: bool
    payload: str
    content_type: str = ""


def main(port: int) -> None:
    """Subscribe to everything, and tell it, until killed."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.on_connect = lambda *_: _tell_all(client)
    client.on_subscribe = lambda *_: print(SUBSCRIBED, flush=True)  # noqa: T201 - its output
    client.on_message = lambda _client, _data, message: _keep(message)
    client.connect("127.0.0.1", port)
    client.loop_forever(retry_first_connection=True)


def _tell_all(client: paho.Client) -> None:
    client.subscribe("#", options=SubscribeOptions(qos=1, retainAsPublished=True))


def _keep(message: Any) -> None:
    heard = Heard(
        topic=message.topic,
        qos=message.qos,
        retain=message.retain,
        payload=message.payload.decode(errors="replace"),
        content_type=getattr(message.properties, "ContentType", ""),
    )
    sys.stdout.write(msgspec.json.encode(heard).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))

"""The AsyncAPI 3.0 document: what is on the MQTT bus, generated from the catalogue and the operations."""

from typing import Any

from ctid.api.dispatch import Problem
from ctid.api.examples import example_of, request_of
from ctid.api.operations import OPERATIONS, Operation
from ctid.api.schemas import REF, components, ref
from ctid.describing import Schema, schemas
from ctid.events import schemas as told
from ctid.events.catalogue import EVENTS, CloudEvent, Event
from ctid.events.commanding import CommandDocument, ReplyDocument
from ctid.events.schemas import RETAINED, envelope
from ctid.events.structs import Header
from ctid.events.topics import EVENT_EXPIRY_S

VERSION = "3.0.0"
_JSON = "application/json"
_CLOUD_EVENT = "application/cloudevents+json"
_BINDING = "0.2.0"
_PARAMETERS: dict[str, Any] = {
    "base": {
        "description": "The configured base of all topics; it may have several levels.",
        "default": "ctid",
    },
    "site": {"description": "The configured name of the site.", "default": "main"},
    "id": {"description": "The id of the entity."},
    "client": {"description": "The client's own user name at the broker, and of its token."},
}

_INFO = """State and supervision of a call centre, live, on an MQTT bus.

Retained documents are the state: whoever subscribes has it at once, and each change after that. After an
outage of the broker they are the truth again within a second. An entity that is gone leaves its topic empty.
Events are CloudEvents 1.0, one for each thing that happened, in the order of their `seq`; at QoS 1 one may
come twice, with the same `id`. Every document says in `schema` of which form it is; what may change within a
form is in docs/compatibility.md. Numbers of callers are masked, unless the configuration says otherwise. What
tells who listens to whom, or who asks for help, is for those whom the broker's access list names.

A command is published on `command/<client>/<operation>`, and the answer comes on `reply/<client>`: with
MQTT 5 on the response topic that the command names, which is that one or below it, with its correlation
data; with 3.1.1, by the `id` that the command had. What is refused is a problem document, as over HTTP."""


def document(version: str) -> dict[str, Any]:
    """Generate the document; `version` is ctid's."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    described = _schemas()
    for topic, kind in RETAINED.items():
        name = topic.partition("/")[0]
        messages[name] = _retained(kind)
        channels[name] = _channel(topic, [name], messages[name]["summary"])
        operations[f"tell.{name}"] = _send(name, retain=True)
    for event in EVENTS.values():
        name = f"events.{event.name}"
        described[name] = envelope(event, described[CloudEvent.__name__], ref(event.data))
        messages[name] = _event(event)
        channels[name] = _channel(f"events/{event.name}", [name], event.when)
        operations[f"tell.{event.name}"] = _send(name, retain=False)
    for operation in OPERATIONS.values():
        name = f"command.{operation.name}"
        described[name], described[f"reply.{operation.name}"] = _asked(described, operation)
        messages[name] = _command(operation)
        messages[f"reply.{operation.name}"] = _reply(operation)
        channels[name] = _channel(f"command/{{client}}/{operation.name}", [name], operation.summary)
        operations[operation.name] = _receive(operation)
    replies = [f"reply.{name}" for name in OPERATIONS]
    channels["reply"] = _channel("reply/{client}", replies, "Answers to commands, for one client.")
    return {
        "asyncapi": VERSION,
        "id": "urn:ctid",
        "info": {"title": "ctid", "version": version, "description": _INFO},
        "defaultContentType": _JSON,
        "servers": {"broker": _server()},
        "channels": channels,
        "operations": operations,
        "components": {
            "schemas": described,
            "messages": messages,
            "securitySchemes": {
                "password": {"type": "userPassword", "description": "A user of the broker."},
                "certificate": {
                    "type": "X509",
                    "description": "A client's certificate, where the broker asks.",
                },
            },
        },
    }


def _schemas() -> dict[str, Schema]:
    operations = OPERATIONS.values()
    asked = components(
        requests=[operation.params for operation in operations],
        results=[*(operation.result for operation in operations), Problem],
    )
    carried = schemas([CommandDocument], (), REF + "{name}") | schemas((), [ReplyDocument], REF + "{name}")
    return asked | told.components(REF + "{name}") | carried


def _server() -> dict[str, Any]:
    return {
        "host": "{host}",
        "protocol": "mqtt",
        "protocolVersion": "5.0",
        "description": "The site's broker. ctid speaks MQTT 5, and 3.1.1 to a broker that knows no other.",
        "variables": {"host": {"default": "127.0.0.1:1883", "description": "Its host and port."}},
        "security": [
            {"$ref": "#/components/securitySchemes/password"},
            {"$ref": "#/components/securitySchemes/certificate"},
        ],
    }


def _channel(topic: str, messages: list[str], description: str) -> dict[str, Any]:
    address = f"{{base}}/{{site}}/{topic}"
    return {
        "address": address,
        "description": description,
        "servers": [{"$ref": "#/servers/broker"}],
        "parameters": {name: told for name, told in _PARAMETERS.items() if f"{{{name}}}" in address},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }


def _send(channel: str, *, retain: bool) -> dict[str, Any]:
    binding: dict[str, Any] = {"qos": 1, "retain": retain, "bindingVersion": _BINDING}
    if not retain:
        binding["messageExpiryInterval"] = EVENT_EXPIRY_S
    return {"action": "send", "channel": {"$ref": f"#/channels/{channel}"}, "bindings": {"mqtt": binding}}


def _receive(operation: Operation) -> dict[str, Any]:
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/command.{operation.name}"},
        "summary": operation.summary,
        "description": f"{operation.description}\n\nRoles: {', '.join(sorted(operation.roles))}.",
        "bindings": {"mqtt": {"qos": 1, "retain": False, "bindingVersion": _BINDING}},
        "reply": {
            "channel": {"$ref": "#/channels/reply"},
            "messages": [{"$ref": f"#/channels/reply/messages/reply.{operation.name}"}],
        },
    }


def _message(
    name: str, summary: str, schema: str, content_type: str, example: dict[str, Any]
) -> dict[str, Any]:
    return {
        "name": name,
        "summary": summary,
        "contentType": content_type,
        "payload": {"$ref": REF + schema},
        "examples": [{"payload": example}],
        "bindings": {
            "mqtt": {"payloadFormatIndicator": 1, "contentType": content_type, "bindingVersion": _BINDING}
        },
    }


def _retained(kind: type[Header]) -> dict[str, Any]:
    name = str(kind.__struct_config__.tag)
    summary = (kind.__doc__ or "").partition("\n")[0]
    example = example_of(kind, name.removeprefix("ctid.").partition("/")[0])
    return _message(name, summary, kind.__name__, _JSON, example)


def _event(event: Event) -> dict[str, Any]:
    data = example_of(event.data, event.name)
    subject = "status" if "id" not in data else f"{event.name.partition('.')[0]}s/{data['id']}"
    envelope_ = example_of(CloudEvent) | {"id": f"{data['boot_id']}-{data['seq']}", "time": data["at"]}
    example = envelope_ | {"type": f"ctid.{event.name}", "subject": subject, "data": data}
    return _message(f"ctid.{event.name}", event.when, f"events.{event.name}", _CLOUD_EVENT, example)


def _asked(described: dict[str, Schema], operation: Operation) -> tuple[Schema, Schema]:
    """The schemas of an operation's command, and of its reply."""
    command, reply = described[CommandDocument.__name__], described[ReplyDocument.__name__]
    params = command["properties"] | {"params": ref(operation.params)}
    asked = command | {"title": f"command.{operation.name}", "properties": params}
    if described[operation.params.__name__].get("required"):
        asked["required"] = ["params"]
    answered = reply["properties"] | {"result": ref(operation.result), "problem": ref(Problem)}
    return asked, reply | {"title": f"reply.{operation.name}", "properties": answered}


def _command(operation: Operation) -> dict[str, Any]:
    found = request_of(operation.params) | dict(operation.example or {})
    summary = operation.summary
    name = f"command.{operation.name}"
    return _message(name, summary, name, _JSON, {"id": 1, "params": found})


def _reply(operation: Operation) -> dict[str, Any]:
    name = f"reply.{operation.name}"
    result = example_of(operation.result, operation.name.partition(".")[0].removesuffix("s"))
    example = {"schema": "ctid.reply/1", "status": operation.status, "id": 1, "result": result}
    message = _message(name, f"The answer: {operation.summary}", name, _JSON, example)
    message["bindings"]["mqtt"]["correlationData"] = {"type": "string", "description": "The command's own."}
    return message

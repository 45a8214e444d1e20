"""What the document says of requests beyond their types: how texts must be, and what no schema can say."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from ctid.api.decoding import ID_NAMES, ID_PATTERN, TEXT_PATTERN, TIME_NAMES

Schema = dict[str, Any]

_ANYWHERE = {
    "cursor": "It must be the `next` of a page of this list.",
    "since": "A date-time that this machine can reckon with.",
    "until": "The same, not before `since`.",
}
"""By the name of a field, whichever operation has it."""
_QUEUES = {"queues": "At least one, or leave it out."}
_PHONE = {"via.phone": "A phone must be named; `browser` is for later."}
_GRADES = {"grades": "The criteria are those of the configuration's grid."}
_NUMBER = "1 to 32 of the characters 0-9 * # +."
_LONG_ENOUGH = "12 to 256 characters, neither the name nor one character again and again."
_BEARER = {
    "phones": "Each is a `[[phone]]` of the configuration.",
    "agent": "Who has the role agent needs one.",
}
_SUBJECT = {"id": "A telephone number has digits."}

_JUDGED: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "figures.calls": {
            "kind": "One of those there are, or empty.",
            "by": "One of those there are, or empty.",
        },
        "session.password": {"new": _LONG_ENOUGH},
        "tokens.create": _BEARER
        | {
            "scopes": "Each holds an operation: by its name, its room as `calls.*`, `read` or `events`.",
            "expires": "A date-time to come, or empty.",
        },
        "users.create": _BEARER | {"password": f"Empty, or: {_LONG_ENOUGH}"},
        "users.update": _BEARER | {"role": "Something is to be changed: this, or another field."},
        "users.password": {"password": _LONG_ENOUGH},
        "agents.login": {"queues": "At least one, or leave it out where the configuration gives her some."},
        "agents.logout": _QUEUES,
        "agents.pause": _QUEUES
        | {"reason": "One that the configuration lists; else printable, of at most 79 bytes, without |."},
        "agents.resume": _QUEUES,
        "agents.extend_after_call_work": {"seconds": "The end must be at most an hour from now."},
        "agents.help": {"text": "Printable."},
        "agents.message": {"text": "Printable, not blank, and at most 750 bytes of UTF-8."},
        "calls.create": {"number": _NUMBER},
        "calls.hang_up": {"party": "A party of this call."},
        "calls.transfer": {"to": _NUMBER, "to.queue": "The configuration must say which number enters it."},
        "calls.record": {"basis": "A start needs one, printable."},
        "subjects.export": _SUBJECT,
        "subjects.erase": _SUBJECT,
        "supervisions.create": _PHONE
        | {
            "agent": "Either `agent` or `call` is named; a scope other than `call` needs the agent.",
            "calls": "Only the scope `agent` has several.",
            "mode": "Only a call that goes on, by the scope `call`, can be taken over.",
            "hear": "Who takes over hears the customer.",
        },
        "supervisions.update": {
            "mode": "Something must be asked for; beside `handback` nothing else may be.",
            "If-Match": "It must be * or entity tags in quotes.",
            "lead": "It is taken, never given up: only true can be asked for.",
            "muted": "Who takes over is heard.",
            "hear": "Who takes over hears the customer.",
        },
        "help.claim": _PHONE | {"mode": "Only a call that goes on can be taken over."},
        "supervisions.sheet": _GRADES
        | {"text": "A grade or a text is needed.", "agent": "Whom the session was with; needed of several."},
        "events": {
            "kind": "Each of the list is a kind.",
            "after": "With `boot_id`.",
            "boot_id": "With `after`.",
        },
        "sheets.update": _GRADES | {"text": "A grade or a text must remain."},
    }
)


def judged(operation: str, fields: Iterable[str]) -> dict[str, str]:
    """Fields of an operation that can be `request.invalid` though they are as the schema says, and why.

    The state, the configuration or another field of the request decides of them. `fields` are all of its own.
    """
    return {field: _ANYWHERE[field] for field in fields if field in _ANYWHERE} | dict(
        _JUDGED.get(operation, {})
    )


def constrain(name: str, schema: Schema) -> None:
    """Say in the schema of a request's field how its texts must be, as the decoder demands it."""
    for option in (schema, *schema.get("anyOf", ())):
        if option.get("type") == "array":
            constrain(name, option["items"])
        elif option.get("type") == "string" and name in TIME_NAMES:
            option["format"] = "date-time"
        elif option.get("type") == "string" and not {"pattern", "enum", "format"} & set(option):
            option["pattern"] = ID_PATTERN if name in ID_NAMES else TEXT_PATTERN

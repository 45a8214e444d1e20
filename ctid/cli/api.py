"""`ctid api`: every operation of the API by its name; what it takes and how it is called is the table's."""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import msgspec

from ctid.api.operations import OPERATIONS, Operation
from ctid.cli import teaching
from ctid.cli.exits import HELP, Exit
from ctid.cli.output import Output, table
from ctid.cli.values import BadWord, params_of
from ctid.client import Client
from ctid.client.http import segment

_EXAMPLES = """examples:
  ctid api                                       every operation
  ctid api agents.pause --help                   what it takes, and how HTTP and MQTT ask for it
  ctid api agents.pause id=1001 reason=lunch
  ctid api agents.login id=1001 queues=support queues=sales
  ctid api supervisions.create agent=1001 via.phone=2001 purpose=quality
  ctid api calls.transfer --json-params '{"id": "lab.100.1", "to": {"queue": "sales"}}'

Options come after the parameters. A list's name is given once for each of its items, a field of a field as
via.phone; null, true, false and numbers are JSON's where the operation takes those. NAME=VALUE goes over what
--json-params gives. The answer is the API's own document."""

# What JSON leaves as it is: C1 controls, separators of lines, and what turns the direction of writing.
_OBEYED = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add what `ctid api` takes; its help is an operation's own where one is named, so here is no other."""
    parser.epilog = f"{_EXAMPLES}\n\n{HELP}"
    parser.add_argument(
        "-h", "--help", action=_Help, nargs=0, help="this, or all about the operation before it"
    )
    parser.add_argument("operation", metavar="OPERATION", nargs="?", help="as `ctid api` lists it")
    parser.add_argument("words", metavar="NAME=VALUE", nargs="*", help="its parameters")
    parser.add_argument("--json-params", metavar="JSON", default="{}", help="parameters as one JSON object")
    parser.add_argument(
        "--key", metavar="KEY", help="an idempotency key: what comes twice with it is done once"
    )
    parser.set_defaults(local=_prepare, remote=carry_out)


class _Help(argparse.Action):
    """Tells of the operation that was named, or of the command."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        del values, option_string
        operation = OPERATIONS.get(getattr(namespace, "operation", None) or "")
        if operation is None:
            parser.print_help()
        else:
            print(teaching.lesson(operation))
        parser.exit()


def _prepare(output: Output, arguments: argparse.Namespace) -> Exit | None:
    """List the operations, or read the parameters; none: it is to be carried out."""
    name = arguments.operation
    if name is None:
        items = [
            {"operation": operation.name, "summary": operation.summary, "command": operation.command_line}
            for operation in OPERATIONS.values()
        ]
        rows = [(operation.name, operation.summary) for operation in OPERATIONS.values()]
        output.answer({"items": items}, table(("OPERATION", "SUMMARY"), rows))
        return Exit.OK
    try:
        operation = _named(name)
        arguments.params = _params(operation, arguments)
    except BadWord as error:
        output.fail({"code": "usage", "detail": str(error)}, str(error))
        return Exit.USAGE
    return None


async def carry_out(client: Client, output: Output, arguments: argparse.Namespace) -> Exit:
    """Carry the operation out, and print its document."""
    operation, params = OPERATIONS[arguments.operation], dict(arguments.params)
    path = operation.path
    for name in operation.path_params:
        path = path.replace(f"{{{name}}}", segment(str(params.pop(name))))
    body = params if operation.has_body else None
    # An address cannot say null; a parameter that is left out is one.
    query = {} if operation.has_body else {name: value for name, value in params.items() if value is not None}
    document = await client.http.document(operation.method, path, query=query, body=body, key=arguments.key)
    if output.as_json:
        output.document(document)
    else:
        print(_shown(document))
    return Exit.OK


def _named(name: str) -> Operation:
    operation = OPERATIONS.get(name)
    if operation is None:
        near = " or ".join(get_close_matches(name, OPERATIONS)) or "`ctid api` lists them"
        raise BadWord(f"there is no operation {name!r}; {near}")
    return operation


def _params(operation: Operation, arguments: argparse.Namespace) -> Mapping[str, Any]:
    try:
        given = msgspec.json.decode(arguments.json_params, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise BadWord(f"--json-params is no JSON object: {error}") from error
    params = given | params_of(operation.params, arguments.words)
    for name in operation.path_params:
        if not isinstance(params.get(name), str) or not params[name]:
            raise BadWord(f"{name} is needed, as text: {operation.command_line}")
    return params


def _shown(document: Mapping[str, Any]) -> str:
    """The document over several lines, as JSON: what a terminal would obey is escaped."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)

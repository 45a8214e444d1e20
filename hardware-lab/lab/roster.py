"""Who is in the rig: agents, supervisors, customers, queues and everyone's tone. Pure tables."""

from typing import NamedTuple


class Agent(NamedTuple):
    """An agent's phone number and name, and the queues she is a static member of."""

    number: str
    name: str
    queues: tuple[str, ...]


class Queue(NamedTuple):
    """A queue: its name, the number that enters it, its strategy and its wrap-up in seconds."""

    name: str
    number: str
    strategy: str
    wrapup: int


class Extra(NamedTuple):
    """A queue that only the tests' rig of scenarios has.

    `members` are pairs of an agent's number and `Interface[,StateInterface]`, both with `{number}`;
    `settings` are lines of queues.conf.
    """

    name: str
    number: str
    strategy: str
    members: tuple[tuple[str, str], ...]
    settings: tuple[str, ...] = ()


AGENTS = (
    Agent("1001", "Alice Martin", ("support",)),
    Agent("1002", "Bruno Petit", ("support",)),
    Agent("1003", "Chloé Durand", ("support", "sales")),
    Agent("1004", "David Moreau", ("support", "sales")),
    Agent("1005", "Emma O'Neil", ("sales",)),
    Agent("1006", "Farid Benali", ("sales",)),
    Agent("1007", "Grace Laurent", ("desk",)),
    Agent("1008", "Hugo Lefèvre", ("desk",)),
)
SUPERVISORS = ("2001", "2002", "2003")
CUSTOMERS = tuple(str(number) for number in range(3001, 3021))
QUEUES = (
    Queue("support", "7000", "rrmemory", 5),
    Queue("sales", "7001", "rrmemory", 0),
    Queue("desk", "7002", "linear", 0),
)
PHONE_MEMBER = "PJSIP/{number},PJSIP/{number}"
EXTRA_QUEUES = (
    Extra("short", "7003", "linear", (("1002", PHONE_MEMBER),)),
    Extra("local", "7004", "linear", (("1006", "Local/{number}@from-queue,hint:{number}@ext-local"),)),
    Extra(
        "branch",
        "7005",
        "ringall",
        (("1005", "Local/{number}@from-queue/n,PJSIP/{number}"), ("1008", "Local/{number}@from-queue/n")),
    ),
    Extra(
        "strict",
        "7006",
        "linear",
        (("1004", PHONE_MEMBER),),
        ("joinempty = strict", "leavewhenempty = strict"),
    ),
    Extra("pool", "7008", "linear", (("1006", "Local/{number}@agent-pool,Agent:{number}"),)),
    Extra("keys", "7009", "linear", (("1004", PHONE_MEMBER),), ("context = queue-keys",)),
)
"""What the scenarios' rig has on top; the dialplan has their numbers in each rig."""
QUALIFIED = "1008"
"""The phone that the scenarios' PBX asks every `QUALIFY_SECONDS` whether it is there (OPTIONS)."""
QUALIFY_SECONDS = 2
DEFAULT_CUSTOMER = "3020"
"""The customer whom 8000 without a number rings."""
ECHO = "9000"
PHONES = (*(agent.number for agent in AGENTS), *SUPERVISORS, *CUSTOMERS)


def password(number: str) -> str:
    """The SIP password of a phone of the rig."""
    return f"pw{number}"


def interface(agent: Agent) -> str:
    """The agent's name as a queue member: the phone itself, or FreePBX's Local form in the queue `desk`."""
    return f"Local/{agent.number}@from-queue/n" if "desk" in agent.queues else f"PJSIP/{agent.number}"

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

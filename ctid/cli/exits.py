"""How the command ends: the exit codes, which scripts may rely on."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of `ctid`. They are part of its contract: none is ever given another meaning."""

    OK = 0
    REFUSED = 1
    """ctid answered that it will not: the problem's code says why."""
    USAGE = 2
    CONFIG = 3
    """The configuration file is wrong."""
    UNREACHABLE = 4
    """No ctid answers at the URL."""
    AUTH = 5
    """The token is missing or not known, or its role may not do this."""
    CANNOT_START = 6
    """The daemon cannot start here: a taken port, a state directory it may not write."""
    INTERNAL = 70
    """A defect (EX_SOFTWARE of sysexits.h); the traceback says where."""
    INTERRUPTED = 130


WORDS = {
    Exit.OK: "done",
    Exit.REFUSED: "ctid refused; the problem's code says why",
    Exit.USAGE: "the command line is wrong",
    Exit.CONFIG: "the configuration is wrong",
    Exit.UNREACHABLE: "no ctid answers at the URL",
    Exit.AUTH: "no token, an unknown one, or its role may not do this",
    Exit.CANNOT_START: "the daemon cannot start: port taken, state directory not writable",
    Exit.INTERNAL: "a defect; the traceback says where",
    Exit.INTERRUPTED: "interrupted by Ctrl-C",
}

HELP = "exit codes:\n" + "\n".join(f"  {code.value:>3}  {words}" for code, words in WORDS.items())

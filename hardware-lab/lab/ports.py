"""The ports of a rig: the default rig's fixed ones, a test rig's free ones, and who holds a taken one."""

import contextlib
import random
import socket
from pathlib import Path
from typing import NamedTuple

import msgspec

from lab.errors import PortTakenError

RTP_PORTS = 400
_TEST_PORTS = range(21_000, 31_000)
"""Below the kernel's ephemeral ports, so that no outgoing connection takes a port between choice and use."""


class Ports(msgspec.Struct, frozen=True):
    """The ports of one rig, all on 127.0.0.1; `rtp` is the first of `RTP_PORTS` UDP ports."""

    sip: int = 5060
    ami: int = 5038
    ari: int = 8088
    mqtt: int = 1883
    http: int = 8080
    rtp: int = 10_000

    def listeners(self) -> dict[str, tuple[str, int]]:
        """What listens where: name -> ("tcp" or "udp", port)."""
        return {
            "SIP": ("udp", self.sip),
            "AMI": ("tcp", self.ami),
            "ARI": ("tcp", self.ari),
            "MQTT": ("tcp", self.mqtt),
            "HTTP": ("tcp", self.http),
        }


class Owner(NamedTuple):
    """The process that holds a port; pid 0 where the kernel does not tell this user."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.command})" if self.pid else "a process of another user"


def is_free(protocol: str, port: int) -> bool:
    """Whether 127.0.0.1:`port` can be bound now."""
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as probe:
        if protocol == "tcp":
            # As the servers do: a connection that lingers in TIME_WAIT is no owner.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that nobody holds at this moment, by TCP or UDP."""
    chooser = random.SystemRandom()
    while True:
        port = chooser.choice(_TEST_PORTS)
        if is_free("tcp", port) and is_free("udp", port):
            return port


def free_ports() -> Ports:
    """Ports for a test rig that nobody holds at this moment."""
    chosen: list[int] = []
    while len(chosen) < 5:
        port = free_port()
        if port not in chosen:
            chosen.append(port)
    rtp = random.SystemRandom().randrange(11_000, 20_000, RTP_PORTS)
    sip, ami, ari, mqtt, http = chosen
    return Ports(sip, ami, ari, mqtt, http, rtp)


def parse_inodes(table: str, port: int, protocol: str) -> set[str]:
    """The socket inodes that listen on `port` in the text of /proc/net/{tcp,udp,tcp6,udp6} (proc_net_tcp)."""
    listening = "0A" if protocol == "tcp" else "07"
    inodes = set()
    for line in table.splitlines()[1:]:
        columns = line.split()
        if len(columns) > 9 and columns[3] == listening and int(columns[1].rpartition(":")[2], 16) == port:
            inodes.add(columns[9])
    return inodes


def readable(cmdline: bytes) -> str:
    """/proc/<pid>/cmdline for a person; of a program of a root, without the dynamic linker that runs it."""
    words = cmdline.decode(errors="replace").rstrip("\0").split("\0")
    if "ld-linux" in words[0] and words[1:2] == ["--library-path"]:
        words = words[3:]
    return " ".join(words)


def owner_of(protocol: str, port: int) -> Owner:
    """The process that listens on `port`, read from /proc."""
    inodes: set[str] = set()
    for family in ("", "6"):
        table = Path(f"/proc/net/{protocol}{family}")
        if table.exists():
            inodes |= parse_inodes(table.read_text(), port, protocol)
    names = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and names & _open_files(process):
            command = readable((process / "cmdline").read_bytes())
            return Owner(int(process.name), command[:120])
    return Owner(0, "")


def _open_files(process: Path) -> set[str]:
    found = set()
    try:
        for entry in (process / "fd").iterdir():
            # One of them may be closed while we look, such as the one that lists this very folder.
            with contextlib.suppress(FileNotFoundError):
                found.add(str(entry.readlink()))
    except (PermissionError, FileNotFoundError, ProcessLookupError):
        return set()  # another user's process, or one that ended while we looked
    return found


def require_free(ports: Ports) -> None:
    """Raise `PortTakenError` that names every taken port of `ports` with its owner."""
    taken = [
        f"{name} {protocol} port {port} is held by {owner_of(protocol, port)}"
        for name, (protocol, port) in ports.listeners().items()
        if not is_free(protocol, port)
    ]
    if taken:
        raise PortTakenError("; ".join(taken) + ": end that program, or give the rig other ports")

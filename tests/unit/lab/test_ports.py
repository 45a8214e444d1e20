import os
import socket

import pytest

from lab.errors import PortTakenError
from lab.ports import Ports, free_ports, is_free, owner_of, parse_inodes, readable, require_free

LINE = "{n}: 0100007F:{port} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 1000 0 {inode} 1 0"
TABLE = "\n".join(
    [
        "sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode",
        LINE.format(n=0, port="13AE", state="0A", inode=4711),
        LINE.format(n=1, port="13AE", state="01", inode=4712),
        LINE.format(n=2, port="1F90", state="0A", inode=4713),
    ]
)


def test_only_the_listener_of_a_port_counts() -> None:
    """Of /proc/net/tcp the listening socket on the port counts; a connection on it and other ports do not."""
    assert parse_inodes(TABLE, 5038, "tcp") == {"4711"}
    assert parse_inodes(TABLE, 9999, "tcp") == set()


@pytest.mark.parametrize(("protocol", "kind"), [("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM)])
def test_owner_of_a_taken_port(protocol: str, kind: int) -> None:
    """A port that this process holds is not free, and its owner is this process by pid and command."""
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind(("127.0.0.1", 0))
        if protocol == "tcp":
            holder.listen()
        port = holder.getsockname()[1]
        assert not is_free(protocol, port)
        owner = owner_of(protocol, port)
        assert owner.pid == os.getpid()
        assert "python" in owner.command or "pytest" in owner.command
    assert is_free(protocol, port)


def test_all_taken_ports_are_told_at_once() -> None:
    """The error names each taken port of a rig, not only the first."""
    ports = free_ports()
    with socket.socket() as first, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second:
        first.bind(("127.0.0.1", ports.mqtt))
        first.listen()
        second.bind(("127.0.0.1", ports.sip))
        with pytest.raises(PortTakenError) as taken:
            require_free(ports)
    assert f"MQTT tcp port {ports.mqtt}" in str(taken.value)
    assert f"SIP udp port {ports.sip}" in str(taken.value)
    assert taken.value.exit_code == 4
    require_free(ports)


def test_free_ports_differ_and_default_ports_are_the_design_s() -> None:
    """A test rig's ports are five different ones; the default rig has the documented ones."""
    ports = free_ports()
    assert len({ports.sip, ports.ami, ports.ari, ports.mqtt, ports.http}) == 5
    default = Ports()
    assert (default.sip, default.ami, default.ari, default.mqtt, default.http) == (
        5060,
        5038,
        8088,
        1883,
        8080,
    )


def test_owner_is_the_program_and_not_its_linker() -> None:
    """A program of the root is named by itself; other command lines stay as they are."""
    linked = b"/c/ld-linux-x86-64.so.2\0--library-path\0/c/lib:/c/lib2\0/c/asterisk\0-f\0"
    assert readable(linked) == "/c/asterisk -f"
    assert readable(b"python\0-m\0ctid\0") == "python -m ctid"
    assert readable(b"") == ""

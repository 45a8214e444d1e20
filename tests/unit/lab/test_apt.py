from pathlib import Path

import pytest

from lab import apt
from lab.errors import RootError
from lab.root import KEYRING, Source, choose_source, load_root, root_key

STANZA = """MetaKey: main/binary-amd64/Packages
ShortDesc: Packages
URI: {mirror}/dists/{release}/main/binary-amd64/Packages
Origin: {origin}
Component: {component}
Created-By: {kind}
Release: {release}
Repo-URI: {mirror}/
"""
BOOKWORM = apt.Target("http://mirror.example/debian", "bookworm", "main", "Debian")
SECURITY = apt.Target("http://mirror.example/debian-security", "bookworm-security", "main", "Debian")
UBUNTU = apt.Target("http://ubuntu.example/ubuntu", "noble", "main", "Ubuntu")


def stanza(target: apt.Target, kind: str = "Packages") -> str:
    """A stanza as `apt-get indextargets` prints it."""
    return STANZA.format(**target._asdict(), kind=kind)


def test_targets_are_read_in_order() -> None:
    """Each package index is a target, in apt's order; other indexes (sources, translations) are none."""
    text = "\n".join([stanza(SECURITY), stanza(BOOKWORM, "Translations"), stanza(BOOKWORM)])
    assert apt.parse_targets(text) == [SECURITY, BOOKWORM]


def test_no_targets_in_nothing() -> None:
    """Where apt prints nothing there is no target and no offer."""
    assert apt.parse_targets("") == []
    assert apt.parse_offers("") == []


def test_offers_with_epoch_and_nested_suite() -> None:
    """An offer has version, mirror and suite, the suite with its own slash; source lines are left out."""
    text = (
        " asterisk | 1:22.10.1~dfsg-1 | http://mirror.example/debian forky/main amd64 Packages\n"
        " asterisk | 1:20.1-1 | http://mirror.example/debian stable/updates/main amd64 Packages\n"
        " asterisk | 1:22.10.1~dfsg-1 | http://mirror.example/debian forky/main Sources\n"
        "N: an aside\n"
    )
    assert apt.parse_offers(text) == [
        apt.Offer("1:22.10.1~dfsg-1", "http://mirror.example/debian", "forky"),
        apt.Offer("1:20.1-1", "http://mirror.example/debian", "stable/updates"),
    ]


@pytest.mark.parametrize(
    ("version", "number"), [("1:22.10.1~dfsg-1", 22), ("16.28.0", 16), ("2:9", 9), ("unknown", -1)]
)
def test_major_number_of_a_debian_version(version: str, number: int) -> None:
    """The epoch is not the major number; a version without a number is -1."""
    assert apt.major(version) == number


def test_debian_mirror_is_the_main_archive() -> None:
    """Security and other distributions' archives are passed over; one never fetched is known by its path."""
    assert apt.debian_mirror([SECURITY, UBUNTU, BOOKWORM]) == BOOKWORM.mirror
    assert apt.debian_mirror([BOOKWORM._replace(origin="")]) == BOOKWORM.mirror
    assert apt.debian_mirror([UBUNTU, SECURITY, UBUNTU._replace(origin="")]) is None


def test_own_distribution_is_taken_when_it_is_new_enough() -> None:
    """A distribution that has Asterisk 22 gives the root itself; an older one does not."""
    new = apt.Offer("1:22.1-1", "http://own.example/os", "own")
    old = apt.Offer("1:20.6-1", "http://own.example/os", "own")
    assert choose_source(None, override=None, offers=[old, new], targets=[BOOKWORM]) == Source(
        new.mirror, "own"
    )
    assert choose_source(None, override=None, offers=[old], targets=[BOOKWORM]) == Source(
        BOOKWORM.mirror, "forky", str(KEYRING)
    )


def test_named_suite_and_mirror_win() -> None:
    """A suite asked for comes from Debian whatever the machine offers; CTID_LAB_MIRROR wins over apt."""
    new = apt.Offer("1:22.1-1", "http://own.example/os", "own")
    chosen = choose_source(
        "bullseye", override="http://named.example/debian", offers=[new], targets=[BOOKWORM]
    )
    assert chosen == Source("http://named.example/debian", "bullseye", str(KEYRING))


def test_no_mirror_names_the_cure() -> None:
    """Without any Debian mirror the error names the variable to set."""
    with pytest.raises(RootError, match="CTID_LAB_MIRROR"):
        choose_source(None, override=None, offers=[], targets=[UBUNTU])


def test_key_changes_with_all_that_decides_a_root() -> None:
    """Suite, packages and recipe each change the name in the cache; the same three give the same name."""
    key = root_key("forky", ("asterisk",), 1)
    assert key == root_key("forky", ("asterisk",), 1)
    others = {
        root_key("trixie", ("asterisk",), 1),
        root_key("forky", ("asterisk", "x"), 1),
        root_key("forky", ("asterisk",), 2),
    }
    assert key not in others
    assert len(others) == 3


def test_a_folder_without_its_stamp_is_no_root(tmp_path: Path) -> None:
    """A root whose building was cut short is refused, with the command that makes one."""
    (tmp_path / "usr/lib/x86_64-linux-gnu").mkdir(parents=True)
    with pytest.raises(RootError, match="python -m lab root"):
        load_root(tmp_path)


def test_command_runs_by_the_roots_own_linker(tmp_path: Path) -> None:
    """A program starts through the root's dynamic linker and libraries; an unknown one is named."""
    libraries = tmp_path / "usr/lib/aarch64-linux-gnu"
    libraries.mkdir(parents=True)
    linker = libraries / "ld-linux-aarch64.so.1"
    program = tmp_path / "usr/sbin/asterisk"
    program.parent.mkdir(parents=True)
    for path in (linker, program, tmp_path / "ctid-lab.json"):
        path.touch()
    root = load_root(tmp_path)
    assert root.triplet == "aarch64-linux-gnu"
    started, option, folders, binary = root.command("asterisk")
    assert (started, option, binary) == (str(linker), "--library-path", str(program))
    assert folders.split(":")[0] == str(libraries)
    with pytest.raises(RootError, match="mosquitto"):
        root.command("mosquitto")

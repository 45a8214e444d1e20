"""Where the machine's own apt would take packages from: pure parsing of what apt prints."""

import re
from typing import NamedTuple


class Target(NamedTuple):
    """One package index that apt is configured with; `origin` is empty until it was once fetched."""

    mirror: str
    release: str
    component: str
    origin: str


class Offer(NamedTuple):
    """A version of a package, and the suite and mirror that offer it."""

    version: str
    mirror: str
    suite: str


def parse_targets(text: str) -> list[Target]:
    """Parse `apt-get indextargets` (apt-get(8)): deb822 stanzas, whatever format the sources have."""
    targets = []
    for stanza in re.split(r"\n\s*\n", text):
        parts = (line.partition(":") for line in stanza.splitlines())
        fields = {name.strip(): value.strip() for name, _, value in parts}
        if fields.get("Created-By") != "Packages" or "Repo-URI" not in fields:
            continue
        targets.append(
            Target(
                mirror=fields["Repo-URI"].rstrip("/"),
                release=fields.get("Release", ""),
                component=fields.get("Component", ""),
                origin=fields.get("Origin", ""),
            )
        )
    return targets


def parse_offers(text: str) -> list[Offer]:
    """Parse `apt-cache madison` (apt-cache(8)): `name | version | mirror suite/component arch Packages`."""
    offers = []
    for line in text.splitlines():
        columns = [column.strip() for column in line.split("|")]
        if len(columns) != 3:
            continue
        place = columns[2].split()
        if len(place) < 4 or place[-1] != "Packages" or "/" not in place[1]:
            continue
        offers.append(Offer(columns[1], place[0].rstrip("/"), place[1].rpartition("/")[0]))
    return offers


def major(version: str) -> int:
    """The upstream major number of a Debian version (`1:22.10.1~dfsg-1` is 22); -1 where it has none."""
    match = re.match(r"(?:\d+:)?(\d+)", version)
    return int(match[1]) if match else -1


def debian_mirror(targets: list[Target]) -> str | None:
    """The mirror of Debian's main archive among `targets`, or None.

    Security and backports archives are other archives: they lack the suites that the lab asks for.
    An index that was never fetched has no origin; there the path `/debian` decides.
    """
    for target in targets:
        if target.component != "main" or "security" in target.mirror:
            continue
        if target.origin == "Debian" or (not target.origin and target.mirror.endswith("/debian")):
            return target.mirror
    return None

"""The cached root: a folder with Debian's Asterisk, broker, proxy and tools, extracted and never entered.

Programs run straight from it by its own dynamic linker, so that the lab needs no mount, no namespace and
no rights at run time.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from lab import apt
from lab.errors import RootError

RECIPE = 1
"""Counts up when the way a root is made changes, so that old ones are not taken for new ones."""
DEFAULT_SUITE = "forky"
ASTERISK_MAJOR = 22
PACKAGES = (
    "asterisk",
    "asterisk-modules",
    "asterisk-core-sounds-en-gsm",
    "mosquitto",
    "mosquitto-clients",
    "espeak-ng",
    "sip-tester",
    "nginx",
)
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
STAMP = "ctid-lab.json"


class Source(NamedTuple):
    """Where a root comes from; `keyring` is empty where apt's own trust is enough."""

    mirror: str
    suite: str
    keyring: str = ""


class Stamp(msgspec.Struct, frozen=True):
    """What a finished root says about itself; a root without it was never finished."""

    suite: str
    mirror: str
    packages: list[str]
    recipe: int


class Root(msgspec.Struct, frozen=True):
    """A finished root and the way to run what is in it."""

    path: Path
    triplet: str

    @property
    def modules(self) -> Path:
        """The folder of Asterisk's modules."""
        known = [
            self.path / "usr/lib" / self.triplet / "asterisk/modules",
            self.path / "usr/lib/asterisk/modules",
        ]
        return next((folder for folder in known if folder.is_dir()), known[0])

    def command(self, program: str) -> list[str]:
        """The start of an argument list that runs `program` (a name in the root's bin or sbin).

        Raises `RootError` where the root has no such program.
        """
        found = [self.path / folder / program for folder in ("usr/sbin", "usr/bin", "sbin", "bin")]
        binary = next((path for path in found if path.exists()), None)
        if binary is None:
            raise RootError(f"{self.path} has no program {program}; remove that folder to build it anew")
        places = [self.path / "usr/lib" / self.triplet, self.path / "lib" / self.triplet]
        places += [place / "pulseaudio" for place in places] + [self.path / "usr/lib"]
        libraries = [place for place in places if place.is_dir()]
        linker = next((path for place in libraries for path in sorted(place.glob("ld-linux*.so.*"))), None)
        if linker is None:
            raise RootError(f"{self.path} has no dynamic linker; remove that folder to build it anew")
        library_path = ":".join(str(place) for place in libraries)
        return [str(linker), "--library-path", library_path, str(binary)]

    def environment(self) -> dict[str, str]:
        """The variables that programs of the root need to find their data."""
        voices = self.path / "usr/lib" / self.triplet / "espeak-ng-data"
        return {
            "ESPEAK_DATA_PATH": str(voices),
            "GCONV_PATH": str(self.path / "usr/lib" / self.triplet / "gconv"),
        }


def cache_folder() -> Path:
    """Where roots are kept: `CTID_LAB_CACHE`, else `ctid-lab` in the user's cache folder (XDG)."""
    named = os.environ.get("CTID_LAB_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ctid-lab"


def root_key(suite: str, packages: tuple[str, ...], recipe: int = RECIPE) -> str:
    """The name of a root in the cache: the suite, and a hash of all that decides its content."""
    digest = hashlib.sha256("\0".join([suite, *packages, str(recipe)]).encode()).hexdigest()
    return f"{suite}-{digest[:12]}"


def choose_source(
    suite: str | None, *, override: str | None, offers: list[apt.Offer], targets: list[apt.Target]
) -> Source:
    """Decide where the root comes from; pure.

    The distribution's own suite where it offers Asterisk 22 or later; else Debian's `forky`, or the `suite`
    asked for, from `override` (`CTID_LAB_MIRROR`) or the Debian mirror of the machine's apt configuration.
    Raises `RootError` where no mirror is known.
    """
    if suite is None and override is None:
        for offer in offers:
            if apt.major(offer.version) >= ASTERISK_MAJOR:
                return Source(offer.mirror, offer.suite)
    mirror = override or apt.debian_mirror(targets)
    if mirror is None:
        raise RootError(
            "apt on this machine offers no Asterisk 22 and knows no Debian mirror: "
            "set CTID_LAB_MIRROR to the address of one (its folder with dists/ and pool/)"
        )
    return Source(mirror, suite or DEFAULT_SUITE, str(KEYRING))


def _output(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return ""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def find_source(suite: str | None = None) -> Source:
    """Ask the machine's apt and the environment, then `choose_source`."""
    return choose_source(
        suite,
        override=os.environ.get("CTID_LAB_MIRROR"),
        offers=apt.parse_offers(_output("apt-cache", "madison", "asterisk")),
        targets=apt.parse_targets(_output("apt-get", "indextargets")),
    )


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"another process builds {path.stem}; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _say(line: str) -> None:
    print(f"lab: {line}", file=sys.stderr, flush=True)


def load_root(path: Path) -> Root:
    """Open a finished root. Raises `RootError` where `path` is none."""
    if not (path / STAMP).exists():
        raise RootError(f"{path} is no finished root; run `python -m lab root`")
    triplets = sorted(place.name for place in (path / "usr/lib").glob("*-linux-gnu*") if place.is_dir())
    if not triplets:
        raise RootError(f"{path} has no library folder; remove that folder to build it anew")
    return Root(path, triplets[0])


def ensure_root(suite: str | None = None, packages: tuple[str, ...] = PACKAGES) -> Root:
    """The root for `suite` (default: what `choose_source` says), from the cache or built now.

    Building takes 10 to 80 s and about 400 MB, prints its progress on stderr, and is atomic: a folder that is
    there is complete, and of two builders one waits for the other. Raises `RootError` with the cure.
    """
    cache = cache_folder()
    # A root that is there is taken before apt is asked: the lab starts without a network.
    ready = cache / root_key(suite or DEFAULT_SUITE, packages)
    if (ready / STAMP).exists() and not os.environ.get("CTID_LAB_MIRROR"):
        return load_root(ready)
    source = find_source(suite)
    target = cache / root_key(source.suite, packages)
    cache.mkdir(parents=True, exist_ok=True)
    with _lock(cache / f"{target.name}.lock"):
        if not (target / STAMP).exists():
            for stale in cache.glob(f"{target.name}.building-*"):
                _say(f"removing {stale}, which a build left unfinished")
                shutil.rmtree(stale)
            _build(target, source, packages)
    return load_root(target)


def _build(target: Path, source: Source, packages: tuple[str, ...]) -> None:
    if shutil.which("mmdebstrap") is None:
        raise RootError("mmdebstrap is missing: apt-get install mmdebstrap debian-archive-keyring")
    if source.keyring and not Path(source.keyring).exists():
        raise RootError(f"{source.keyring} is missing: apt-get install debian-archive-keyring")
    building = target.with_name(f"{target.name}.building-{os.getpid()}")
    log = target.with_name(f"{target.name}.log")
    _say(f"building a root of {source.suite} from {source.mirror} in {target} (once; log: {log})")
    began = time.monotonic()
    keyring = [f"--keyring={source.keyring}"] if source.keyring else []
    command = [
        "mmdebstrap",
        # Nothing of the root runs while it is made, so no mode that needs rights is needed, not even as root.
        "--mode=chrootless",
        "--variant=extract",
        # A frozen mirror may serve a Release past its date; the signature is checked all the same.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        *keyring,
        f"--include={','.join(packages)}",
        source.suite,
        str(building),
        source.mirror,
    ]
    with log.open("w") as output:
        ended = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
    if ended.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        shutil.rmtree(building, ignore_errors=True)
        raise RootError(f"mmdebstrap ended with {ended.returncode}:\n{tail}\n(the whole: {log})")
    _finish(building)
    stamp = Stamp(source.suite, source.mirror, list(packages), RECIPE)
    (building / STAMP).write_bytes(msgspec.json.format(msgspec.json.encode(stamp)))
    building.rename(target)
    _say(f"the root is ready after {time.monotonic() - began:.0f} s")


def _finish(building: Path) -> None:
    """Do what the packages' installation scripts, which do not run in an extracted root, would have done."""
    ldconfig = shutil.which("ldconfig", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if ldconfig is None:
        raise RootError("ldconfig is missing: apt-get install libc-bin")
    for folder in [*building.glob("usr/lib/*-linux-gnu*"), *building.glob("lib/*-linux-gnu*")]:
        # Makes the links by soname that some libraries leave to it; -n writes no cache and needs no rights.
        subprocess.run([ldconfig, "-n", str(folder)], check=True, capture_output=True)
    sounds = building / "usr/share/asterisk/sounds"
    spoken = sorted(path.name for path in sounds.glob("en_US_*") if path.is_dir())
    if spoken and not (sounds / "en").exists():
        (sounds / "en").symlink_to(spoken[0])

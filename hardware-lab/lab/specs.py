"""The AsyncAPI project's own JSON Schema of its documents, fetched once from npm: nobody else has it."""

import base64
import hashlib
import json
import shutil
import subprocess
import tarfile
from typing import Any

from lab.errors import LabError
from lab.root import cache_folder

PACKAGE = "@asyncapi/specs@6.11.1"
ARCHIVE = "asyncapi-specs-6.11.1.tgz"
SHA512 = "A3WBLqAKGoJ2+6FWFtpjBlCQ1oFCcs4GxF7zsIGvNqp/klGUHjlA3aAcZ9XMMpLGE8zPeYDz2x9FmO6DSuKraQ=="


def asyncapi_schema(version: str) -> dict[str, Any]:
    """The schema of AsyncAPI documents of a version, such as `3.0.0`.

    Raises:
        LabError: there is no npm to fetch it with, or what it brought is another file.
    """
    archive = cache_folder() / ARCHIVE
    if not archive.exists():
        if shutil.which("npm") is None:
            raise LabError(f"npm is needed once, to fetch {PACKAGE}: run `hardware-lab/setup.sh system`")
        archive.parent.mkdir(parents=True, exist_ok=True)
        command = ["npm", "pack", "--silent", "--pack-destination", str(archive.parent), PACKAGE]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
        if ended.returncode != 0:
            raise LabError(f"npm did not bring {PACKAGE}: {ended.stderr.strip()}")
    found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != SHA512:
        archive.unlink()
        raise LabError(f"{ARCHIVE} is not the file that it was: its SHA-512 is {found}")
    with tarfile.open(archive) as opened:
        member = opened.extractfile(f"package/schemas/{version}.json")
        if member is None:
            raise LabError(f"{PACKAGE} has no schema of AsyncAPI {version}")
        schema: dict[str, Any] = json.load(member)
    return schema

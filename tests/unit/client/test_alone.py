import subprocess
import sys

PROGRAM = """
import sys
import ctid.client
print(*sorted(name for name in sys.modules if name.startswith("ctid")))
"""


def test_the_client_is_imported_alone() -> None:
    """Whoever imports the client gets nothing of the daemon but the form of an instant."""
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)  # noqa: S603 - this Python
    others = {name for name in run.stdout.split() if not name.startswith("ctid.client")}
    assert others == {"ctid", "ctid.model", "ctid.model.instant"}

"""A ledger in the memory, for the tests of the API."""

from pathlib import Path

from ctid.history import figures as made
from ctid.history.entries import Entry
from ctid.history.ledger import Ledger, LedgerUnavailable
from ctid.history.words import LedgerStatus


class KeptInMemory:
    """The figures of a ledger that only the test writes; `broken` makes it one that cannot be read."""

    def __init__(self) -> None:
        self.ledger = Ledger(Path())
        self.ledger.path = Path(":memory:")
        self.broken = ""
        self.known = LedgerStatus()

    def status(self) -> LedgerStatus:
        """What the test says."""
        return self.known

    async def figures(self, selection: made.Selection) -> made.Figures:
        """The figures of a period."""
        self._check()
        return made.figures(self.ledger, selection)

    async def moments(
        self, selection: made.Selection, after: tuple[float, int] | None, limit: int
    ) -> tuple[list[Entry], tuple[float, int] | None]:
        """A page of moments."""
        self._check()
        return made.moments(self.ledger, selection, after, limit)

    def _check(self) -> None:
        if self.broken:
            raise LedgerUnavailable(self.broken)

"""The machine's clock, the only one the daemon uses."""

import time


class SystemClock:
    """UTC as the machine has it; whoever needs intervals asks the event loop."""

    def now(self) -> float:
        """Return UTC as seconds since the epoch."""
        return time.time()

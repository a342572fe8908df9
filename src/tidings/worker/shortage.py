"""What this machine lacks at times: told in two lines of the log, however many attempts meet it."""

import logging
import time
from collections.abc import Callable

logger = logging.getLogger("tidings.deliverer")

OVER_AFTER = 10.0  # seconds without another attempt that met it


class Shortage:
    """Counts attempts that could not be made for want of descriptors, memory or ports."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._began_at: float | None = None
        self._met_at = 0.0
        self._count = 0

    def meet(self, error: str) -> None:
        """Count one that was put back."""
        self._met_at = self._monotonic()
        self._count += 1
        if self._began_at is None:
            self._began_at = self._met_at
            logger.warning("this machine lacks what attempts need; they wait, and fewer begin at once: %s", error)

    def look(self) -> None:
        """Say that it is over, when it is."""
        if self._began_at is not None and self._monotonic() - self._met_at >= OVER_AFTER:
            seconds = self._met_at - self._began_at
            logger.info("this machine has what attempts need again; for %.0f s %d were put back", seconds, self._count)
            self._began_at, self._count = None, 0

"""Tells of certificates before they end: once when that is near, and once when it has come."""

from typing import Final

from tidings.clock import Clock
from tidings.core.health import CERTIFICATE_SOON, certificate_sentence
from tidings.core.operational import CERTIFICATE_EXPIRED, CERTIFICATE_EXPIRING, Told
from tidings.store import certificates, health
from tidings.store.certificates import Ending
from tidings.store.database import Database
from tidings.worker import warnings

CERTIFICATES_INTERVAL: Final = 60.0  # seconds
WARNED_AT_ONCE: Final = 500
MAX_ROUNDS: Final = 100


class CertificateWatch:
    """Looks for webhooks whose certificates end."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def run_once(self) -> int:
        """Tell of those that were not told of, and return how many that were."""
        count = 0
        for _ in range(MAX_ROUNDS):  # each a transaction of its own, so that none holds rows for long
            async with self._database.transaction() as connection:
                now = self._clock.now()
                found = await certificates.warn(connection, now, WARNED_AT_ONCE)
                waiting = await health.waiting(connection, [one.id for one in found]) if found else {}
                await warnings.tell(connection, [_told(one, waiting.get(one.id, 0)) for one in found], now)
            count += len(found)
            if len(found) < WARNED_AT_ONCE:
                break
        return count


def _told(one: Ending, waiting: int) -> Told:
    reason = certificate_sentence(one.ends_at, is_own=one.is_own, is_over=one.is_over)
    if one.is_over:
        return Told(CERTIFICATE_EXPIRED, one.id, one.ends_at, reason, waiting)
    return Told(CERTIFICATE_EXPIRING, one.id, one.ends_at - CERTIFICATE_SOON, reason, waiting)

"""Operational events: what Tidings tells of itself, delivered like any other.

They go to webhooks that name them (`webhook.failing`, `webhook.*`), never to those that want `"*"`: that was said of the
group's own facts. And no webhook is told of itself: one that fails would fail with what it is told about it.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tidings.core.jsontext import written

FAILING = "webhook.failing"
RECOVERED = "webhook.recovered"
DISABLED = "webhook.disabled"
LOOP = "webhook.loop"
CERTIFICATE_EXPIRING = "webhook.certificate_expiring"
CERTIFICATE_EXPIRED = "webhook.certificate_expired"
OVER_LIMIT = "tidings.over_limit"

TYPES = (FAILING, RECOVERED, DISABLED, LOOP, CERTIFICATE_EXPIRING, CERTIFICATE_EXPIRED, OVER_LIMIT)


class Told(msgspec.Struct, frozen=True):
    """What there is to tell of a webhook.

    Attributes:
        type: One of `TYPES`.
        since: Since when it fails, had failed or is disabled; when its certificate ended, or began to end soon.
        reason: One sentence.
        waiting: How many of its deliveries wait.
    """

    type: str
    webhook_id: UUID
    since: datetime
    reason: str
    waiting: int

    def record(self, name: str, url: str) -> str:
        """Return the event's data, as JSON text."""
        said: dict[str, Any] = {
            "webhook_id": str(self.webhook_id),
            "name": name,
            "url": url,
            "since": self.since.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "reason": self.reason,
            "waiting": self.waiting,
        }
        return written(said).decode()


def over_limit_record(group_id: str, limit: str, allowed: int, used: int) -> str:
    """Return the data of `tidings.over_limit`, as JSON text: a group has more than it may, by what nobody refuses."""
    return written({"group": group_id, "limit": limit, "allowed": allowed, "used": used}).decode()

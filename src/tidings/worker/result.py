"""One attempt, made and judged."""

from datetime import datetime

import msgspec

from tidings.core.delivery import Delivery
from tidings.core.outcome import Exchange, Outcome


class Result(msgspec.Struct, frozen=True, gc=False):
    """What came of a leased delivery.

    Attributes:
        started_at: When the attempt began.
        webhook_version: The version of the webhook it was made with.
        signer_id: Which keys of the installation signed it, where they did.
    """

    delivery: Delivery
    started_at: datetime
    exchange: Exchange
    outcome: Outcome
    webhook_version: int | None = None
    signer_id: int | None = None

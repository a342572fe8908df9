"""The keys that this installation signs with: which verify, and rotating them.

A rotation publishes the new keys at once and signs with them later, so that receivers who keep public keys, or a copy of the
list, have them before the first signature comes. The old ones are published for a day longer, for what is under way.
"""

from base64 import b64encode
from datetime import datetime, timedelta

import msgspec

from tidings.core.audit import Action
from tidings.core.errors import ConflictError, InvalidInputError
from tidings.core.signature import SigningKey
from tidings.operations import audit
from tidings.operations.services import Services
from tidings.store import signing_keys

DEFAULT_OVERLAP_SECONDS = 86_400
MAX_OVERLAP_SECONDS = 30 * 86_400
KEPT_SECONDS = 86_400  # for which a key is published after it has signed for the last time
REFRESH_INTERVAL = timedelta(seconds=5)  # whoever asks for the public keys has them read this often at most


class PublishedKey(msgspec.Struct, frozen=True):
    """A key whose signatures verify, or will.

    Attributes:
        purpose: `webhooks` or `tokens`.
        state: `signing`, `next` (it signs from `signs_from` on) or `before`.
        until: When it is published no more; None: no other has followed.
        public_key: As receivers' libraries take it.
    """

    id: str
    purpose: str
    state: str
    signs_from: datetime
    until: datetime | None
    public_key: str


async def list_keys(services: Services) -> list[PublishedKey]:
    """Return the public halves of the keys whose signatures verify, or will, the last to sign first."""
    ring = await _fresh(services)
    signing = {ring.current.webhooks.id, ring.current.tokens.id}
    return [
        PublishedKey(
            one.key.id,
            one.purpose,
            "signing" if one.key.id in signing else "before" if one.has_begun else "next",
            one.signs_from,
            one.until,
            f"whpk_{b64encode(one.key.public_bytes).decode()}",
        )
        for one in ring.published
    ]


async def published(services: Services) -> list[SigningKey]:
    """Return the keys whose signatures verify, or will."""
    return [one.key for one in (await _fresh(services)).published]


async def rotate(
    services: Services, *, overlap_seconds: int = DEFAULT_OVERLAP_SECONDS, is_leaked: bool = False
) -> list[PublishedKey]:
    """Make new keys. They are published at once, and sign when the overlap is over; workers notice within ten seconds.

    Args:
        overlap_seconds: 0: they sign at once.
        is_leaked: The old keys are published no longer than they sign.

    Raises:
        ConflictError: New ones wait for their time already.
        InvalidInputError: The overlap is out of bounds.
    """
    if not 0 <= overlap_seconds <= MAX_OVERLAP_SECONDS:
        raise InvalidInputError(
            "overlap_seconds", f"overlap_seconds is {overlap_seconds}; write 0 to {MAX_OVERLAP_SECONDS} (30 days)."
        )
    async with services.wide.transaction() as connection:
        is_made = await signing_keys.add_following(
            connection, services.box, wait_seconds=overlap_seconds, keep_seconds=0 if is_leaked else KEPT_SECONDS
        )
        if not is_made:
            raise ConflictError(
                "New keys are published already and wait for their time to sign. Rotate again when it has come."
            )
        subject = "an old key has leaked" if is_leaked else ""
        told = {"overlap_seconds": overlap_seconds, "is_leaked": is_leaked}
        await audit.note(services, connection, Action.KEYS_ROTATED, subject=subject, is_of_group=False, after=told)
    await signing_keys.refresh(services.wide, services.box, services.keys)
    return await list_keys(services)


async def _fresh(services: Services) -> signing_keys.KeyRing:
    """Return the keys, read anew when that was long enough ago."""
    ring, now = services.keys, services.clock.now()
    if ring.read_at is None or not ring.read_at <= now < ring.read_at + REFRESH_INTERVAL:
        ring.read_at = now
        await signing_keys.refresh(services.wide, services.box, ring)
    return ring

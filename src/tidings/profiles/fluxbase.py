"""Profiles `fluxbase` (seed 004) and `fluxbase-t` (the same system, with a timestamp in its signature).

Seed 004's receivers read `x-fluxbase-signature`, that system's servers of the time wrote `X-Webhook-Signature`; both are sent,
so each finds its own. Body: `event, table, schema, record, old_record, timestamp, webhook_id`; for a DELETE both records are
the row that went.
"""

from tidings.core.event import TEST_TYPE, Event
from tidings.core.retry import Exponential
from tidings.core.signature import sign_timestamped
from tidings.core.vocabulary import FLUXBASE
from tidings.core.webhook import Webhook
from tidings.profiles.parts import about, current, document, encode, event_time, previous
from tidings.profiles.profile import Profile
from tidings.profiles.request import Attempt
from tidings.profiles.signing import bare_signature

# Seed 004: `max_retries` 3, `retry_backoff_seconds` 5, "exponential backoff".
RETRY = Exponential(base=5, factor=2, tries=4)


def body(event: Event, webhook: Webhook) -> bytes:
    """Return the body.

    Raises:
        RenderError: The record cannot be written as JSON.
    """
    return b'{"event":%s,"table":%s,"schema":%s,"record":%s,"old_record":%s,"timestamp":"%s","webhook_id":"%s"}' % (
        encode(FLUXBASE.name_of(event)),
        encode("test" if event.type == TEST_TYPE and event.operation is None else about(event)),
        encode(event.table_schema or "public"),
        document(current(event)),
        document(previous(event)),
        event_time(event),
        str(webhook.id).encode(),
    )


def sign(attempt: Attempt, content: bytes) -> str:
    """Return the bare signature under both names it is looked for."""
    return bare_signature("X-Fluxbase-Signature", attempt, content) + bare_signature("X-Webhook-Signature", attempt, content)


def sign_with_time(attempt: Attempt, content: bytes) -> str:
    """Return the signature with its time, and the bare one beside it."""
    stamped = sign_timestamped(attempt.keys, attempt.timestamp, content)
    return f"X-Fluxbase-Signature: {stamped}\r\n" + bare_signature("X-Webhook-Signature", attempt, content)


PROFILE = Profile(
    body=body,
    sign=sign,
    vocabulary=FLUXBASE,
    retry=RETRY,
    owned_headers=("x-fluxbase-", "x-webhook-signature", "x-webhook-signature-next"),
)
WITH_TIME = Profile(
    body=body,
    sign=sign_with_time,
    vocabulary=FLUXBASE,
    retry=RETRY,
    owned_headers=PROFILE.owned_headers,
)

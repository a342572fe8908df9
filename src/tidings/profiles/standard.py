"""Profile `standard`: Standard Webhooks 1.0 (github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md).

Headers `webhook-id`, `webhook-timestamp`, `webhook-signature`; body `{"type", "timestamp", "data"}`. `webhook-id` is the
event's id, the same on every retry; `webhook-timestamp` is the time of the attempt, the body's `timestamp` that of the
event. While a secret is being rotated the header carries a signature by each; with `asymmetric` one by the installation's
ed25519 key as well, which a receiver verifies without any secret.
"""

from tidings.core.event import Event
from tidings.core.retry import STANDARD
from tidings.core.signature import sign_v1, sign_v1a
from tidings.core.vocabulary import OPEN
from tidings.core.webhook import Webhook
from tidings.profiles.parts import changed, current, document, encode, event_time, id_text, text_member
from tidings.profiles.profile import Profile, SecretForm
from tidings.profiles.request import Attempt


def body(event: Event, _: Webhook) -> bytes:
    """Return the body: stable JSON (see `core.jsontext`), the same bytes on every retry.

    Raises:
        RenderError: The record cannot be written as JSON.
    """
    return b'{"type":%s,"timestamp":"%s","data":%s}' % (encode(event.type), event_time(event), data(event))


def data(event: Event) -> bytes:
    """Return what the event says: what was published, or the row or record with what is known of its change."""
    if event.operation is None:
        return document(event.record)
    if event.source == "collections":
        about = [b'"collection":%s' % encode(event.table_name), b'"id":%s' % encode(text_member(current(event), "id"))]
    else:
        about = [
            b'"schema":%s' % encode(event.table_schema),
            b'"table":%s' % encode(event.table_name),
            b'"operation":%s' % encode(event.operation),
        ]
    members = [
        *about,
        b'"record":%s' % document(event.record),
        b'"old_record":%s' % document(event.old_record),
        b'"changed":%s' % changed(event),
    ]
    if event.capture_error is not None:
        members.append(b'"capture_error":%s' % encode(event.capture_error))
    return b"{%s}" % b",".join(members)


def sign(attempt: Attempt, content: bytes) -> str:
    """Return the three headers of the specification."""
    message_id, timestamp = id_text(attempt.event.id), attempt.timestamp
    signatures = [sign_v1(key, message_id, timestamp, content) for key in attempt.keys]
    if attempt.private is not None:
        signatures.append(sign_v1a(attempt.private, message_id, timestamp, content))
    return f"webhook-id: {message_id}\r\nwebhook-timestamp: {timestamp}\r\nwebhook-signature: {' '.join(signatures)}\r\n"


PROFILE = Profile(
    body=body,
    sign=sign,
    vocabulary=OPEN,
    retry=STANDARD,
    secret_form=SecretForm.WHSEC,
    owned_headers=("webhook-",),
)

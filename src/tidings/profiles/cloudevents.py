"""Profiles `cloudevents` and `cloudevents-structured`: CloudEvents 1.0 over HTTP (its bindings/http-protocol-binding.md).

In binary mode the attributes are headers and the body is the data; in structured mode all is one JSON document. The format
has no signature of its own, so the headers of Standard Webhooks sign the body; `webhook-id` is the event's id.
"""

from urllib.parse import quote

from tidings.core.event import Event
from tidings.core.retry import STANDARD
from tidings.core.vocabulary import OPEN
from tidings.core.webhook import Webhook
from tidings.profiles import standard
from tidings.profiles.parts import encode, event_time, header_text
from tidings.profiles.profile import Profile, SecretForm
from tidings.profiles.request import Attempt


def _source(event: Event) -> str:
    """Return where the event happened, as a URI reference. With the id it is unique, as the specification demands."""
    return "/" + "/".join(quote(part, safe="") for part in ("groups", event.group_id, event.source))


def binary_body(event: Event, _: Webhook) -> bytes:
    """Return the data alone.

    Raises:
        RenderError: The record cannot be written as JSON.
    """
    return standard.data(event)


def binary_headers(attempt: Attempt, content: bytes) -> str:
    """Return the attributes, and the headers that sign the body."""
    event = attempt.event
    subject = "" if event.subject is None else f"ce-subject: {header_text(event.subject)}\r\n"
    return (
        f"ce-specversion: 1.0\r\nce-id: {event.id}\r\nce-source: {_source(event)}\r\nce-type: {header_text(event.type)}\r\n"
        f"ce-time: {event_time(event).decode()}\r\n{subject}{standard.sign(attempt, content)}"
    )


def structured_body(event: Event, _: Webhook) -> bytes:
    """Return one document with attributes and data.

    Raises:
        RenderError: The record cannot be written as JSON.
    """
    subject = b"" if event.subject is None else b'"subject":%s,' % encode(event.subject)
    return (
        b'{"specversion":"1.0","id":"%s","source":%s,"type":%s,"time":"%s",%s"datacontenttype":"application/json","data":%s}'
        % (
            str(event.id).encode(),
            encode(_source(event)),
            encode(event.type),
            event_time(event),
            subject,
            standard.data(event),
        )
    )


BINARY = Profile(
    body=binary_body,
    sign=binary_headers,
    vocabulary=OPEN,
    retry=STANDARD,
    secret_form=SecretForm.WHSEC,
    owned_headers=("webhook-", "ce-"),
)
STRUCTURED = Profile(
    body=structured_body,
    sign=standard.sign,
    vocabulary=OPEN,
    retry=STANDARD,
    secret_form=SecretForm.WHSEC,
    owned_headers=("webhook-",),
    content_type="application/cloudevents+json",
)

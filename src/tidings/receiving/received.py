"""What a receiver gets, whatever the profile: read from a verified delivery. Pure."""

import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

# Where profiles say what: the id, the type, the time, the data. `ce-…` and `webhook-id` are headers; None: the body itself. The
# id is one that the signature covers, which `ce-id` is not: else whoever repeats a delivery could make it look new.
_PLACES: dict[str, tuple[str, str, str, str | None]] = {
    "standard": ("webhook-id", "type", "timestamp", "data"),
    "cloudevents": ("webhook-id", "ce-type", "ce-time", None),
    "cloudevents-structured": ("webhook-id", "type", "time", "data"),
    "vivreal": ("id", "event", "timestamp", "data"),
    "vivreal-content": ("id", "event", "timestamp", "data"),
    "fluxbase": ("", "event", "timestamp", None),
    "fluxbase-t": ("", "event", "timestamp", None),
    "vski": ("", "action", "timestamp", None),
}


class Received(msgspec.Struct, frozen=True):
    """A verified delivery.

    Attributes:
        id: The same at every attempt: the event's id, or a digest of the body where the profile sends none.
        type: What happened, in the profile's words; empty where a template does not say.
        timestamp: When it happened, as it was sent; empty where a template does not say.
        data: What the event says. Where the profile has no envelope, the whole body.
        body: The whole body, parsed.
        headers: The request's headers, in lower case.
        request: The framework's request, in a route.
    """

    id: str
    type: str
    timestamp: str
    data: Any
    body: Any
    headers: dict[str, str]
    request: Any = None


def received(
    profile: str, content: bytes, body: Any, headers: Mapping[str, str], request: Any = None, *, signs_headers: bool = True
) -> Received:
    """Return a delivery in the same words for every profile.

    Args:
        content: The body's bytes.
        body: What they say.
        signs_headers: The signature is the profile's, which covers `webhook-id`; one of the webhook's own does not.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    members = body if isinstance(body, dict) else {}

    def said(place: str) -> str:
        is_header = place in lower and place.startswith(("webhook-", "ce-"))
        value = unquote(lower[place]) if is_header else members.get(place)
        return value if isinstance(value, str) else ""

    of_id, of_type, of_time, of_data = _PLACES[profile]
    return Received(
        id=(said(of_id) if signs_headers or not of_id.startswith("webhook-") else "") or hashlib.sha256(content).hexdigest(),
        type=said(of_type),
        timestamp=said(of_time),
        data=body if of_data is None else members.get(of_data, body),
        body=body,
        headers=lower,
        request=request,
    )

"""Requests, as the bytes that travel.

What one version of a webhook's requests have in common is made once: their first lines, their standing headers, the keys.
There is no other way to make a request, so an attempt of years ago can be shown byte for byte: it follows from the webhook's
version, the event, the delivery and the time.
"""

from functools import partial
from uuid import UUID

from tidings.core.credentials import HIDDEN, OAuth2
from tidings.core.echoes import echo_of
from tidings.core.event import Event
from tidings.core.hops import HEADER, told
from tidings.core.jwt import sign_jwt, webhook_claims
from tidings.core.signature import HmacKey, InstanceKeys
from tidings.core.target import parse_target, request_head
from tidings.core.trace import HEADER as TRACE_HEADER
from tidings.core.trace import attempt_span, with_span
from tidings.core.webhook import Webhook
from tidings.profiles import template
from tidings.profiles.profile import Profile, SecretForm
from tidings.profiles.request import Attempt
from tidings.profiles.signing import asked_for

USER_AGENT = "Tidings/1 (+webhooks)"  # unless the webhook's own headers say otherwise


class Prepared:
    """The requests of one version of a webhook.

    Attributes:
        webhook: That version.
        target: Where they go.
        authorization: What its receiver lets it in by, as a line, where that is always the same; empty: nothing.
        client: What gets the tokens that it is let in by instead.
        echo: What hides `authorization` in the receiver's answers; None: there is none.
    """

    __slots__ = (
        "_has_own_trace", "_head", "_hidden", "_keys", "_keys_in_overlap", "_overlap_until", "_private", "_profile", "_sign",
        "_token", "_tokens", "authorization", "client", "echo", "target", "webhook",
    )  # fmt: skip

    def __init__(self, profile: Profile, webhook: Webhook, keys: InstanceKeys) -> None:
        self.webhook = webhook
        self.target = parse_target(webhook.url, webhook.way)
        auth = webhook.credentials.auth
        self.client = auth if isinstance(auth, OAuth2) else None
        self.authorization = webhook.credentials.basic
        self.echo = echo_of(webhook.credentials)
        self._hidden = "" if auth is None else f"Authorization: {'Basic' if self.client is None else 'Bearer'} {HIDDEN}\r\n"
        self._profile = profile
        self._has_own_trace = any(name.lower() == TRACE_HEADER for name in webhook.headers)  # twice it would be none
        self._head = request_head(webhook.method, webhook.url) + _standing_headers(profile, webhook)
        self._sign = profile.sign if webhook.signature is None else partial(asked_for, webhook.signature)
        is_whsec = profile.secret_form is SecretForm.WHSEC and webhook.signature is None
        key_of = HmacKey.of_secret if is_whsec else HmacKey.of_text
        self._keys: tuple[HmacKey, ...] = (key_of(webhook.secret),)
        self._keys_in_overlap: tuple[HmacKey, ...] = self._keys
        self._overlap_until = 0
        if webhook.previous_secret is not None and webhook.previous_secret_until is not None:
            self._keys_in_overlap = (self._keys[0], key_of(webhook.previous_secret))
            self._overlap_until = int(webhook.previous_secret_until.timestamp())
        self._private = keys.webhooks.private if webhook.asymmetric else None
        self._tokens = keys if webhook.jwt_enabled else None
        self._token = (-1, "")  # the latest and its time: all attempts of a second carry the same

    def body(self, event: Event) -> bytes:
        """Return the body: the same bytes at every attempt.

        Raises:
            RenderError: The record cannot be written as JSON.
        """
        profile, webhook = self._profile, self.webhook
        if webhook.body_template is None:
            return profile.body(event, webhook)
        return template.fill(webhook.body_template, event, webhook, profile.vocabulary.name_of(event))

    def write(
        self, event: Event, delivery_id: UUID, timestamp: int, authorization: str | None = None, *, number: int = 1
    ) -> bytes:
        """Return the request of one attempt, head and body.

        Args:
            timestamp: Seconds since 1970, the time of the attempt.
            authorization: What the receiver lets it in by, as a line; None: it is to be looked at, with `(hidden)` there.
            number: Which attempt it is.

        Raises:
            RenderError: The record cannot be written as JSON.
        """
        more = self._hidden if authorization is None else authorization
        return self.seal(self.body(event), event, delivery_id, timestamp, more, number=number)

    def seal(self, body: bytes, event: Event, delivery_id: UUID, timestamp: int, more: str = "", *, number: int = 1) -> bytes:
        """Return the request of one attempt with a body of somebody else's.

        Args:
            more: Further headers, as lines that each end with CR LF.
            number: Which attempt it is.
        """
        keys = self._keys_in_overlap if timestamp < self._overlap_until else self._keys
        signature = self._sign(Attempt(event, delivery_id, timestamp, keys, self._private), body)
        token = "" if self._tokens is None else self._authorization(self._tokens, timestamp)
        hops = _FIRST_HOP if event.hops == 0 else _hops(event.hops)
        if event.traceparent is not None and not self._has_own_trace:
            hops += _trace(event.traceparent, attempt_span(delivery_id, number, timestamp))
        return f"{self._head}{signature}{token}{hops}{more}content-length: {len(body)}\r\n\r\n".encode("latin-1") + body

    def _authorization(self, keys: InstanceKeys, timestamp: int) -> str:
        if self._token[0] != timestamp:
            claims = webhook_claims(self.webhook.id, self.webhook.group_id, keys.issuer, timestamp)
            self._token = (timestamp, f"Authorization: Bearer {sign_jwt(keys.tokens, claims)}\r\n")
        return self._token[1]


def _hops(hops: int | None) -> str:
    """Return the header by which a loop is found; none for an event of a version that sent none."""
    return "" if hops is None else f"{HEADER}: {told(hops)}\r\n"


_FIRST_HOP = _hops(0)


def _trace(traceparent: str, span_id: int) -> str:
    """Return the header by which the receiver's spans become children of the attempt's."""
    return f"{TRACE_HEADER}: {with_span(traceparent, span_id)}\r\n"


def _standing_headers(profile: Profile, webhook: Webhook) -> str:
    """Return the headers that are the same on every request, the webhook's own before ours."""
    headers = dict(webhook.headers)
    own = {name.lower() for name in headers}
    ours = {"content-type": profile.content_type, "user-agent": USER_AGENT}
    headers |= {name: value for name, value in ours.items() if name not in own}
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())

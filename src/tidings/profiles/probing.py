"""The requests of probes, as the bytes that travel. Pure: what a stranger signs with is an argument."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from tidings.core.errors import InvalidInputError
from tidings.core.event import Event
from tidings.core.probes import Facts, Kind, Probe, Signed
from tidings.core.signature import SECRET_PREFIX, InstanceKeys, new_secret, secret_key
from tidings.core.webhook import Webhook, with_secret
from tidings.profiles import PROFILES, Prepared, SecretForm, prepare

HEADER = "tidings-probe"  # by which receivers, and who reads their logs, know one
_FOR_EVER = datetime(9999, 1, 1, tzinfo=UTC)
_PADDING = 2000  # characters that an event is made longer by, to see whether its body grows
_EMPTY = b"{}"
# As no program writes JSON by itself, and as json.dumps of Python does.
_WIDE, _PYTHON = (" , ", " : "), (", ", ": ")


class Stranger(msgspec.Struct, frozen=True):
    """What somebody else would sign with: another secret of the same form, and other keys."""

    secret: str
    keys: InstanceKeys


class Probing:
    """Writes the probes of one webhook.

    Attributes:
        target: Where they go.
    """

    def __init__(self, webhook: Webhook, keys: InstanceKeys, stranger: Stranger, old_secret: str | None) -> None:
        """Make it.

        Args:
            old_secret: The one that the webhook had before, if it is known and signs nothing now.
        """
        self._webhook = webhook
        self._genuine = prepare(webhook, keys)
        self._forged = prepare(with_secret(webhook, stranger.secret), stranger.keys)
        self._old = prepare(with_secret(webhook, old_secret), keys) if old_secret is not None else None
        text_keyed = _text_keyed(webhook)
        self._text_keyed = prepare(text_keyed, keys) if text_keyed is not None else None
        self.target = self._genuine.target
        self.authorization, self.client = self._genuine.authorization, self._genuine.client
        self.echo = self._genuine.echo

    def facts(self, event: Event, delivery_id: UUID, now: int) -> Facts:
        """Return what the plan needs to know, as the requests of this webhook show it.

        Args:
            event: As it is sent.
            now: Seconds since 1970.

        Raises:
            RenderError: It cannot be written as JSON.
        """
        body = self._genuine.body(event)

        def lines(prepared: Prepared, content: bytes, at: int) -> set[bytes]:
            return set(prepared.seal(content, event, delivery_id, at).partition(b"\r\n\r\n")[0].split(b"\r\n"))

        proof = lines(self._genuine, body, now) - lines(self._forged, body, now)
        other = bytes(reversed(body)) + b" "
        covers_body = bool(proof - lines(self._genuine, other[: len(body)], now)) if len(body) > 1 else False
        signed = Signed.NOTHING if not proof else Signed.BODY if covers_body else Signed.TOKEN
        return Facts(
            url=self._webhook.url,
            timeout_seconds=self._webhook.timeout_seconds,
            signed=signed,
            is_timed=bool(proof - lines(self._genuine, body, now + 1000)),
            is_json=isinstance(_parsed(body), dict),
            can_grow=len(self._genuine.body(_longer(event, _PADDING))) >= len(body) + _PADDING,
            has_text_key=self._text_keyed is not None,
            has_old_secret=self._old is not None,
            is_paused=not self._webhook.enabled,
        )

    def write(self, probe: Probe, event: Event, delivery_id: UUID, now: int, authorization: str) -> bytes:
        """Return the request of a probe.

        Args:
            event: A test event of its own, since receivers drop what they have seen.
            now: Seconds since 1970.
            authorization: What the receiver lets it in by, as a line; empty: nothing.

        Raises:
            RenderError: The event cannot be written as JSON.
        """
        signer, kind = self._genuine, probe.kind
        if kind in {Kind.FORGED, Kind.FORGED_AGAIN, Kind.EMPTY_FORGED}:
            signer = self._forged
        elif kind is Kind.TEXT_KEY and self._text_keyed is not None:
            signer = self._text_keyed
        elif kind is Kind.OLD_SECRET and self._old is not None:
            signer = self._old
        time = now * 1000 if kind is Kind.MILLISECONDS else now + probe.shift
        return signer.seal(self._body(probe, event), event, delivery_id, time, f"{authorization}{HEADER}: {kind}\r\n")

    def _body(self, probe: Probe, event: Event) -> bytes:
        body = self._genuine.body(event)
        match probe.kind:
            case Kind.REWRITTEN:
                return json.dumps(_parsed(body), ensure_ascii=False, separators=_WIDE).encode()
            case Kind.SPACED:
                return json.dumps(_parsed(body), separators=_PYTHON).encode()
            case Kind.EMPTY | Kind.EMPTY_FORGED:
                return _EMPTY
            case Kind.LARGE:
                return self._genuine.body(_longer(event, max(0, probe.size - len(body))))
            case _:
                return body


def _text_keyed(webhook: Webhook) -> Webhook | None:
    """Return the webhook signing by its secret's text, with and without the prefix; None: it cannot, or does."""
    if PROFILES[webhook.profile].secret_form is not SecretForm.WHSEC or webhook.signature is not None:
        return None
    secret = webhook.secret
    whole, bare = (new_secret(text.encode()) for text in (secret, secret.removeprefix(SECRET_PREFIX)))
    try:
        secret_key(whole), secret_key(bare)
    except InvalidInputError:  # longer than a key may be
        return None
    return msgspec.structs.replace(webhook, secret=whole, previous_secret=bare, previous_secret_until=_FOR_EVER)


def _longer(event: Event, size: int) -> Event:
    """Return the event with a record that is so much longer."""
    record = json.loads(event.record or "{}") | {"padding": "x" * size}
    return msgspec.structs.replace(event, record=json.dumps(record, separators=(",", ":")))


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None

"""What a webhook shows to its receiver to be let in, beside its signature: who it is, by password, token or certificate.

It is given once and never shown again: what is read of a webhook has `(hidden)` in the place of each secret, and sent back
like that it is no change. Nor does it follow the webhook elsewhere: a change that sends it to another host must say it anew.
"""

import base64
import hashlib
import re
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from tidings.core.certificates import Certificate, check_authorities, check_client_certificate
from tidings.core.errors import InvalidInputError
from tidings.core.target import Identity

HIDDEN: Final = "(hidden)"
FIELDS: Final = ("auth", "client_certificate", "ca_certificates")
SENDS: Final = ("header", "body")
MAX_LENGTH: Final = 2000  # characters of a name, a password or a scope

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_EXAMPLES: Final = (
    '{"type": "basic", "username": "…", "password": "…"} or '
    '{"type": "oauth2", "token_url": "https://…", "client_id": "…", "client_secret": "…"}'
)


class Basic(msgspec.Struct, frozen=True, tag_field="type", tag="basic", forbid_unknown_fields=True):
    """A user and a password, sent with each request (RFC 7617)."""

    username: str
    password: str


class OAuth2(msgspec.Struct, frozen=True, tag_field="type", tag="oauth2", forbid_unknown_fields=True, omit_defaults=True):
    """A client that gets tokens for itself (RFC 6749, section 4.4), and sends one with each request.

    Attributes:
        sends: Client and secret as a `header`, or in the `body`.
    """

    token_url: str
    client_id: str
    client_secret: str
    scope: str = ""
    audience: str = ""
    sends: str = "header"


Auth = Basic | OAuth2


class ClientCertificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A certificate with its chain, and its key, in PEM form."""

    certificate: str
    key: str


class Credentials(msgspec.Struct, frozen=True, omit_defaults=True):
    """All of it, with the secrets.

    Attributes:
        ca_certificates: The authorities that the receiver's certificate must come from, instead of the installation's.
    """

    auth: Auth | None = None
    client_certificate: ClientCertificate | None = None
    ca_certificates: str | None = None

    def __repr__(self) -> str:
        """Show which there are."""
        return f"Credentials({', '.join(name for name in FIELDS if getattr(self, name) is not None)})"

    @property
    def basic(self) -> str:
        """The header that a password is sent by, as a line; empty: there is none."""
        if not isinstance(self.auth, Basic):
            return ""
        token = base64.b64encode(f"{self.auth.username}:{self.auth.password}".encode()).decode()
        return f"Authorization: Basic {token}\r\n"

    @property
    def identity(self) -> Identity | None:
        """What TLS needs of it."""
        shown, ca = self.client_certificate, self.ca_certificates
        if shown is None and ca is None:
            return None
        certificate, key = ("", "") if shown is None else (shown.certificate, shown.key)
        digest = hashlib.sha256("\0".join((certificate, key, ca or "")).encode()).digest()
        return Identity(digest, certificate, key, ca or "")


class Shown(msgspec.Struct, frozen=True):
    """What is shown of them."""

    auth: dict[str, str] | None = None
    client_certificate: Certificate | None = None
    ca_certificates: tuple[Certificate, ...] | None = None


NOTHING: Final = Credentials()
NOTHING_SHOWN: Final = Shown()
Pair = tuple[Credentials, Shown]


def with_given(before: Pair, given: dict[str, Any], now: datetime) -> Pair:
    """Return credentials with what a change says of them, and what is shown of them.

    Args:
        given: Some of `FIELDS`, as the API takes them. Null takes one away.

    Raises:
        InvalidInputError: With the field and what to write.
    """
    kept, shown = before
    if "auth" in given:
        auth = None if given["auth"] is None else _auth(given["auth"])
        kept = msgspec.structs.replace(kept, auth=auth)
        shown = msgspec.structs.replace(shown, auth=None if auth is None else _without_secrets(auth))
    if "client_certificate" in given:
        found = None if given["client_certificate"] is None else _client_certificate(given["client_certificate"])
        told = None if found is None else check_client_certificate(found.certificate, found.key, now, "client_certificate")
        kept = msgspec.structs.replace(kept, client_certificate=found)
        shown = msgspec.structs.replace(shown, client_certificate=told)
    if "ca_certificates" in given:
        text = given["ca_certificates"]
        if text is not None and not isinstance(text, str):
            raise InvalidInputError("ca_certificates", "ca_certificates must be text in PEM form, or null.")
        told_of = None if text is None else check_authorities(text, now, "ca_certificates")
        kept = msgspec.structs.replace(kept, ca_certificates=text)
        shown = msgspec.structs.replace(shown, ca_certificates=told_of)
    return kept, shown


def origin(url: str) -> tuple[str, str, int | None]:
    """Return what of a URL credentials are for."""
    parts = urlsplit(url)
    return (parts.scheme, (parts.hostname or "").rstrip("."), parts.port)


def _auth(value: Any) -> Auth:
    try:
        auth: Auth = msgspec.convert(value, Basic | OAuth2)
    except msgspec.ValidationError as error:
        raise InvalidInputError("auth", f"auth: {error}. Write {_EXAMPLES}.") from error
    for name in auth.__struct_fields__:
        _check_text(getattr(auth, name), f"auth.{name}", is_needed=name not in {"scope", "audience", "password"})
    if isinstance(auth, Basic):
        if ":" in auth.username:
            raise InvalidInputError("auth.username", "auth.username cannot have a colon: Basic ends the name with it.")
    elif auth.sends not in SENDS:
        raise InvalidInputError("auth.sends", f"auth.sends must be {' or '.join(SENDS)}.")
    return auth


def _client_certificate(value: Any) -> ClientCertificate:
    try:
        found = msgspec.convert(value, ClientCertificate)
    except msgspec.ValidationError as error:
        raise InvalidInputError(
            "client_certificate", f'client_certificate: {error}. Write {{"certificate": "-----BEGIN…", "key": "-----BEGIN…"}}.'
        ) from error
    return found


def _check_text(text: str, field: str, *, is_needed: bool) -> None:
    if (is_needed and not text) or len(text) > MAX_LENGTH:
        raise InvalidInputError(field, f"{field} must have {1 if is_needed else 0} to {MAX_LENGTH} characters.")
    if _CONTROL.search(text) or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InvalidInputError(field, f"{field} has a character that cannot be sent, such as a line break.")
    if text == HIDDEN:
        raise InvalidInputError(field, f"{field} is what a secret is shown as. Write the secret itself, or leave auth out.")


def _without_secrets(auth: Auth) -> dict[str, str]:
    told: dict[str, str] = msgspec.to_builtins(auth)
    return {name: HIDDEN if name in {"password", "client_secret"} else value for name, value in told.items()}

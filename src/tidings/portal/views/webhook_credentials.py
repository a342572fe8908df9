"""What a webhook shows to be let in, in its form and on its page. Secrets that are stored are never shown.

In the form a secret that is left empty stays as it is; who else a webhook shows itself as is written with its secret.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from tidings.core.certificates import MAX_PEM, Certificate
from tidings.core.credentials import MAX_LENGTH, SENDS
from tidings.core.errors import InvalidInputError
from tidings.core.health import CERTIFICATE_SOON
from tidings.core.webhook import Subscription
from tidings.portal.views.lists import Field, Option
from tidings.portal.views.small import State, When, when
from tidings.portal.views.text import Shown, visible

BASIC, OAUTH2 = "basic", "oauth2"
_KINDS: Final = {
    "": "Nothing beside its signature",
    BASIC: "A user and a password (Basic)",
    OAUTH2: "A token that it gets for itself (OAuth2 client credentials)",
}
_SENDS: Final = {"header": "In a header", "body": "In the body of the form"}
_SECRETS: Final = frozenset({"password", "client_secret"})
_VALID, _SOON, _ENDED = State("good", "check", "good"), State("warn", "clock", "ends soon"), State("bad", "x", "ended")


class EnteredCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """What was typed of them.

    Attributes:
        auth: `basic`, `oauth2`, or empty: none.
        certificate_gone: The client's certificate is taken away; `authorities_gone`: the receiver's authorities.
    """

    auth: str = ""
    auth_username: str = ""
    auth_password: str = ""
    auth_token_url: str = ""
    auth_client_id: str = ""
    auth_client_secret: str = ""
    auth_scope: str = ""
    auth_audience: str = ""
    auth_sends: str = SENDS[0]
    certificate: str = ""
    certificate_key: str = ""
    certificate_gone: bool = False
    authorities: str = ""
    authorities_gone: bool = False


FIELDS: Final = EnteredCredentials.__struct_fields__
OF_AUTH: Final = tuple(name for name in FIELDS if name == "auth" or name.startswith("auth_"))
OF_CERTIFICATE: Final = ("certificate", "certificate_key", "certificate_gone")
OF_AUTHORITIES: Final = ("authorities", "authorities_gone")
TICKS: Final = frozenset({"certificate_gone", "authorities_gone"})
AREAS: Final = frozenset({"certificate", "certificate_key", "authorities"})
LENGTHS: Final = dict.fromkeys(AREAS, MAX_PEM + 1)  # of what is read; one more than may be, so that it is told

# Where an error of what is asked for belongs in the form.
ERRORS: Final = {
    "auth": "auth",
    "auth.username": "auth_username",
    "auth.password": "auth_password",
    "auth.token_url": "auth_token_url",
    "auth.client_id": "auth_client_id",
    "auth.client_secret": "auth_client_secret",
    "auth.scope": "auth_scope",
    "auth.audience": "auth_audience",
    "auth.sends": "auth_sends",
    "client_certificate": "certificate",
    "client_certificate.certificate": "certificate",
    "client_certificate.key": "certificate_key",
    "ca_certificates": "authorities",
}


def entered_of(webhook: Subscription) -> dict[str, Any]:
    """Return the fields that say what a webhook has, without its secrets."""
    told = webhook.credentials_shown.auth
    if told is None:
        return {}
    said = {f"auth_{name}": value for name, value in told.items() if name not in _SECRETS | {"type"}}
    return {"auth": told.get("type", "")} | {name: value for name, value in said.items() if name in FIELDS}


# What it asks for ----------------------------------------------------------------------------------------------------------


def auth(form: EnteredCredentials) -> dict[str, Any]:
    """Return what a form asks for as whom the webhook shows itself.

    Raises:
        InvalidInputError: A secret is missing, at its field.
    """
    if form.auth == BASIC:
        if not form.auth_password:
            raise InvalidInputError("auth_password", "Write the password. It is asked for again where the user changes.")
        return {"auth": {"type": BASIC, "username": form.auth_username, "password": form.auth_password}}
    if form.auth == OAUTH2:
        if not form.auth_client_secret:
            raise InvalidInputError(
                "auth_client_secret", "Write the secret. It is asked for again where anything beside it changes."
            )
        said = {
            name: getattr(form, f"auth_{name}")
            for name in ("token_url", "client_id", "client_secret", "scope", "audience", "sends")
        }
        return {"auth": {"type": OAUTH2} | said}
    if form.auth:
        raise InvalidInputError("auth", "Choose one of these.")
    return {"auth": None}


def certificate(form: EnteredCredentials) -> dict[str, Any]:
    """Return what a form asks for as the client's certificate.

    Raises:
        InvalidInputError: One of both is missing, or it is taken away and written.
    """
    pem, key = form.certificate.strip(), form.certificate_key.strip()
    if form.certificate_gone:
        if pem or key:
            raise InvalidInputError("certificate", "Take the tick away to have another one, or leave both fields empty.")
        return {"client_certificate": None}
    if not pem and not key:
        return {}
    if not pem or not key:
        missing = "certificate" if key else "certificate_key"
        raise InvalidInputError(missing, f"Write the {'certificate' if key else 'key'} beside the other: they belong together.")
    return {"client_certificate": {"certificate": form.certificate, "key": form.certificate_key}}


def authorities(form: EnteredCredentials) -> dict[str, Any]:
    """Return what a form asks for as the receiver's authorities.

    Raises:
        InvalidInputError: They are taken away and written.
    """
    if form.authorities_gone:
        if form.authorities.strip():
            raise InvalidInputError("authorities", "Take the tick away to have others, or leave the field empty.")
        return {"ca_certificates": None}
    return {"ca_certificates": form.authorities} if form.authorities.strip() else {}


# The fields ----------------------------------------------------------------------------------------------------------------


def fields(form: EnteredCredentials, *, is_new: bool, has_certificate: bool, has_authorities: bool) -> tuple[Field, ...]:
    """Return the fields of a webhook's form that are about credentials.

    Args:
        has_certificate: It has one, which can be taken away; `has_authorities`: of the receiver.
    """
    kinds = tuple(Option(value, label, value == form.auth) for value, label in _KINDS.items())
    stays = "" if is_new else "Left empty, it stays."
    return (
        Field("auth", "Lets it in by", "choice", form.auth, "Sent as Authorization with each request.", options=kinds),
        Field("auth_username", "User", value=form.auth_username, is_required=True, is_code=True, max_length=MAX_LENGTH),
        _secret("auth_password", "Password", form.auth_password, stays),
        *_token_fields(form, stays),
        Field("certificate", "Client certificate", "area", form.certificate,
              "In PEM form, its chain behind it. " + ("Left empty, the present one stays." if has_certificate else ""),
              placeholder="-----BEGIN CERTIFICATE-----", is_code=True, max_length=MAX_PEM),
        Field("certificate_key", "Key of the certificate", "area", form.certificate_key,
              "In PEM form, without a passphrase. It is encrypted where it is kept, and never shown again.",
              placeholder="-----BEGIN PRIVATE KEY-----", is_code=True, max_length=MAX_PEM),
        Field("certificate_gone", "Take the client certificate away", "check", "true" if form.certificate_gone else ""),
        Field("authorities", "The receiver's authorities", "area", form.authorities,
              "CA certificates in PEM form, instead of the system's: for receivers with an authority of their own."
              + (" Left empty, the present ones stay." if has_authorities else ""),
              placeholder="-----BEGIN CERTIFICATE-----", is_code=True, max_length=MAX_PEM),
        Field("authorities_gone", "Take the receiver's authorities away", "check", "true" if form.authorities_gone else ""),
    )  # fmt: skip


def _token_fields(form: EnteredCredentials, stays: str) -> tuple[Field, ...]:
    ways = tuple(Option(value, label, value == form.auth_sends) for value, label in _SENDS.items())
    return (
        Field("auth_token_url", "Where it gets tokens", "url", form.auth_token_url, "The token endpoint of the provider.",
              placeholder="https://login.example.com/oauth2/token", is_required=True, is_code=True, max_length=MAX_LENGTH),
        Field("auth_client_id", "Client", value=form.auth_client_id, is_required=True, is_code=True, max_length=MAX_LENGTH),
        _secret("auth_client_secret", "Client secret", form.auth_client_secret, stays),
        Field("auth_scope", "Scope", value=form.auth_scope, is_code=True, max_length=MAX_LENGTH),
        Field("auth_audience", "Audience", value=form.auth_audience, is_code=True, max_length=MAX_LENGTH),
        Field("auth_sends", "Client and secret go", "choice", form.auth_sends, options=ways),
    )  # fmt: skip


def _secret(name: str, label: str, value: str, hint: str) -> Field:
    return Field(
        name,
        label,
        "secret",
        value,
        hint,
        is_required=not hint,
        is_code=True,
        autocomplete="new-password",
        max_length=MAX_LENGTH,
    )


def says_something(form: EnteredCredentials, errors: Mapping[str, str]) -> bool:
    """Whether the fields are shown unfolded: something stands there, or is wrong."""
    usual = EnteredCredentials()
    return any(errors.get(name) or getattr(form, name) != getattr(usual, name) for name in FIELDS)


# What is there -------------------------------------------------------------------------------------------------------------


class CertificateView(msgspec.Struct, frozen=True):
    """A certificate. `exact`: the day on which its time is over."""

    state: State
    subject: Shown
    issuer: Shown
    until: When
    exact: str
    fingerprint: str


class CredentialsView(msgspec.Struct, frozen=True):
    """What a webhook shows to be let in, and whom it believes.

    Attributes:
        way: How, in a few words; empty: by neither password nor token.
        lines: What is known of it, with its label.
    """

    way: str
    lines: tuple[tuple[str, Shown], ...]
    certificate: CertificateView | None
    authorities: tuple[CertificateView, ...]


_LABELS: Final = {
    "username": "User", "password": "Password", "token_url": "Tokens from", "client_id": "Client",
    "client_secret": "Client secret", "scope": "Scope", "audience": "Audience", "sends": "Sent in the",
}  # fmt: skip


def credentials_view(webhook: Subscription, now: datetime) -> CredentialsView | None:
    """Return what is shown of a webhook's credentials; None: it has none."""
    told = webhook.credentials_shown
    if told.auth is None and told.client_certificate is None and not told.ca_certificates:
        return None
    said = dict(told.auth or {})
    kind = said.pop("type", "")
    return CredentialsView(
        _KINDS.get(kind, kind) if kind else "",
        tuple((label, visible(said[name], limit=300)) for name, label in _LABELS.items() if said.get(name)),
        None if told.client_certificate is None else _certificate(told.client_certificate, now),
        tuple(_certificate(one, now) for one in told.ca_certificates or ()),
    )


def _certificate(one: Certificate, now: datetime) -> CertificateView:
    state = _ENDED if one.not_after <= now else _SOON if one.not_after <= now + CERTIFICATE_SOON else _VALID
    until = when(one.not_after, now)
    return CertificateView(
        state, visible(one.subject, limit=200), visible(one.issuer, limit=200), until, until.exact[:10], one.fingerprint
    )

"""Signing in at a provider (OpenID Connect Core 1.0, authorization code with PKCE), without asking anybody: what is sent to the
provider, and whether what comes back is believed. Signatures are `core.id_token`'s; who fetches is `transport.provider`.

Believed is what the provider itself answered at the address that the operator configured, about this very sign-in: `state` ties
the answer to the browser, PKCE the code to us, `nonce` the token to both, `iss` and `aud` say whose it is and for whom.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec

from tidings.core.errors import TidingsError
from tidings.core.reached import is_loopback
from tidings.core.roles import MAX_NAME, parse_email

BEGUN_SECONDS: Final = 600  # for the sign-in at the provider's pages, with a second factor
SKEW_SECONDS: Final = 60  # that the provider's clock may be apart from ours
MAX_AGE_SECONDS: Final = 600  # of a token, by when it says it was made: they are made as they are asked for
MAX_SUBJECT: Final = 255  # characters (Core, section 2)
MAX_TOKEN: Final = 16_384  # characters of an ID token
MAX_CODE: Final = 4_096
SCOPE: Final = "openid email profile"
PATH: Final = "/sign-in/callback"  # where the provider leads back to


class SignInError(TidingsError):
    """A sign-in by a provider came to nothing. The message is for whoever signs in; `reason` is for the log."""

    code = "UNAUTHORIZED"
    status = 401

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason or message


class ProviderError(SignInError):
    """The provider cannot be reached, or answers what it should not."""

    code = "PROVIDER_FAILED"
    status = 502

    def __init__(self, reason: str) -> None:
        super().__init__("The sign-in provider does not answer as it should. Try again, or sign in with a key.", reason)


class Discovery(msgspec.Struct, frozen=True):
    """What a provider says of itself (OpenID Connect Discovery 1.0), as far as it is needed."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class Begun(msgspec.Struct, frozen=True):
    """A sign-in that was begun, as its browser keeps it, sealed.

    Attributes:
        to: Where it leads.
        until: When it is over, in seconds since 1970.
    """

    state: str
    nonce: str
    verifier: str
    to: str
    until: int


class Identity(msgspec.Struct, frozen=True):
    """Who signed in, as the provider says. `email`: verified, or None."""

    issuer: str
    subject: str
    email: str | None
    name: str


def provider_name(issuer: str | None, name: str | None) -> str | None:
    """Return what people are told that the provider is called; None: there is none."""
    return None if issuer is None else name or urlsplit(issuer).hostname or issuer


def discovery_url(issuer: str) -> str:
    """Return where a provider says what it is."""
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration"


def read_discovery(body: bytes, issuer: str) -> Discovery:
    """Return what a provider says of itself.

    Raises:
        ProviderError: It is another issuer, or names an address that a secret must not go to.
    """
    try:
        found = msgspec.json.decode(body, type=Discovery)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ProviderError(f"{discovery_url(issuer)} is no OpenID configuration: {error}") from error
    if found.issuer != issuer:
        raise ProviderError(f"The provider says that it is {found.issuer[:200]!r}, and TIDINGS_OIDC_ISSUER says {issuer!r}.")
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"):
        url = getattr(found, name)
        if url is not None and not is_safe(url):
            raise ProviderError(f"The provider's {name} is {url[:200]!r}, which is no https address.")
    return found


def is_safe(url: str) -> bool:
    """Whether secrets may go there: by HTTPS, or within this very machine."""
    try:
        parts = urlsplit(url)
        host = parts.netloc
        is_named = bool(parts.hostname) and "@" not in host and parts.port != 0
    except ValueError:
        return False
    if not is_named or not url.isascii() or not url.isprintable() or " " in url or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def redirect_uri(public_url: str) -> str:
    """Return where the provider leads back to: what is registered there."""
    return f"{public_url.rstrip('/')}{PATH}"


def challenge_of(verifier: str) -> str:
    """Return what is shown of a verifier (RFC 7636, S256)."""
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def authorization_url(found: Discovery, client_id: str, back: str, begun: Begun) -> str:
    """Return where the browser goes to sign in."""
    asked = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": back,
        "scope": SCOPE,
        "state": begun.state,
        "nonce": begun.nonce,
        "code_challenge": challenge_of(begun.verifier),
        "code_challenge_method": "S256",
    }
    return f"{found.authorization_endpoint}{'&' if '?' in found.authorization_endpoint else '?'}{urlencode(asked)}"


def check_answer(said: Mapping[str, str], begun: Begun, found: Discovery, now: int) -> str:
    """Return the code of what a browser brings back from the provider.

    Args:
        said: The query.
        begun: What the browser kept.
        now: Seconds since 1970.

    Raises:
        SignInError: It is not the answer to a sign-in that this browser began, or it is none.
    """
    again = "Sign in again."
    if not hmac.compare_digest(said.get("state", "").encode("utf-8", "replace"), begun.state.encode()):
        raise SignInError(f"This is the answer to another sign-in than the one that this browser began last. {again}", "state")
    if now >= begun.until:
        raise SignInError(f"This sign-in took longer than {BEGUN_SECONDS // 60} min. {again}", "too late")
    came_from = said.get("iss")
    if (came_from or found.authorization_response_iss_parameter_supported) and came_from != found.issuer:
        raise SignInError(f"This answer came from another provider. {again}", "iss of the answer")  # RFC 9207
    if said.get("error"):
        told = " ".join(filter(None, (said["error"], said.get("error_description"))))
        told = "".join(sign for sign in told[:200] if sign.isprintable())
        raise SignInError(f"The provider did not sign you in: {told}.", "the provider's error")
    code = said.get("code", "")
    if not 1 <= len(code) <= MAX_CODE:
        raise SignInError(f"The provider's answer has no code. {again}", "no code")
    return code


class Answered(msgspec.Struct, frozen=True):
    """What a provider gives for a code. `access_token` reads who somebody is, once, and is kept nowhere."""

    id_token: str
    access_token: str = ""


def read_answer(body: bytes) -> Answered:
    """Return what a provider gave for a code.

    Raises:
        ProviderError: There is no ID token in it.
    """
    try:
        found = msgspec.json.decode(body, type=Answered)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ProviderError(f"The provider's token endpoint answers no ID token: {error}") from error
    for token in (found.id_token, found.access_token):
        if len(token) > MAX_TOKEN or not token.isascii() or not token.isprintable():
            raise ProviderError(f"The provider's token has {len(token)} characters; at most {MAX_TOKEN} of ASCII are read.")
    return found


def with_user_info(identity: Identity, body: bytes, *, trusts_unverified: bool) -> Identity:
    """Return who somebody is, with the address that a provider tells of them only when it is asked (Core, 5.3.2).

    Raises:
        ProviderError: It speaks of somebody else, or cannot be read.
    """
    try:
        claims = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ProviderError(f"The provider's user info cannot be read: {error}") from error
    if claims.get("sub") != identity.subject:
        raise ProviderError("The provider's user info speaks of somebody else than its token.")
    email = _email(claims, trusts_unverified=trusts_unverified)
    return Identity(identity.issuer, identity.subject, email, _name(claims) or identity.name)


def check_claims(
    claims: Mapping[str, Any], *, issuer: str, client_id: str, nonce: str, now: float, trusts_unverified: bool
) -> Identity:
    """Return who a token speaks of, whose signature is right (Core, 3.1.3.7).

    Args:
        trusts_unverified: Believe an address of which the provider does not say whether it verified it; never one that it says
            it did not.

    Raises:
        ProviderError: It is not for us, not about this sign-in, or not of now.
    """
    if claims.get("iss") != issuer:
        raise ProviderError(f"The token is of {str(claims.get('iss'))[:200]!r}, not of {issuer!r}.")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if client_id not in audiences:
        raise ProviderError(f"The token is for {str(audience)[:200]!r}, not for {client_id!r}.")
    party = claims.get("azp")
    if (len(audiences) > 1 or party is not None) and party != client_id:
        raise ProviderError(f"The token was given to {str(party)[:200]!r}, not to {client_id!r}.")
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode("utf-8", "replace"), nonce.encode()):
        raise ProviderError("The token's nonce is another sign-in's.")
    _check_times(claims, now)
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 1 <= len(subject) <= MAX_SUBJECT or not subject.isprintable():
        raise ProviderError(f"The token's subject is {str(subject)[:80]!r}.")
    return Identity(issuer, subject, _email(claims, trusts_unverified=trusts_unverified), _name(claims))


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    times = {name: _number(claims.get(name)) for name in ("exp", "iat", "nbf")}
    if times["exp"] is None or now >= times["exp"] + SKEW_SECONDS:
        raise ProviderError(f"The token has expired: exp is {claims.get('exp')!r}, and it is {now:.0f}. Compare the clocks.")
    made, begins = times["iat"], times["nbf"]
    it_is = f"and it is {now:.0f}. Compare the clocks."
    if made is None or not now - MAX_AGE_SECONDS - SKEW_SECONDS <= made <= now + SKEW_SECONDS:
        raise ProviderError(f"The token was not made now: iat is {claims.get('iat')!r}, {it_is}")
    if begins is not None and now < begins - SKEW_SECONDS:
        raise ProviderError(f"The token is not good yet: nbf is {claims.get('nbf')!r}, {it_is}")


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**53 else None


def _email(claims: Mapping[str, Any], *, trusts_unverified: bool) -> str | None:
    email, verified = claims.get("email"), claims.get("email_verified")
    is_believed = verified in {True, "true"} if verified is None or isinstance(verified, bool | str) else False
    if not isinstance(email, str) or not (is_believed or (verified is None and trusts_unverified)):
        return None
    try:
        return parse_email(email)
    except TidingsError:
        return None


def _name(claims: Mapping[str, Any]) -> str:
    name = claims.get("name") or claims.get("preferred_username") or ""
    return "".join(sign for sign in str(name)[:MAX_NAME] if sign.isprintable()).strip()


def is_of_domains(email: str, domains: Sequence[str]) -> bool:
    """Whether an address is of one of these domains; with none, any is."""
    return not domains or email.rpartition("@")[2] in domains

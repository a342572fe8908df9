"""Is a request signed as it should be, and if not, why not?

`verify` of the SDK answers yes or no, which is all that a receiver may act on. People who set up a receiver or a sender need
the reason: few signatures that do not fit are of another secret; most are of the right one over other bytes, at another time,
by another profile's rules, or with the secret read in another way. Each of these can be tried, because whoever asks knows the
secret. The order is that of certainty: what fits is proof, and "another secret" is said only when nothing fits.

What must stay in step: `verdict_of(...).is_verified` holds exactly where `client.verify` accepts the signature; a test says so.
"""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from hmac import compare_digest
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature

from tidings.core.claims import OWN, STANDARD, TOKEN, Claim, Reason, Verdict, own_claim, standard_claim
from tidings.core.errors import InvalidInputError
from tidings.core.rewritten import forms_of
from tidings.core.signature import SECRET_PREFIX, HmacKey, secret_key
from tidings.core.token import PUBLIC_KEY_PREFIX, fault_of, public_key_of
from tidings.core.webhook import Signature

TOLERANCE_SECONDS: Final = 300.0
_MILLISECONDS: Final = 1e11  # what is more than this is no time in seconds for 3,000 years
# Signatures of others, for saying whose a request is. Their format is one of ours.
_OTHERS: Final[dict[str, Signature]] = {
    "Stripe": Signature("Stripe-Signature", "t=,v1="),
    "GitHub": Signature("X-Hub-Signature-256", "sha256=hex"),
    "Shopify": Signature("X-Shopify-Hmac-SHA256", "base64"),
}


class Expected(msgspec.Struct, frozen=True):
    """What a request should be signed with.

    Attributes:
        profile: By whose rules.
        secrets: The webhook's secret, and the one before while both hold; public keys (`whpk_…`) for `v1a` signatures. For
            profile `vski` the public keys of its token.
        signature: The webhook's own, instead of the profile's.
        issuer, webhook_id: Of the token, where it must be somebody's.
        tolerance_seconds: How far a signed time may be from now.
    """

    profile: str = "standard"
    secrets: tuple[str, ...] = ()
    signature: Signature | None = None
    issuer: str | None = None
    webhook_id: str | None = None
    tolerance_seconds: float = TOLERANCE_SECONDS


def verdict_of(
    expected: Expected, headers: Sequence[tuple[str, str]], body: bytes, now: float, *, is_searching: bool = True
) -> Verdict:
    """Return whether a request is signed as expected, and if not, why not.

    Args:
        headers: As they came; of a name that comes twice the first counts.
        body: As it came, all of it.
        now: Seconds since 1970.
        is_searching: Look for why a signature does not fit, which takes some forty times as long as to see that it does not.
    """
    found = {name.lower(): value for name, value in reversed(headers)}
    if expected.profile == TOKEN and expected.signature is None:
        return _verdict_of_token(expected, found, now)
    if fault := _fault_of_secrets(expected):
        return Verdict(False, Reason.UNREADABLE, fault)
    claim = _claim_of(expected, found)
    if isinstance(claim, Verdict):
        return _by_another(expected, found, body) or claim
    off = _seconds_off(claim.stamp, now)
    if _fits(claim, expected, body):
        return _verdict_of_time(claim, off, expected.tolerance_seconds)
    why = _why(claim, expected, found, body, is_searching=is_searching)
    return msgspec.structs.replace(why, seconds_off=off)


def _verdict_of_token(expected: Expected, headers: Mapping[str, str], now: float) -> Verdict:
    authorization = headers.get("authorization", "")
    if not authorization:
        said = "The header Authorization is missing: profile vski signs no body, and sends a token where jwt_enabled is on."
        return Verdict(False, Reason.MISSING, said)
    try:
        fault = fault_of(
            authorization, expected.secrets, issuer=expected.issuer, webhook_id=expected.webhook_id,
            tolerance_seconds=expected.tolerance_seconds, now=now,
        )  # fmt: skip
    except ValueError:
        return Verdict(False, Reason.UNREADABLE, "A key that should verify the token is no public key (whpk_…).")
    if fault is not None:
        return Verdict(False, Reason.TOKEN, fault)
    return Verdict(True, Reason.VERIFIED, "The token is signed by one of the keys, and good.")


def _fault_of_secrets(expected: Expected) -> str:
    """Say why a secret is none that the profile can have; empty: each is one."""
    if not expected.secrets:
        return "There is no secret to verify with."
    if expected.signature is not None or expected.profile not in STANDARD:
        return ""
    for secret in expected.secrets:
        try:
            if secret.startswith(PUBLIC_KEY_PREFIX):
                public_key_of(secret)
            else:
                secret_key(secret)
        except InvalidInputError as error:
            return error.message
        except ValueError:
            return "A public key to verify with is none: it is whpk_ and base64 of 32 bytes."
    return ""


def _claim_of(expected: Expected, headers: Mapping[str, str]) -> Claim | Verdict:
    """Read the signature that is expected, or say why it is none."""
    if expected.signature is None and expected.profile in STANDARD:
        return standard_claim(headers)
    return own_claim(expected.signature or OWN[expected.profile], headers)


# What fits ---------------------------------------------------------------------------------------------------------------


def _fits(claim: Claim, expected: Expected, body: bytes) -> bool:
    """Whether a signature is one of these bytes, by one of the secrets."""
    return any(_is_by(claim, secret, body) for secret in expected.secrets)


def _is_by(claim: Claim, secret: str, body: bytes) -> bool:
    if not claim.is_text and secret.startswith(PUBLIC_KEY_PREFIX):
        return any(_is_by_private(secret, signature, before + body) for signature, before in claim.asymmetric)
    key = HmacKey.of_text(secret) if claim.is_text else HmacKey.of_secret(secret)
    return _has(claim.macs, key.digest(claim.before + body))


def _is_by_private(public_key: str, signature: str, signed: bytes) -> bool:
    try:
        public_key_of(public_key).verify(b64decode(signature), signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def _has(macs: Iterable[bytes], mac: bytes) -> bool:
    return any(compare_digest(one, mac) for one in macs)


def _seconds_off(stamp: str | None, now: float) -> float | None:
    return None if stamp is None else now - int(stamp)


def _verdict_of_time(claim: Claim, off: float | None, tolerance: float) -> Verdict:
    if off is None or abs(off) <= tolerance:
        return Verdict(True, Reason.VERIFIED, "The signature is one of this body, by the secret.", off)
    if -off > _MILLISECONDS:
        said = f"The secret and the body are right, but the time in {claim.header} is in milliseconds; write seconds."
        return Verdict(False, Reason.TIME, said, off)
    how = f"{_duration(off)} before it came" if off > 0 else f"{_duration(-off)} after it came"
    remedy = "It waited, was sent again as it was, or a clock is wrong." if off > 0 else "The sender's clock is ahead."
    said = f"The secret and the body are right, but it was signed {how}; {_duration(tolerance)} are tolerated. {remedy}"
    return Verdict(False, Reason.TIME, said, off)


def _duration(seconds: float) -> str:
    for limit, scale, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / scale:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"


# Why nothing fits --------------------------------------------------------------------------------------------------------


def _why(claim: Claim, expected: Expected, headers: Mapping[str, str], body: bytes, *, is_searching: bool) -> Verdict:
    """Return why a signature that can be read does not fit."""
    if not is_searching:
        return _by_another(expected, headers, body) or Verdict(
            False, Reason.SECRET, f"{claim.header} does not fit. Why was not looked for: there was too much to do."
        )
    symmetric = tuple(secret for secret in expected.secrets if not secret.startswith(PUBLIC_KEY_PREFIX))
    for words, key in _other_keys(symmetric, is_text=claim.is_text):
        if _has(claim.macs, key.digest(claim.before + body)):
            return Verdict(False, Reason.KEY, f"It is signed with {words}. {_key_rule(claim)}")
    keys = [HmacKey.of_text(one) if claim.is_text else HmacKey.of_secret(one) for one in symmetric]
    for words, content in _other_contents(claim, headers, body):
        if any(_has(claim.macs, key.digest(content)) for key in keys):
            return Verdict(
                False, Reason.CONTENT, f"The secret is right, but {claim.header} signs {words}. {_content_rule(claim)}"
            )
    for words, form in forms_of(body):
        if any(_has(claim.macs, key.digest(claim.before + form)) for key in keys):
            said = (
                f"The secret is right, but the body was written again on its way: it was signed {words}. "
                "Sign and verify the bytes that travel, never a parsed body that is written anew."
            )
            return Verdict(False, Reason.REWRITTEN, said)
    if (other := _by_another(expected, headers, body)) is not None:
        return other
    return Verdict(False, Reason.SECRET, _sentence_of_secret(claim, headers, keys, body))


def _sentence_of_secret(claim: Claim, headers: Mapping[str, str], keys: Sequence[HmacKey], body: bytes) -> str:
    following = own_claim(Signature(f"{claim.header}-Next"), headers)
    if isinstance(following, Claim) and any(_has(following.macs, key.digest(following.before + body)) for key in keys):
        return (
            f"{claim.header} is by the secret before; {following.header} is by this one. While a secret is being rotated, "
            "a header that holds one signature stays with the old secret."
        )
    if not keys:
        return f"{claim.header} has no signature by the private key that belongs to the public key."
    return f"{claim.header} is by another secret, or something in the body was changed on its way."


def _other_keys(secrets: Iterable[str], *, is_text: bool) -> Iterable[tuple[str, HmacKey]]:
    """Yield what the secret may have been taken for, with words for it."""
    for secret in secrets:
        bare = secret.removeprefix(SECRET_PREFIX)
        if not is_text:
            yield "the text of the secret", HmacKey.of_text(secret)
            yield f"the text of the secret without {SECRET_PREFIX}", HmacKey.of_text(bare)
        else:
            if bare != secret:
                yield f"the secret without {SECRET_PREFIX}", HmacKey.of_text(bare)
            if (decoded := _decoded(bare)) is not None:
                yield "what the base64 of the secret stands for", HmacKey(decoded)
        yield "the secret and a line break", HmacKey.of_text(f"{secret}\n")
        yield "the secret without the spaces around it", HmacKey.of_text(secret.strip())
        with suppress(ValueError):
            yield "what the hex of the secret stands for", HmacKey(bytes.fromhex(bare))
    yield "an empty secret", HmacKey(b"")


def _decoded(text: str) -> bytes | None:
    try:
        return b64decode(text, validate=True)
    except (Base64Error, ValueError):
        return None


def _key_rule(claim: Claim) -> str:
    if claim.is_text:
        return "The key is the secret's text, all of it."
    return f"The key is what the base64 behind {SECRET_PREFIX} stands for."


def _other_contents(claim: Claim, headers: Mapping[str, str], body: bytes) -> Iterable[tuple[str, bytes]]:
    """Yield what may have been signed around the body, with words for it."""
    message_id, stamp = (headers.get(f"webhook-{name}", "").encode(errors="replace") for name in ("id", "timestamp"))
    time = claim.stamp.encode() if claim.stamp is not None else stamp
    if claim.before:
        yield "the body alone", body
    if message_id and not claim.is_text:
        yield "the id and the body, without the time", message_id + b"." + body
        yield "the time and the body, without the id", time + b"." + body
        yield "id, time and body without dots", message_id + time + body
        yield "time, id and body, in the wrong order", b".".join((time, message_id, body))
        yield "body, time and id, in the wrong order", b".".join((body, time, message_id))
    elif time:
        yield "the time and the body", time + b"." + body
        yield "the time and the body without a dot", time + body
        yield "the body and the time, in the wrong order", body + b"." + time


def _content_rule(claim: Claim) -> str:
    if not claim.is_text:
        return "What is signed is the id, the time and the body, with dots between."
    return "What is signed is the time, a dot and the body." if claim.before else "What is signed is the body alone."


# Whose it is instead -------------------------------------------------------------------------------------------------------


def _by_another(expected: Expected, headers: Mapping[str, str], body: bytes) -> Verdict | None:
    """Return that a request is signed by the rules of another profile, if one of its signatures says so."""
    wanted = expected.signature or OWN.get(expected.profile)
    own = wanted.header.lower() if wanted is not None else "webhook-signature"
    others: list[tuple[str, str, Claim | Verdict]] = []
    if own != "webhook-signature" and headers.get("webhook-signature"):
        others.append(("profile standard", "webhook-signature", standard_claim(headers)))
    for profile, signature in OWN.items():
        others.append((f"profile {profile}", signature.header, own_claim(signature, headers)))
    for whose, signature in _OTHERS.items():
        others.append((f"{whose}, which is the format {signature.format}", signature.header, own_claim(signature, headers)))
    present = [one for one in others if one[1].lower() != own and isinstance(one[2], Claim)]
    for whose, header, claim in present:
        if isinstance(claim, Claim) and any(_is_of(claim, secret, body) for secret in expected.secrets):
            said = f"It is signed with this secret, but in {header}, by the rules of {whose}. Expect that instead."
            return Verdict(False, Reason.PROFILE, said)
    if present and not headers.get(own):
        whose, header, _ = present[0]
        said = f"The header {own} is missing. There is {header}, by the rules of {whose}: the sender has another profile."
        return Verdict(False, Reason.PROFILE, said)
    return None


def _is_of(claim: Claim, secret: str, body: bytes) -> bool:
    try:
        return _is_by(claim, secret, body)
    except InvalidInputError:  # the secret is none that the other profile can have
        return False

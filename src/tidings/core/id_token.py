"""Whose signature a token bears, by the keys that its provider publishes. The signatures themselves are PyJWT's.

What a token says of itself chooses no way of verifying: only signatures by a pair of keys are known here, so there is no
`none`, and no public key becomes the secret of an HMAC. Which of them a key is good for is said by the key.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import jwt
import msgspec
from jwt.exceptions import PyJWTError
from jwt.types import Options

from tidings.core.oidc import ProviderError

MAX_KEYS: Final = 50  # of a provider
MIN_RSA_BITS: Final = 2048

# Of each kind of key, and curve, what it signs with.
_SIGNS: Final = {
    ("RSA", None): frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
}
_KNOWN: Final = frozenset().union(*_SIGNS.values())
# The time is judged by `oidc.check_claims`, with a clock that is an argument; so is whom it is for.
_SIGNATURE_ONLY: Final[Options] = {
    "verify_signature": True, "verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False,
    "verify_iss": False, "verify_sub": False, "verify_jti": False, "enforce_minimum_key_length": True,
}  # fmt: skip


class NoSuchKeyError(ProviderError):
    """No key of those that are known made a signature: the provider may have made another since they were read."""


class _KeySet(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


def read_keys(body: bytes) -> tuple[Mapping[str, Any], ...]:
    """Return a provider's keys, those left out that sign nothing that is known here.

    Raises:
        ProviderError: It is no set of keys.
    """
    try:
        found = msgspec.json.decode(body, type=_KeySet).keys
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ProviderError(f"The provider's keys cannot be read: {error}") from error
    return tuple(key for key in found[:MAX_KEYS] if key.get("use", "sig") == "sig" and _signs(key))


def _signs(key: Mapping[str, Any]) -> frozenset[str]:
    kind = key.get("kty")
    curve = None if kind == "RSA" else key.get("crv")
    known = _SIGNS.get((kind, curve), frozenset()) if isinstance(kind, str) and isinstance(curve, str | None) else frozenset()
    said = key.get("alg")
    return known if said is None else known & {str(said)}


def verified(token: str, keys: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a token says, when a key of the provider's signed it.

    Raises:
        NoSuchKeyError: It names a key that is none of these.
        ProviderError: None did.
    """
    try:
        header = jwt.get_unverified_header(token)
    except (PyJWTError, ValueError, RecursionError) as error:
        raise ProviderError(f"The token cannot be read: {error}") from error
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in _KNOWN:
        raise ProviderError(f"The token is signed by {str(algorithm)[:40]!r}; known are {', '.join(sorted(_KNOWN))}.")
    if "crit" in header:
        raise ProviderError("The token's header demands extensions (crit), and none is known here.")
    fitting = [key for key in keys if algorithm in _signs(key) and (key_id is None or key.get("kid") == key_id)]
    if not fitting:
        raise NoSuchKeyError(f"The token is signed by the key {str(key_id)[:80]!r}, which the provider does not publish.")
    if len(fitting) > 1:
        raise ProviderError("The token does not say which of several keys signed it.")
    return _decoded(token, fitting[0], algorithm)


def _decoded(token: str, key: Mapping[str, Any], algorithm: str) -> dict[str, Any]:
    try:
        public = jwt.PyJWK(dict(key), algorithm=algorithm).key
        if getattr(public, "key_size", MIN_RSA_BITS) < MIN_RSA_BITS and key["kty"] == "RSA":
            raise ProviderError(f"The provider's key has {public.key_size} bits; RSA needs {MIN_RSA_BITS}.")
        claims: dict[str, Any] = jwt.decode(token, public, algorithms=[algorithm], options=_SIGNATURE_ONLY)
    except (PyJWTError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ProviderError(f"The token's signature is not the provider's: {error}") from error
    return claims

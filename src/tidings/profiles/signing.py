"""Signatures that several profiles share, and those a webhook asks for instead of its profile's."""

from collections.abc import Callable

from tidings.core.signature import sign_base64, sign_hex, sign_timestamped
from tidings.core.webhook import Signature
from tidings.profiles.request import Headers, Rendering


def bare_signature(
    name: str, rendering: Rendering, content: bytes, prefix: str = "", sign: Callable[[str, bytes], str] = sign_hex
) -> Headers:
    """Return a header with nothing but the signature of a body.

    It has no room for a second one. While a secret is being rotated the header stays with the old one, which every receiver
    knows, and `<name>-Next` has the new one for those that are ahead.
    """
    *newer, oldest = rendering.secrets
    headers = [(name, prefix + sign(oldest, content))]
    return headers + [(f"{name}-Next", prefix + sign(secret, content)) for secret in newer]


def asked_for(signature: Signature, rendering: Rendering, content: bytes) -> Headers:
    """Return the one signature a webhook asks for."""
    match signature.format:
        case "hex":
            return bare_signature(signature.header, rendering, content)
        case "sha256=hex":
            return bare_signature(signature.header, rendering, content, "sha256=")
        case "base64":
            return bare_signature(signature.header, rendering, content, sign=sign_base64)
        case _:
            return [(signature.header, sign_timestamped(rendering.secrets, rendering.timestamp, content))]

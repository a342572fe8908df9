"""Signatures that several profiles share, and those a webhook asks for instead of its profile's."""

from collections.abc import Callable

from tidings.core.signature import HmacKey, sign_base64, sign_hex, sign_timestamped
from tidings.core.webhook import Signature
from tidings.profiles.request import Attempt


def bare_signature(
    name: str, attempt: Attempt, content: bytes, prefix: str = "", sign: Callable[[HmacKey, bytes], str] = sign_hex
) -> str:
    """Return a header with nothing but the signature of a body.

    It has no room for a second one. While a secret is being rotated the header stays with the old one, which every receiver
    knows, and `<name>-Next` has the new one for those that are ahead.
    """
    *newer, oldest = attempt.keys
    lines = f"{name}: {prefix}{sign(oldest, content)}\r\n"
    for key in newer:
        lines += f"{name}-Next: {prefix}{sign(key, content)}\r\n"
    return lines


def asked_for(signature: Signature, attempt: Attempt, content: bytes) -> str:
    """Return the one signature a webhook asks for."""
    match signature.format:
        case "hex":
            return bare_signature(signature.header, attempt, content)
        case "sha256=hex":
            return bare_signature(signature.header, attempt, content, "sha256=")
        case "base64":
            return bare_signature(signature.header, attempt, content, sign=sign_base64)
        case _:
            return f"{signature.header}: {sign_timestamped(attempt.keys, attempt.timestamp, content)}\r\n"

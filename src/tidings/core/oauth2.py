"""Tokens of OAuth 2.0 by client credentials (RFC 6749, section 4.4): the request, and what an answer is worth.

Whoever answers may lie, so everything of an answer is bounded: how long a token is, of what it is made (it becomes a header),
and how long it is believed.
"""

import base64
import math
import re
from typing import Any, Final, NamedTuple
from urllib.parse import quote_plus, urlencode, urlsplit

import msgspec

from tidings.core.credentials import OAuth2
from tidings.core.outcome import EXHAUSTED, Exchange
from tidings.core.target import request_head

MAX_TOKEN: Final = 8192  # characters
DEFAULT_SECONDS: Final = 300.0  # that a token is good for whose answer does not say
MAX_SECONDS: Final = 86_400.0  # that one is believed, whatever its answer says
MARGIN: Final = 10.0  # seconds before its end, from which on it is not sent any more
EARLY: Final = 60.0  # seconds before its end, from which on another is fetched beside it
_PART: Final = 0.2  # of its life, that both are at most

_TOKEN = re.compile(r"[\x21-\x7e]+")
_CODE = re.compile(r"[a-z_]{1,40}")
# What is ours, or final: it stays what it is.
_KEPT = frozenset({EXHAUSTED, "stopped", "internal", "address_refused", "proxy"})


class Token(NamedTuple):
    """A token, for how many seconds it is sent, and after how many another is fetched."""

    text: str
    seconds: float
    refresh_seconds: float


def token_request(auth: OAuth2) -> bytes:
    """Return the request for a token."""
    form = {"grant_type": "client_credentials"}
    form |= {name: value for name, value in (("scope", auth.scope), ("audience", auth.audience)) if value}
    head = request_head("POST", auth.token_url) + "accept: application/json\r\nuser-agent: Tidings/1 (+webhooks)\r\n"
    if auth.sends == "header":
        pair = f"{quote_plus(auth.client_id)}:{quote_plus(auth.client_secret)}"  # section 2.3.1
        head += f"authorization: Basic {base64.b64encode(pair.encode()).decode()}\r\n"
    else:
        form |= {"client_id": auth.client_id, "client_secret": auth.client_secret}
    body = urlencode(form).encode()
    return (
        f"{head}content-type: application/x-www-form-urlencoded\r\ncontent-length: {len(body)}\r\n\r\n".encode("latin-1") + body
    )


def token_of(auth: OAuth2, exchange: Exchange) -> Token | Exchange:
    """Return the token of an answer, or what to tell of the attempt that wanted it."""
    host = urlsplit(auth.token_url).hostname or ""
    if exchange.failure is not None:
        error = f"No token could be had from {host}, so nothing was sent to the receiver. {exchange.error or ''}".rstrip()
        failure = exchange.failure if exchange.failure in _KEPT else "token"
        return Exchange(failure=failure, error=error, timings=exchange.timings)
    found = _read(exchange)
    if isinstance(found, Token):
        return found
    error = f"No token could be had from {host}, so nothing was sent to the receiver: {found}"
    return Exchange(failure="token", error=error, timings=exchange.timings)


def _read(exchange: Exchange) -> Token | str:
    """Return the token of an answer, or what is wrong with it."""
    answer = _object(exchange)
    if not exchange.is_success:
        code = answer.get("error") if answer is not None else None
        if code == "invalid_client" or (code is None and exchange.status == 401):
            return f"it answered HTTP {exchange.status} and does not know client_id with client_secret. Compare both."
        told = f" ({code})" if isinstance(code, str) and _CODE.fullmatch(code) else ""
        return f"it answered HTTP {exchange.status}{told}."
    if exchange.is_truncated or answer is None:
        return "its answer is no JSON object that a token could stand in."
    text, kind = answer.get("access_token"), answer.get("token_type", "bearer")
    if not isinstance(text, str) or len(text) > MAX_TOKEN or not _TOKEN.fullmatch(text):
        return f"its answer has no access_token of 1 to {MAX_TOKEN} characters that can stand in a header."
    if not isinstance(kind, str) or kind.lower() != "bearer":
        return "its token is of another type than bearer."
    life = _life(answer.get("expires_in"))
    return Token(text, life - min(MARGIN, life * _PART), life - min(EARLY, life * _PART))


def _object(exchange: Exchange) -> dict[str, Any] | None:
    try:
        answer = msgspec.json.decode(exchange.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _life(said: Any) -> float:
    """Return for how long a token is believed. Some servers write the seconds as text; one that is over is used once."""
    if isinstance(said, str) and len(said) <= 10 and said.isascii() and said.isdigit():
        said = int(said)
    if isinstance(said, bool) or not isinstance(said, int | float) or math.isnan(said):
        return DEFAULT_SECONDS
    return max(0.0, min(float(min(said, MAX_SECONDS)), MAX_SECONDS))

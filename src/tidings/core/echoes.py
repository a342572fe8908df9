"""Credentials in what a receiver answers: some answer with what they were sent, whole or in part.

An answer is kept, shown and logged; what lets Tidings in must not be. So what was sent as a credential is hidden in what came
back, as it is and in the ways in which it is commonly written (`core.scrubbing.forms_of`), before anybody else has the answer.
What a receiver makes of it otherwise, as a hash, a part of it or compressed, is not found.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final

import msgspec

from tidings.core.credentials import HIDDEN, Basic, Credentials, OAuth2
from tidings.core.outcome import Exchange
from tidings.core.scrubbing import forms_of

_HIDDEN: Final = HIDDEN.encode()


class Echo:
    """Hides what one who calls shows of credentials. One serves many exchanges."""

    __slots__ = ("_forms", "_values")

    def __init__(self, *values: str) -> None:
        self._values = values
        self._forms: tuple[bytes, ...] | None = None  # made when there is an answer to look at

    def __repr__(self) -> str:
        """Show none of it."""
        return f"Echo(of {len(self._values)})"

    def hidden(self, exchange: Exchange) -> Exchange:
        """Return what came of a request without what it was sent with."""
        forms = self._forms
        if forms is None:
            forms = self._forms = _forms_of_all(self._values)
        body, headers, error = exchange.body, exchange.headers, exchange.error
        if forms and (exchange.is_truncated or (exchange.failure is not None and body)):  # half of one can stand at its end
            body = body[: max(0, len(body) - len(forms[0]))]
        said = "\n".join([*[part for pair in headers for part in pair], ""]).encode("latin-1", "replace")
        if not _holds(b"%b%b\n%b" % (said, body, (error or "").encode("utf-8", "replace")), forms):
            return exchange if body is exchange.body else msgspec.structs.replace(exchange, body=body)
        return msgspec.structs.replace(
            exchange,
            body=_without(body, forms),
            headers=tuple((_in_header(name, forms), _in_header(value, forms)) for name, value in headers),
            error=None if error is None else _without(error.encode("utf-8", "replace"), forms).decode("utf-8", "replace"),
        )

    def before(self, done: Callable[[Exchange], None]) -> Callable[[Exchange], None]:
        """Return what is to be told of an exchange, so that `done` hears no credentials."""
        return partial(_tell, self, done)


def echo_of(credentials: Credentials) -> Echo | None:
    """Return what hides what requests with credentials show, where that is always the same; None: nothing."""
    auth = credentials.auth
    if not isinstance(auth, Basic):
        return None
    return Echo(f"{auth.username}:{auth.password}", auth.password, *_values_of_lines(credentials.basic))


def echo_of_line(line: str) -> Echo | None:
    """Return what hides a header `… Basic …`, given as a line; None: there is none."""
    return Echo(*_values_of_lines(line)) if line else None


@lru_cache(maxsize=128)  # of some 100 KB each when tokens are as long as they may be
def echo_of_tokens(client: OAuth2, tokens: tuple[str, ...]) -> Echo:
    """Return what hides a client's tokens and its secret: a receiver may be the one that gives the tokens."""
    return Echo(client.client_secret, f"{client.client_id}:{client.client_secret}", *tokens)


def _tell(echo: Echo, done: Callable[[Exchange], None], exchange: Exchange) -> None:
    done(echo.hidden(exchange))


def _values_of_lines(line: str) -> list[str]:
    return [line.rstrip().rpartition(" ")[2]]


def _forms_of_all(values: tuple[str, ...]) -> tuple[bytes, ...]:
    """Return all forms in small letters, the longest first."""
    forms = {form.encode("utf-8", "surrogatepass").lower() for value in values for form in forms_of(value)}
    for value in values:
        if not value.isascii():
            # Servers that read UTF-8 as Latin-1 write each byte as a letter; some write Latin-1 themselves.
            forms |= {value.encode().decode("latin-1").encode().lower(), value.encode("latin-1", "ignore").lower()}
            forms |= {value.upper().encode().lower(), value.lower().encode()}  # bytes have large letters of ASCII alone
    return tuple(sorted((form for form in forms if len(form) >= 3), key=len, reverse=True))


def _holds(data: bytes, forms: tuple[bytes, ...]) -> bool:
    lowered = data.lower()
    return any(form in lowered for form in forms)


def _in_header(text: str, forms: tuple[bytes, ...]) -> str:
    return _without(text.encode("latin-1", "replace"), forms).decode("latin-1")


def _without(data: bytes, forms: tuple[bytes, ...]) -> bytes:
    """Return bytes without forms, in large letters or small.

    No regular expression: one of all forms, for large letters and small, takes the event loop ten times as long.
    """
    lowered = data.lower()
    for form in forms:
        if form not in lowered:
            continue
        kept, at = [], 0
        for part in lowered.split(form):
            kept.append(data[at : at + len(part)])
            at += len(part) + len(form)
        data = _HIDDEN.join(kept)
        lowered = data.lower()
    return data

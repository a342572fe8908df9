"""What a receiver's answer holds of credentials is hidden in it, and nothing else is."""

import base64
import gzip

from tidings.core.credentials import Basic, Credentials, OAuth2
from tidings.core.echoes import Echo, echo_of, echo_of_line, echo_of_tokens
from tidings.core.outcome import Exchange

PASSWORD = "correct-horse/battery"
LINE = "Basic " + base64.b64encode(f"shop:{PASSWORD}".encode()).decode()


def body_of(echo: Echo | None, body: bytes, **more: object) -> bytes:
    assert echo is not None
    return echo.hidden(Exchange(status=200, body=body, **more)).body  # type: ignore[arg-type]


def test_a_password_is_hidden_as_it_is_and_as_it_was_sent() -> None:
    echo = echo_of(Credentials(auth=Basic("shop", PASSWORD)))
    assert body_of(echo, f"<{LINE}> <{PASSWORD}> <{PASSWORD.upper()}>".encode()) == b"<Basic (hidden)> <(hidden)> <(hidden)>"
    assert body_of(echo, b"shop is open") == b"shop is open"


def test_what_holds_nothing_is_the_same_exchange() -> None:
    exchange = Exchange(status=200, body=b"ok", headers=(("server", "x"),))
    assert Echo("password").hidden(exchange) is exchange
    assert Echo("").hidden(exchange) is exchange


def test_headers_and_errors_are_looked_at() -> None:
    exchange = Exchange(headers=(("x-echo", f"a {LINE}"), ("b", "c")), failure="reset", error=f"Reset by {PASSWORD}.")
    echo = echo_of(Credentials(auth=Basic("shop", PASSWORD)))
    assert echo is not None
    hidden = echo.hidden(exchange)
    assert (hidden.headers, hidden.error) == ((("x-echo", "a Basic (hidden)"), ("b", "c")), "Reset by (hidden).")


def test_what_is_cut_in_the_middle_of_a_password_keeps_no_half_of_it() -> None:
    echo = Echo(PASSWORD)
    cut = b"it is " + PASSWORD[:12].encode()
    assert body_of(echo, b"x" * 100 + cut, is_truncated=True).count(b"correct") == 0
    assert body_of(echo, b"x" * 100 + cut, failure="timeout").count(b"correct") == 0
    assert body_of(echo, PASSWORD.encode() + b"x" * 100, is_truncated=True).startswith(b"(hidden)x")


def test_a_client_of_tokens_hides_all_that_it_sent() -> None:
    echo = echo_of_tokens(OAuth2("https://x.test/t", "shop", "client-secret"), ("token-one", "token-two"))
    assert body_of(echo, b"token-one token-two client-secret shop") == b"(hidden) (hidden) (hidden) shop"
    assert "token-one" not in repr(echo)


def test_only_what_is_always_the_same_is_known_before() -> None:
    assert echo_of(Credentials()) is None
    assert echo_of(Credentials(auth=OAuth2("https://x.test/t", "shop", "s"))) is None
    assert echo_of_line("") is None
    assert body_of(echo_of_line(f"Proxy-Authorization: {LINE}\r\n"), LINE.encode()) == b"Basic (hidden)"


def test_what_is_compressed_is_not_found() -> None:
    """As `docs/security.md` says."""
    data = gzip.compress(PASSWORD.encode())
    assert body_of(Echo(PASSWORD), data) == data

"""What an answer of a token endpoint is worth, whatever it says."""

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.core.credentials import OAuth2
from tidings.core.oauth2 import DEFAULT_SECONDS, MAX_SECONDS, Token, token_of, token_request
from tidings.core.outcome import Exchange

CLIENT = OAuth2("https://auth.example.com/token", "shop & co", "s:e/c r")


def said(body: Any, status: int = 200, **more: Any) -> Token | Exchange:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return token_of(CLIENT, Exchange(status=status, body=content, **more))


def test_the_request_is_as_rfc_6749_has_it() -> None:
    head, _, body = token_request(msgspec.structs.replace(CLIENT, scope="a b", audience="x")).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /token HTTP/1.1\r\nhost: auth.example.com\r\n")
    told = head.split(b"authorization: Basic ")[1].split(b"\r\n")[0]
    assert base64.b64decode(told) == b"shop+%26+co:s%3Ae%2Fc+r"
    assert body == b"grant_type=client_credentials&scope=a+b&audience=x"
    head, _, body = token_request(msgspec.structs.replace(CLIENT, sends="body")).partition(b"\r\n\r\n")
    assert b"authorization" not in head
    assert body == b"grant_type=client_credentials&client_id=shop+%26+co&client_secret=s%3Ae%2Fc+r"


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [
        (3600, 3600), ("3600", 3600), (1e308, MAX_SECONDS), (10**40, MAX_SECONDS), (-5, 0), (0, 0), (True, DEFAULT_SECONDS),
        (None, DEFAULT_SECONDS), ("soon", DEFAULT_SECONDS), ({}, DEFAULT_SECONDS), ("9" * 400, DEFAULT_SECONDS),
    ],
)  # fmt: skip
def test_a_token_is_believed_for_a_bounded_time(expires_in: Any, seconds: float) -> None:
    token = said({"access_token": "t", "token_type": "bearer", "expires_in": expires_in})
    assert isinstance(token, Token)
    assert token.refresh_seconds <= token.seconds <= seconds
    assert token.seconds == pytest.approx(max(seconds - 10, seconds * 0.8))


@pytest.mark.parametrize(
    "body",
    [
        b"", b"no json", b"[]", b"null", b"[" * 100_000, {}, {"access_token": ""}, {"access_token": "a b"}, {"access_token": "a\r\nx: y"},
        {"access_token": "ü"}, {"access_token": "x" * 8193}, {"access_token": 7}, {"access_token": "t", "token_type": "mac"},
        {"access_token": "t", "token_type": 5},
    ],
)  # fmt: skip
def test_what_is_no_token_never_gets_into_a_header(body: Any) -> None:
    found = said(body)
    assert isinstance(found, Exchange)
    assert found.failure == "token"
    assert "auth.example.com" in (found.error or "")
    assert "nothing was sent to the receiver" in (found.error or "")


def test_an_endpoints_refusal_says_what_to_compare() -> None:
    for status, body, words in (
        (401, b"", "Compare both"),
        (400, {"error": "invalid_client"}, "Compare both"),
        (400, {"error": "invalid_scope"}, "(invalid_scope)"),
        (400, {"error": "<script>"}, "HTTP 400."),
        (503, b"<html>", "HTTP 503."),
        (302, b"", "HTTP 302."),
    ):
        found = said(body, status)
        assert isinstance(found, Exchange)
        assert words in (found.error or "")
        assert found.status is None, "it is not the receiver's answer"


def test_what_is_ours_stays_ours() -> None:
    for failure, kept in (
        ("exhausted", "exhausted"),
        ("stopped", "stopped"),
        ("address_refused", "address_refused"),
        ("timeout", "token"),
    ):
        found = token_of(CLIENT, Exchange(failure=failure, error="Why."))
        assert isinstance(found, Exchange)
        assert found.failure == kept
        assert (found.error or "").endswith("Why.")


@given(st.binary(max_size=300), st.integers(100, 599))
def test_no_answer_breaks_it(body: bytes, status: int) -> None:
    found = said(body, status)
    assert isinstance(found, Token) or found.failure == "token"


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda one: st.lists(one) | st.dictionaries(st.text(), one),
    )
)
def test_no_expiry_breaks_it(expires_in: Any) -> None:
    try:
        body = msgspec.json.encode({"access_token": "t", "expires_in": expires_in})
    except (ValueError, UnicodeEncodeError):
        return
    token = said(body)
    assert not isinstance(token, Token) or 0 <= token.refresh_seconds <= token.seconds <= MAX_SECONDS

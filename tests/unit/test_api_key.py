"""Keys as text, what scopes include, and how many wrong ones are heard."""

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.core.api_key import (
    PREFIX,
    SECRET_BYTES,
    ApiKey,
    check_good,
    check_name,
    check_scope,
    fits,
    hash_of,
    id_of,
    id_text,
    is_good,
    is_mistyped,
    write_key,
)
from tidings.core.errors import ForbiddenError, InvalidInputError, TooManyAttemptsError, UnauthorizedError
from tidings.core.key_guesses import MAX_REMEMBERED, WINDOW_SECONDS, WRONG_BY_ADDRESS, WRONG_BY_KEY, Guesses
from tidings.core.scopes import SAID, Scope, granted, known_scopes, parse_scopes

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ID = UUID("0b54c7a2-6d3f-4b7e-9d0a-0c2f5d1e8a11")
TEXT = write_key(ID, bytes(range(SECRET_BYTES)))


def key_of(**fields: object) -> ApiKey:
    return ApiKey(**{
        "id": ID, "name": "shop", "group_id": None, "scopes": (Scope.EVENTS_PUBLISH,), "token_hash": hash_of(TEXT), "created_at": NOW,
    } | fields)  # type: ignore[arg-type]  # fmt: skip


def test_a_key_looks_as_scanners_of_secrets_expect_it() -> None:
    assert TEXT.startswith("tidk_0LNevMTCygWhbuvOuYlxfF_")
    assert re.fullmatch(r"tidk_[0-9A-Za-z]{22}_[0-9A-Za-z]{39}", TEXT)
    assert key_of().start == TEXT[:27]


@given(st.uuids(), st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES))
def test_a_key_says_which_it_is(key_id: UUID, secret: bytes) -> None:
    text = write_key(key_id, secret)
    assert id_of(id_text(text) or "") == key_id


@given(st.integers(0, len(TEXT) - 1), st.characters())
def test_one_sign_that_is_wrong_is_told_without_a_look(place: int, sign: str) -> None:
    wrong = TEXT[:place] + sign + TEXT[place + 1 :]
    assert (id_text(wrong) is None) == (wrong != TEXT)
    if place >= len(PREFIX):
        assert is_mistyped(wrong) == (wrong != TEXT)


@given(st.text())
def test_any_text_is_read_without_a_fault(text: str) -> None:
    assert id_text(text) is None
    id_of(text)
    assert len(hash_of(text)) == 32


def test_an_id_beyond_all_ids_is_none() -> None:
    assert id_of("z" * 22) is None
    assert id_of("7n42DGM5Tflk9n8mt7Fhc7") == UUID(int=2**128 - 1)


def test_the_secret_of_a_key_has_a_length() -> None:
    with pytest.raises(ValueError, match="24 bytes"):
        write_key(ID, b"short")


def test_a_key_is_good_until_it_expires_is_revoked_or_rotated_away() -> None:
    digest, other = hash_of(TEXT), hash_of("other")
    assert is_good(key_of(), digest, NOW)
    assert not is_good(key_of(), other, NOW)
    assert not fits(key_of(), bytes(32))
    for fields, said in (
        ({"expires_at": NOW}, "expired at 2026-11-22T00:00:00Z"),
        ({"revoked_at": NOW}, "revoked at 2026-11-22T00:00:00Z"),
        ({"token_hash": other, "previous_hash": digest, "previous_until": NOW}, "rotated"),
    ):
        assert fits(key_of(**fields), digest)
        assert not is_good(key_of(**fields), digest, NOW)
        with pytest.raises(UnauthorizedError, match=said):
            check_good(key_of(**fields), digest, NOW)
    later = NOW + timedelta(seconds=1)
    assert is_good(key_of(token_hash=other, previous_hash=digest, previous_until=later), digest, NOW)
    assert is_good(key_of(token_hash=other, previous_hash=digest, previous_until=NOW), other, NOW)
    check_good(key_of(expires_at=later), digest, NOW)


def test_what_a_key_lacks_is_told_and_nothing_else() -> None:
    check_scope(key_of(), (Scope.EVENTS_PUBLISH,), is_for_all_groups=False)
    check_scope(key_of(scopes=()), (), is_for_all_groups=False)
    with pytest.raises(ForbiddenError, match="lacks the scope admin") as caught:
        check_scope(key_of(), (Scope.ADMIN,), is_for_all_groups=False)
    assert caught.value.details == {"scope": "admin"}
    with pytest.raises(ForbiddenError, match="for one group"):
        check_scope(key_of(group_id="acme", scopes=(Scope.ADMIN,)), (Scope.ADMIN,), is_for_all_groups=True)


def test_who_may_change_sees_and_admin_may_everything() -> None:
    assert granted((Scope.ADMIN,)) == frozenset(Scope)
    assert granted((Scope.WEBHOOKS_WRITE,)) == {Scope.WEBHOOKS_WRITE, Scope.WEBHOOKS_READ}
    assert granted((Scope.EVENTS_PUBLISH,)) == {Scope.EVENTS_PUBLISH}
    assert set(SAID) == set(Scope)


def test_scopes_are_read_by_name() -> None:
    assert parse_scopes(["events:read", "webhooks:read", "events:read"]) == (Scope.WEBHOOKS_READ, Scope.EVENTS_READ)
    assert known_scopes(["of:tomorrow", "admin"]) == (Scope.ADMIN,)
    for names, said in (([], "opens nothing"), (["root"], "'root' is no scope; there are webhooks:read")):
        with pytest.raises(InvalidInputError, match=said):
            parse_scopes(names)


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\nb", "\u202e"])
def test_a_key_is_called_something(name: str) -> None:
    assert check_name(" shop ") == "shop"
    with pytest.raises(InvalidInputError):
        check_name(name)


# Guesses -------------------------------------------------------------------------------------------------------------------


def test_too_many_wrong_keys_from_an_address_are_told_when_to_try_again() -> None:
    guesses = Guesses()
    for _ in range(WRONG_BY_ADDRESS):
        guesses.refuse_shut("192.0.2.1", 5.0)
        guesses.count("192.0.2.1", None, 5.0)
    assert guesses.is_shut("192.0.2.1", 5.0)
    with pytest.raises(TooManyAttemptsError) as caught:
        guesses.count("192.0.2.1", None, 35.5)
    assert caught.value.details == {"retry_after_seconds": 30}
    with pytest.raises(TooManyAttemptsError):
        guesses.refuse_shut("192.0.2.1", 6.0)
    guesses.count("192.0.2.2", None, 6.0)  # another address
    assert not guesses.is_shut("192.0.2.1", 5.0 + WINDOW_SECONDS)
    guesses.count("192.0.2.1", None, 5.0 + WINDOW_SECONDS)


def test_a_key_that_is_guessed_at_from_everywhere_is_told_too() -> None:
    guesses = Guesses()
    for number in range(WRONG_BY_KEY):
        guesses.count(f"192.0.2.{number}", "key", 0.0)
    with pytest.raises(TooManyAttemptsError, match="for this key"):
        guesses.count("192.0.2.200", "key", 1.0)
    guesses.count("192.0.2.201", "another", 1.0)


def test_addresses_of_one_network_count_as_one_and_what_is_remembered_is_bounded() -> None:
    guesses = Guesses()
    for number in range(WRONG_BY_ADDRESS):
        guesses.count(f"2001:db8::{number:x}", None, 0.0)
    assert guesses.is_shut("2001:db8::ffff", 0.0)
    for number in range(MAX_REMEMBERED):
        guesses.count(f"name {number}", f"key {number}", 0.0)
    assert not guesses.is_shut("2001:db8::1", 0.0)
    assert len(guesses._by_address._seen) == len(guesses._by_key._seen) == MAX_REMEMBERED

"""Addresses of members: as they are kept and compared, whoever writes them."""

import pytest

from tidings.core.errors import InvalidInputError
from tidings.core.oidc import check_claims
from tidings.core.roles import parse_email

_NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (" Ada@Example.COM ", "ada@example.com"),
        ("ÉMILE@x.example", "émile@x.example"),
        ("\u212aate@x.example", "\u212aate@x.example"),
    ],
)
def test_an_address_is_kept_in_small_letters_and_none_becomes_ascii(written: str, kept: str) -> None:
    assert parse_email(written) == kept
    assert parse_email(kept) == kept


def test_a_host_with_a_letter_that_only_looks_like_one_is_refused() -> None:
    with pytest.raises(InvalidInputError):
        parse_email("ada@\u212aompany.example")


def test_the_provider_vouches_for_the_very_mailbox_that_was_invited() -> None:
    claims = {
        "iss": "https://id.example", "aud": "us", "sub": "1", "nonce": "n", "exp": _NOW + 60, "iat": _NOW,
        "email": "\u212aate@x.example", "email_verified": True,
    }  # fmt: skip
    identity = check_claims(claims, issuer="https://id.example", client_id="us", nonce="n", now=_NOW, trusts_unverified=False)
    assert identity.email != parse_email("kate@x.example")

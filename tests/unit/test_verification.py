"""Why a signature does not fit: each cause is told from the others, and the verdict is the SDK's."""

import json
from base64 import b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_profiles import row, sent, to
from tidings.client.verify import VerificationError, verify
from tidings.core.claims import OWN, STANDARD, Reason
from tidings.core.rewritten import MAX_BYTES, forms_of
from tidings.core.signature import HmacKey, new_secret, secret_key, sign_base64, sign_hex, sign_timestamped, sign_v1, sign_v1a
from tidings.core.verification import Expected, Verdict, verdict_of
from tidings.core.webhook import SIGNATURE_FORMATS, Signature

AT = 1_705_678_901
WHSEC = new_secret(bytes(range(32)))
TEXT = "aGVsbG8gd29ybGQ="  # base64 of something, too
SIGNED = [*STANDARD, *OWN]
ID = "msg_1"

# Digits that every writer keeps: beyond 2**53, and behind a decimal point with nothing, JavaScript does not.
numbers = st.integers(-(2**53), 2**53) | st.floats(0.001, 1e9).filter(lambda number: not number.is_integer())
documents = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
Pairs = list[tuple[str, str]]


def secret_of(profile: str) -> str:
    return WHSEC if profile in STANDARD else TEXT


def signed(profile: str, body: bytes, key: HmacKey | None = None, at: int = AT) -> Pairs:
    """Headers as the profile's sender writes them."""
    if profile in STANDARD:
        key = key or HmacKey.of_secret(WHSEC)
        return [("webhook-id", ID), ("webhook-timestamp", str(at)), ("webhook-signature", sign_v1(key, ID, at, body))]
    key, own = key or HmacKey.of_text(TEXT), OWN[profile]
    match own.format:
        case "t=,v1=":
            return [(own.header, sign_timestamped([key], at, body))]
        case "sha256=hex":
            return [(own.header, "sha256=" + sign_hex(key, body))]
        case _:
            return [(own.header, sign_hex(key, body))]


def judged(profile: str, headers: Pairs, body: bytes, now: float = AT, **more: Any) -> Verdict:
    return verdict_of(Expected(profile, (secret_of(profile),), **more), headers, body, now)


@pytest.mark.parametrize("profile", SIGNED)
def test_what_tidings_sends_is_verified(profile: str) -> None:
    request = sent(row("UPDATE"), to(profile), AT)
    found = verdict_of(Expected(profile, (to(profile).secret,)), request.headers, request.body, AT + 1)
    assert (found.is_verified, found.reason) == (True, Reason.VERIFIED)


@pytest.mark.parametrize("profile", SIGNED)
@given(
    body=st.binary(max_size=60),
    change=st.sampled_from(["none", "body", "secret", "time", "drop", "swap", "upper", "next"]),
    off=st.integers(-400, 400),
)
@settings(max_examples=25, deadline=None)
def test_the_verdict_is_that_of_the_sdk(profile: str, body: bytes, change: str, off: int) -> None:
    headers, given_body, secret, now = signed(profile, b"1" + body), b"1" + body, secret_of(profile), float(AT)
    match change:
        case "body":
            given_body += b" "
        case "secret":
            secret = new_secret(bytes(32)) if profile in STANDARD else "another text"
        case "time":
            now += off
        case "drop":
            headers = headers[1:]
        case "swap":
            headers = [(name, value[::-1]) for name, value in headers]
        case "upper":
            headers = [(name.upper(), value) for name, value in headers]
        case "next":
            headers = [(f"{name}-next", value) for name, value in headers]
    found = verdict_of(Expected(profile, (secret,)), headers, given_body, now)
    try:
        verify(given_body, dict(headers), secret, profile=profile, now=now)
        accepted = True
    except VerificationError as error:
        accepted = "The body is not JSON" in str(error)
    assert found.is_verified is accepted
    assert found.sentence
    assert found.is_verified is (found.reason == Reason.VERIFIED)


@given(body=st.binary(max_size=200), headers=st.lists(st.tuples(st.text(max_size=20), st.text(max_size=80)), max_size=5),
       names=st.lists(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "x-vivreal-signature", "x-fluxbase-signature",
                                       "authorization"]), max_size=4),
       value=st.text(max_size=120), profile=st.sampled_from([*SIGNED, "vski"]))  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_anything_at_all_has_a_verdict(body: bytes, headers: Pairs, names: list[str], value: str, profile: str) -> None:
    found = judged(profile, [*headers, *((name, value) for name in names)], body)
    assert not found.is_verified
    assert found.reason in set(Reason)


@pytest.mark.parametrize("profile", SIGNED)
@given(value=documents, first=st.integers(0, 40), second=st.integers(0, 40))
@settings(max_examples=20, deadline=None)
def test_a_body_that_was_written_again_is_known_for_one(profile: str, value: Any, first: int, second: int) -> None:
    """Whichever of the usual ways it was signed in, and came in, unless that lost the order of its members."""
    plain = json.dumps(value).encode()
    ways = [
        (words, form) for words, form in forms_of(plain) if words.startswith(("without spaces", "with a space", "indented"))
    ]
    forms = [plain, *(form for _, form in ways)]
    in_order = [plain, *(form for words, form in ways if "sorted" not in words and "JavaScript" not in words)]
    was, came = forms[first % len(forms)], in_order[second % len(in_order)]
    found = judged(profile, signed(profile, was), came)
    assert found.reason == (Reason.VERIFIED if was == came else Reason.REWRITTEN), (was, came)


@pytest.mark.parametrize(
    ("was", "came", "words"),
    [
        (b'{"a":1}', b'{"a": 1}', "without spaces"), (b'{"a": 1}', b'{"a":1}', "a space after"), (b'{"b":1,"a":2}', b'{"a":2,"b":1}', None),
        (b'{"a":2,"b":1}', b'{"b":1,"a":2}', "sorted"), (b'{\n  "a": 1\n}', b'{"a":1}', "by two"), (b'{"a":"\\u00e4"}', '{"a":"ä"}'.encode(), "escapes"),
        (b'{"a":"\\/"}', b'{"a":"/"}', "PHP"), (b'{"a":"\\u003cb\\u003e"}', b'{"a":"<b>"}', "Go"), (b'{"a":1}', b'{"a":1.0}', "JavaScript"),
        (b'{"a":1}\n', b'{"a":1}', "with a line break"), (b'{"a":1}', b'{"a":1}\r\n', "without the line break"), (b"", b'{"a":1}', "empty"),
        (b"[object Object]", b'{"a":1}', "object Object"), (b'{"9":0,"10":1}', b'{"10":1,"9":0}', "JavaScript"), (b'{"a":1}', b'\xef\xbb\xbf{"a":1}', "byte order"),
        (b"a\nb", b"a\r\nb", "Unix"), (b'{"a":1}', b'"{\\"a\\":1}"', "JSON string holds"),
    ],
)  # fmt: skip
def test_each_way_of_writing_again_is_named(was: bytes, came: bytes, words: str | None) -> None:
    found = judged("standard", signed("standard", was), came)
    if words is None:  # an order that nothing says
        assert found.reason == Reason.SECRET
    else:
        assert (found.reason, words in found.sentence) == (Reason.REWRITTEN, True), found.sentence


def test_a_wrong_time_is_told_with_how_much_and_only_when_all_else_is_right() -> None:
    headers = signed("fluxbase-t", b"{}", at=AT - 720)
    found = judged("fluxbase-t", headers, b"{}")
    assert (found.reason, found.seconds_off) == (Reason.TIME, 720)
    assert "12 min before" in found.sentence
    assert judged("fluxbase-t", headers, b"{} ").reason == Reason.REWRITTEN
    assert judged("fluxbase-t", headers, b"[]").reason == Reason.SECRET
    ahead = judged("standard", signed("standard", b"{}", at=AT + 3600), b"{}")
    assert (ahead.reason, ahead.seconds_off) == (Reason.TIME, -3600)
    assert "milliseconds" in judged("standard", signed("standard", b"{}", at=AT * 1000), b"{}").sentence
    assert judged("standard", signed("standard", b"{}", at=AT - 720), b"{}", tolerance_seconds=800).is_verified


@pytest.mark.parametrize(
    ("profile", "key"),
    [
        ("standard", HmacKey.of_text(WHSEC)), ("standard", HmacKey.of_text(WHSEC.removeprefix("whsec_"))), ("standard", HmacKey(b"")),
        ("vivreal", HmacKey(b"hello world")), ("fluxbase-t", HmacKey.of_text(TEXT + "\n")), ("fluxbase", HmacKey(b"")),
    ],
)  # fmt: skip
def test_a_secret_that_was_read_in_another_way_is_told(profile: str, key: HmacKey) -> None:
    assert judged(profile, signed(profile, b"{}", key), b"{}").reason == Reason.KEY


def test_what_else_was_signed_is_told() -> None:
    key = HmacKey(secret_key(WHSEC))
    for content in (b"{}", f"{AT}.{{}}".encode(), f"{ID}.{{}}".encode(), f"{AT}.{ID}.{{}}".encode()):
        headers = [*signed("standard", b"{}")[:2], ("webhook-signature", "v1," + sign_base64(key, content))]
        assert judged("standard", headers, b"{}").reason == Reason.CONTENT


@pytest.mark.parametrize("expected", SIGNED)
@pytest.mark.parametrize("other", SIGNED)
def test_a_request_of_another_profile_is_known_for_one(expected: str, other: str) -> None:
    """Where the header is another. The same one is read however it is written, as receivers of ours do."""
    headers = signed(other, b"{}")
    found = judged(expected, headers, b"{}")
    if (expected in STANDARD) == (other in STANDARD) and OWN.get(expected, Signature("")).header == OWN.get(
        other, Signature("")
    ).header:
        timed_asked = expected == "fluxbase-t" and other == "fluxbase"
        assert found.reason == (Reason.MALFORMED if timed_asked else Reason.VERIFIED)
    else:
        assert found.reason == Reason.PROFILE


def test_signatures_of_other_systems_are_named() -> None:
    body, key = b"{}", HmacKey.of_text(TEXT)
    stripe = judged("vivreal", [("Stripe-Signature", sign_timestamped([key], AT, body))], body)
    assert ("Stripe" in stripe.sentence, stripe.reason) == (True, Reason.PROFILE)
    assert "GitHub" in judged("vivreal", [("X-Hub-Signature-256", "sha256=" + "0" * 64)], body).sentence


@pytest.mark.parametrize("form", SIGNATURE_FORMATS)
def test_a_signature_of_ones_own_is_judged(form: str) -> None:
    own, key = Signature("X-Own", form), HmacKey.of_text(TEXT)
    value = {
        "hex": sign_hex(key, b"{}"), "sha256=hex": "sha256=" + sign_hex(key, b"{}"), "base64": sign_base64(key, b"{}"),
        "t=,v1=": sign_timestamped([key], AT, b"{}"),
    }[form]  # fmt: skip
    assert judged("vivreal", [("x-own", value)], b"{}", signature=own).is_verified
    assert judged("vivreal", [("x-own", value[:-2])], b"{}", signature=own).reason == Reason.MALFORMED
    assert judged("vivreal", [], b"{}", signature=own).reason == Reason.MISSING


def test_while_a_secret_is_rotated_the_next_header_is_named() -> None:
    before = sign_hex(HmacKey.of_text("the one before"), b"{}")
    after = sign_hex(HmacKey.of_text(TEXT), b"{}")
    found = judged("vivreal", [("X-Vivreal-Signature", before), ("X-Vivreal-Signature-Next", after)], b"{}")
    assert (found.reason, "rotated" in found.sentence) == (Reason.SECRET, True)


def test_where_there_is_no_time_to_look_the_sentence_says_so() -> None:
    expected, headers = Expected("standard", (WHSEC,)), signed("standard", b'{"a":1}')
    found = verdict_of(expected, headers, b'{"a": 1}', AT, is_searching=False)
    assert (found.reason, "not looked for" in found.sentence) == (Reason.SECRET, True)
    assert verdict_of(expected, headers, b'{"a":1}', AT, is_searching=False).is_verified


def test_a_public_key_verifies_what_its_private_key_signed() -> None:
    private = Ed25519PrivateKey.generate()
    public = "whpk_" + b64encode(private.public_key().public_bytes_raw()).decode()
    headers = [("webhook-id", ID), ("webhook-timestamp", str(AT)), ("webhook-signature", sign_v1a(private, ID, AT, b"{}"))]
    assert verdict_of(Expected("standard", (public,)), headers, b"{}", AT).is_verified
    found = verdict_of(Expected("standard", (public,)), headers, b"[]", AT)
    assert (found.reason, "private key" in found.sentence) == (Reason.SECRET, True)


def test_a_secret_that_is_none_is_told() -> None:
    assert verdict_of(Expected("standard", ("text",)), signed("standard", b""), b"", AT).reason == Reason.UNREADABLE
    assert verdict_of(Expected("standard", ("whpk_x",)), signed("standard", b""), b"", AT).reason == Reason.UNREADABLE
    assert verdict_of(Expected("standard", ()), signed("standard", b""), b"", AT).reason == Reason.UNREADABLE
    assert verdict_of(Expected("vski", ("x",)), [("Authorization", "Bearer a.b.c")], b"", AT).reason in {
        Reason.TOKEN,
        Reason.UNREADABLE,
    }


def test_what_is_nested_too_deeply_or_too_long_is_not_written_again() -> None:
    for body in (b"[" * 60_000, b'{"a":' * 30_000, b'"' + b"x" * MAX_BYTES + b'"'):
        assert not judged("standard", signed("standard", b"{}"), body).is_verified
        assert len(list(forms_of(body))) <= 12

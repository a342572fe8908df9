"""Parsers of what strangers send: whatever it is, an answer or a refusal, never another exception."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.test_sender import _cuts, _endings, _outcome, _split
from tests.support.torture import LONG, told
from tests.torture.behaviours import SAID
from tidings.client.verify import VerificationError, verify, verify_signature
from tidings.core.errors import InvalidInputError, UnauthorizedError
from tidings.core.notice import PLATFORMS
from tidings.sources.integrations import verified
from tidings.store.integrations import Integration, Settings

EXAMPLES = 20_000 if LONG else 300
NOW = 1_800_000_000
SECRET = "whsec_" + base64.b64encode(b"s" * 24).decode()
PUBLIC_KEY = "whpk_" + base64.b64encode(b"k" * 32).decode()
BODY = b'{"id": "n1", "type": "order.paid", "data": {"id": 1}}'

_numbers = st.sampled_from(
    [str(NOW), "0", "-1", "9" * 30, "9" * 400, "9" * 5000, "1e9", "nan", "\u0661\u0662", "", " 1", "1_0"]
)
_hexes = st.sampled_from([
    hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest(), "0" * 64, "f" * 63, "\u00e9" * 64, "\ud800", "", "=", "AAAA", "a" * 100_000,
])  # fmt: skip
_prefixes = st.sampled_from(["", "sha256=", "v1,", "v1a,", "v1=", "t=", "t=1,v1=", " ", ",", "t==", "v1a,\u00e9"])
_signatures = st.one_of(
    st.text(max_size=40),
    st.builds(str.__add__, _prefixes, _hexes),
    st.builds("t={},v1={}".format, _numbers, _hexes),
    st.lists(st.builds(str.__add__, _prefixes, _hexes), max_size=4).map(" ".join),
    st.lists(st.builds(str.__add__, _prefixes, _hexes), max_size=4).map(",".join),
)
_bodies = st.one_of(
    st.just(BODY),
    st.binary(max_size=60),
    st.sampled_from([b"", b"null", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"a":' * 2000]),
)
_HEADERS = (
    "webhook-id", "webhook-timestamp", "webhook-signature", "stripe-signature", "x-hub-signature-256", "x-github-event",
    "x-github-delivery", "x-signature", "x-vivreal-signature", "x-fluxbase-signature",
)  # fmt: skip
_headers = st.dictionaries(st.sampled_from(_HEADERS), st.one_of(_signatures, _numbers), max_size=len(_HEADERS))


@settings(max_examples=EXAMPLES)
@given(
    _bodies, _headers, st.sampled_from(["standard", "vivreal", "fluxbase", "fluxbase-t"]), st.sampled_from([SECRET, PUBLIC_KEY])
)
def test_a_receiver_is_told_one_thing_alone(body: bytes, headers: Mapping[str, str], profile: str, secret: str) -> None:
    try:
        verify(body, headers, secret, profile=profile, now=NOW)
    except VerificationError:
        pass
    else:
        assert body == BODY


@settings(max_examples=EXAMPLES)
@given(_bodies, _signatures)
def test_a_signature_is_one_or_is_none(body: bytes, signature: str) -> None:
    if verify_signature(body, signature, SECRET, now=NOW):
        assert body == BODY


@settings(max_examples=EXAMPLES)
@given(_bodies, _headers, st.sampled_from(PLATFORMS), st.sampled_from(["hex", "sha256=hex", "base64", "t=,v1="]))
def test_a_notice_is_taken_or_refused(body: bytes, headers: Mapping[str, str], platform: str, format_: str) -> None:
    now = datetime.fromtimestamp(NOW, UTC)
    integration = Integration(UUID(int=1), "default", "n", platform, SECRET, Settings(format=format_), True, now, now)
    try:
        verified(integration, headers, body, now)
    except (UnauthorizedError, InvalidInputError):
        pass
    else:
        assert body == BODY


_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["id", "type", "data", "object", "action", "created", "updated_at", "build", "state"]), inner, max_size=5),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=EXAMPLES)
@given(_json, st.sampled_from(PLATFORMS), st.sampled_from(["push", "issues", "deployment_status", "page_build", "", "\0"]))
def test_a_notice_that_is_genuine_means_something_or_nothing(said: Any, platform: str, name: str) -> None:
    import msgspec

    from tidings.core.notice import meaning_of, read_body

    try:
        body = read_body(msgspec.json.encode(said))
    except InvalidInputError:
        return
    meaning = meaning_of(platform, body, {"x-github-event": name}, NOW, ())
    assert "\0" not in meaning.type
    if meaning.news is not None:
        assert "\0" not in meaning.news.type + meaning.news.id


@settings(max_examples=EXAMPLES)
@given(st.sampled_from(sorted(SAID)), _cuts, _endings, st.data())
def test_what_hostile_receivers_say_ends_once_however_it_is_cut_and_damaged(
    name: str, cuts: list[int], ending: str, draw: st.DataObject
) -> None:
    data = SAID[name][:200_000]
    place = draw.draw(st.integers(0, min(len(data), 200)))
    _outcome(
        _split(data[:place] + draw.draw(st.binary(max_size=4)) + data[place + draw.draw(st.integers(0, 3)) :], cuts), ending
    )


@pytest.fixture(scope="module", autouse=True)
def _report() -> Any:
    yield
    told("parsers", {"parsers": 5, "inputs each": EXAMPLES, "exceptions that are not refusals": 0})

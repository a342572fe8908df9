"""Profile `standard`, verified by the published library."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from tidings.core.errors import InvalidInputError, RenderError
from tidings.core.event import Event
from tidings.core.signature import HmacKey, InstanceKeys, SigningKey, new_secret, secret_key, sign_v1
from tidings.core.webhook import Webhook
from tidings.profiles import Request, describe, prepare

AT = datetime(2026, 11, 21, 12, 0, 0, 123_456, tzinfo=UTC)
SECRET = new_secret(bytes(range(32)))
KEYS = InstanceKeys(
    SigningKey("w", Ed25519PrivateKey.from_private_bytes(bytes(32))),
    SigningKey("t", Ed25519PrivateKey.from_private_bytes(bytes(range(32)))),
    "tidings",
)


def webhook(**fields: Any) -> Webhook:
    return Webhook(
        **{"id": UUID(int=1), "group_id": "default", "name": "n", "url": "https://example.com/x", "secret": SECRET,
           "created_at": AT, "updated_at": AT} | fields
    )  # fmt: skip


def event(**fields: Any) -> Event:
    return Event(
        **{"id": UUID(int=2), "group_id": "default", "source": "publish", "type": "order.paid", "operation": None,
           "subject": None, "table_schema": None, "table_name": None, "record": "{}", "old_record": None,
           "occurred_at": AT} | fields
    )  # fmt: skip


def rendered(of: Event, to: Webhook, at: int) -> Request:
    return describe(prepare(to, KEYS).write(of, UUID(int=3), at))


def test_the_example_of_the_specification_comes_out() -> None:
    # Standard Webhooks 1.0, the test vector of its reference libraries.
    key = HmacKey.of_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = sign_v1(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def now_seconds() -> int:
    return int(datetime.now(UTC).timestamp())


@given(st.dictionaries(st.text(max_size=5), st.text() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)))
def test_every_body_verifies_with_the_published_library(record: dict[str, Any]) -> None:
    import json

    request = rendered(event(record=json.dumps(record)), webhook(), now_seconds())
    Verifier(SECRET).verify(request.body, dict(request.headers))


def test_an_altered_body_does_not_verify() -> None:
    request = rendered(event(), webhook(), now_seconds())
    with pytest.raises(WebhookVerificationError):
        Verifier(SECRET).verify(request.body + b" ", dict(request.headers))


def test_the_body_is_the_same_on_every_retry_and_the_timestamp_is_not() -> None:
    first = rendered(event(), webhook(), 1_000)
    second = rendered(event(), webhook(), 2_000)
    assert first.body == second.body
    assert dict(first.headers)["webhook-id"] == dict(second.headers)["webhook-id"] == str(UUID(int=2))
    assert dict(second.headers)["webhook-timestamp"] == "2000"


def test_a_published_event_carries_what_was_published() -> None:
    request = rendered(event(record='{"n": 1.50}'), webhook(), 1)
    assert request.body == b'{"type":"order.paid","timestamp":"2026-11-21T12:00:00.123Z","data":{"n":1.5}}'


def test_an_update_carries_both_rows_and_what_changed() -> None:
    change = event(
        source="tables", type="table.orders.updated", operation="UPDATE", table_schema="public", table_name="orders",
        record='{"id":1,"total":2.00}', old_record='{"id":1,"total":1.00}',
    )  # fmt: skip
    data = msgspec.json.decode(rendered(change, webhook(), 1).body)["data"]
    assert data == {
        "schema": "public", "table": "orders", "operation": "UPDATE", "record": {"id": 1, "total": 2},
        "old_record": {"id": 1, "total": 1}, "changed": ["total"],
    }  # fmt: skip


def test_a_row_that_could_not_be_captured_says_so() -> None:
    broken = event(
        source="tables", type="table.t.inserted", operation="INSERT", table_schema="public", table_name="t",
        record=None, capture_error="The row could not be written as JSON: too large",
    )  # fmt: skip
    data = msgspec.json.decode(rendered(broken, webhook(), 1).body)["data"]
    assert data["record"] is None
    assert "too large" in data["capture_error"]


def test_own_headers_are_sent_and_may_replace_the_content_type() -> None:
    request = rendered(event(), webhook(headers={"Authorization": "x", "Content-Type": "text/json"}), 1)
    names = [name.lower() for name, _ in request.headers]
    assert names.count("content-type") == 1
    assert dict(request.headers)["Authorization"] == "x"


def test_a_record_nested_too_deeply_is_an_error_with_a_sentence() -> None:
    with pytest.raises(RenderError):
        rendered(event(record="[" * 50_000 + "]" * 50_000), webhook(), 1)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!!!", "secret", "whsec_c2hvcnQ=", "whsec_" + "A" * 200])
def test_a_secret_of_the_wrong_form_is_refused(secret: str) -> None:
    with pytest.raises(InvalidInputError, match="base64"):
        secret_key(secret)

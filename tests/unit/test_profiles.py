"""Every profile: what it sends for each kind of event, how it signs, what it calls things."""

import hmac
import json
from base64 import b64decode, b64encode, urlsafe_b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.test_signature_and_profile import KEYS, event, webhook
from tidings.core.errors import InvalidInputError, RenderError
from tidings.core.event import Event
from tidings.core.filters import parse_filter, type_filter
from tidings.core.retry import limited, next_try
from tidings.core.signature import HmacKey, sign_hex, sign_timestamped
from tidings.core.webhook import Signature, Webhook
from tidings.operations.webhooks.changes import WebhookChange, changed, drafted
from tidings.profiles import PROFILES, Request, describe, prepare
from tidings.profiles.parts import document, event_time, instant

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "signatures.json").read_text())
TEXT_PROFILES = [name for name in PROFILES if not name.startswith(("standard", "cloudevents"))]


def row(operation: str = "INSERT", **fields: Any) -> Event:
    new, old = '{"id":7,"title":"Grüße","price":1.50}', '{"id":7,"title":"Grüße","price":2.00}'
    return event(
        **{"source": "tables", "type": f"table.posts.{operation.lower()}", "operation": operation, "table_schema": "public",
           "table_name": "posts", "subject": "public.posts", "record": None if operation == "DELETE" else new,
           "old_record": None if operation == "INSERT" else old} | fields
    )  # fmt: skip


def to(profile: str, **fields: Any) -> Webhook:
    return webhook(**{"profile": profile, "secret": "whsec_test" if profile in TEXT_PROFILES else webhook().secret} | fields)


def sent(of: Event, target: Webhook, at: int = 1_705_678_901) -> Request:
    return describe(prepare(target, KEYS).write(of, UUID(int=3), at))


def hex_of(secret: str, body: bytes) -> str:
    return hmac.digest(secret.encode(), body, "sha256").hex()


def stamped_by(secret: str, at: int, body: bytes) -> str:
    return f"t={at},v1={hex_of(secret, b'%d.%b' % (at, body))}"


@pytest.mark.parametrize("vector", VECTORS, ids=range(len(VECTORS)))
def test_the_signatures_are_those_of_the_seed_systems(vector: dict[str, Any]) -> None:
    body = vector["body"].encode()
    key = HmacKey.of_text(vector["key"])
    assert sign_hex(key, body) == vector["hex"]
    stamped = f"t={vector['timestamp']},v1={vector['timestamped_hex']}"
    assert sign_timestamped([key], vector["timestamp"], body) == stamped


def test_vivreal_sends_what_its_first_generation_documents() -> None:
    request = sent(row("UPDATE"), to("vivreal"))
    assert request.body.decode() == (
        '{"id":"evt_00000000000000000000000000000002","event":"collection.object.updated","timestamp":"2026-11-21T12:00:00.123Z",'
        '"groupId":"default","data":{"objectId":"7","collectionId":"public.posts","collectionName":"posts",'
        '"fields":{"id":7,"title":"Grüße","price":1.5},"changed":["price"]}}'
    )
    headers = dict(request.headers)
    assert headers["X-Vivreal-Signature"] == hex_of("whsec_test", request.body)
    assert headers["X-Vivreal-Event"] == "collection.object.updated"
    assert headers["X-Vivreal-Delivery-Id"] == str(UUID(int=3))


def test_vivreal_content_sends_what_its_second_generation_documents() -> None:
    request = sent(row("DELETE"), to("vivreal-content"))
    body = json.loads(request.body)
    assert UUID(body["id"]).version == 4
    assert body["event"] == "content.deleted"
    assert body["data"]["_id"] == "7"
    assert body["data"]["groupID"] == "default"
    headers = dict(request.headers)
    assert headers["X-Vivreal-Signature"] == "sha256=" + hex_of("whsec_test", request.body)
    assert headers["X-Vivreal-Delivery"] == body["id"]


@pytest.mark.parametrize(
    ("record", "data"),
    [
        ('{"_id":"1"}', '{"_id":"1","groupID":"default"}'),
        ('{"groupID":"g"}', '{"groupID":"g"}'),
        ("{}", '{"groupID":"default"}'),
        ("[1]", "[1]"),
    ],
)
def test_a_published_document_gets_its_group_once(record: str, data: str) -> None:
    request = sent(event(type="content.created", record=record), to("vivreal-content"))
    assert request.body.endswith(b'"data":' + data.encode() + b"}")


@pytest.mark.parametrize(
    ("operation", "record", "old_record"),
    [("INSERT", 1.5, None), ("UPDATE", 1.5, 2), ("DELETE", 2, 2)],
)
def test_fluxbase_sends_what_its_guide_documents(operation: str, record: float, old_record: float | None) -> None:
    request = sent(row(operation), to("fluxbase"))
    body = json.loads(request.body)
    assert list(body) == ["event", "table", "schema", "record", "old_record", "timestamp", "webhook_id"]
    assert (body["event"], body["table"], body["schema"]) == (operation, "posts", "public")
    assert body["record"]["price"] == record
    assert (body["old_record"] and body["old_record"]["price"]) == old_record
    assert body["webhook_id"] == str(UUID(int=1))
    headers = dict(request.headers)
    assert headers["X-Fluxbase-Signature"] == headers["X-Webhook-Signature"] == hex_of("whsec_test", request.body)


def test_fluxbase_t_signs_the_time_too_and_only_that_changes_on_a_retry() -> None:
    first, second = sent(row(), to("fluxbase-t"), 1_000), sent(row(), to("fluxbase-t"), 2_000)
    assert first.body == second.body
    assert dict(first.headers)["X-Webhook-Signature"] == dict(second.headers)["X-Webhook-Signature"]
    assert dict(second.headers)["X-Fluxbase-Signature"] == stamped_by("whsec_test", 2_000, second.body)


def test_vski_sends_what_was_done_to_which_record_unsigned() -> None:
    request = sent(row(), to("vski", method="PUT", headers={"X-Own": "1"}))
    assert request.method == "PUT"
    assert json.loads(request.body) == {
        "action": "create", "collection": "posts", "record": {"id": 7, "title": "Grüße", "price": 1.5},
        "old_record": None, "timestamp": "2026-11-21T12:00:00.123Z",
    }  # fmt: skip
    assert dict(request.headers) == {
        "host": "example.com", "X-Own": "1", "content-type": "application/json", "user-agent": "Tidings/1 (+webhooks)",
        "baggage": "tidings.hops=1", "content-length": str(len(request.body)),
    }  # fmt: skip


def test_a_published_event_has_something_it_is_about() -> None:
    published = event(type="content.created", record='{"a":1}')
    assert json.loads(sent(published, to("fluxbase")).body)["table"] == "content"
    assert json.loads(sent(event(type="content.created", subject="posts"), to("vski")).body)["collection"] == "posts"
    assert json.loads(sent(event(type="webhook.test"), to("fluxbase")).body)["table"] == "test"


def test_a_name_that_is_not_ascii_goes_into_a_header_by_percent() -> None:
    request = sent(event(type="site.größe"), to("vivreal"))
    assert dict(request.headers)["X-Vivreal-Event"] == "site.gr%C3%B6%C3%9Fe"
    assert json.loads(request.body)["event"] == "site.größe"


def test_cloudevents_puts_the_attributes_where_the_mode_says() -> None:
    of = row(subject="public.größe table")
    binary, structured = sent(of, to("cloudevents")), sent(of, to("cloudevents-structured"))
    headers = dict(binary.headers)
    assert headers["ce-specversion"] == "1.0"
    assert headers["ce-subject"] == "public.gr%C3%B6%C3%9Fe%20table"
    assert headers["content-type"] == "application/json"
    document = json.loads(structured.body)
    assert dict(structured.headers)["content-type"] == "application/cloudevents+json"
    assert document["data"] == json.loads(binary.body)
    assert (document["id"], document["source"], document["subject"]) == (
        headers["ce-id"], "/groups/default/tables", "public.größe table",
    )  # fmt: skip


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("operation", ["INSERT", "UPDATE", "DELETE", None])
def test_the_body_is_the_same_on_every_retry(profile: str, operation: str | None) -> None:
    of = event(type="webhook.test") if operation is None else row(operation)
    assert sent(of, to(profile), 1).body == sent(of, to(profile), 10**9).body


@pytest.mark.parametrize("profile", PROFILES)
def test_a_record_that_is_not_json_ends_in_a_sentence(profile: str) -> None:
    with pytest.raises(RenderError):
        sent(row(record="{"), to(profile))


@pytest.mark.parametrize("profile", PROFILES)
def test_half_a_character_does_not_break_anything(profile: str) -> None:
    records = {"record": r'{"id":"a\ud800","\ud801":1.50}', "old_record": r'{"id":"\udfff"}'}
    published = event(type="content.updated", record=records["record"])
    for of in (row("UPDATE", **records), row("UPDATE", source="collections", **records), published):
        assert rb'"\ud801":1.5' in sent(of, to(profile)).body
        json.loads(sent(of, to(profile)).body)


# Rotation, and what a webhook has instead of its profile's ------------------------------------------------------------


def test_while_a_secret_is_rotated_both_verify() -> None:
    rotating = {
        "previous_secret_until": NOW + timedelta(hours=1),
        "secret": "new-secret-key",
        "previous_secret": "old-secret-key",
    }
    at, after = int(NOW.timestamp()), int(NOW.timestamp()) + 3600
    stamped = dict(sent(row(), to("fluxbase-t", **rotating), at).headers)["X-Fluxbase-Signature"]
    assert stamped.count("v1=") == 2
    assert dict(sent(row(), to("fluxbase-t", **rotating), after).headers)["X-Fluxbase-Signature"].count("v1=") == 1
    bare = sent(row(), to("vivreal", **rotating), at)
    assert dict(bare.headers)["X-Vivreal-Signature"] == hex_of("old-secret-key", bare.body)
    assert dict(bare.headers)["X-Vivreal-Signature-Next"] == hex_of("new-secret-key", bare.body)
    late = dict(sent(row(), to("vivreal", **rotating), after).headers)
    assert late["X-Vivreal-Signature"] == hex_of("new-secret-key", bare.body)
    assert "X-Vivreal-Signature-Next" not in late


def test_an_asymmetric_signature_verifies_with_the_public_key() -> None:
    request = sent(row(), to("standard", asymmetric=True))
    headers = dict(request.headers)
    _, v1a = headers["webhook-signature"].split(" ")
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
    Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().verify(b64decode(v1a.removeprefix("v1a,")), signed)


@pytest.mark.parametrize(
    ("format_", "value"),
    [
        ("hex", lambda body: hex_of("whsec_test", body)),
        ("sha256=hex", lambda body: "sha256=" + hex_of("whsec_test", body)),
        ("base64", lambda body: b64encode(bytes.fromhex(hex_of("whsec_test", body))).decode()),
        ("t=,v1=", lambda body: stamped_by("whsec_test", 1_705_678_901, body)),
    ],
)
def test_a_webhook_can_ask_for_another_systems_signature(format_: str, value: Any) -> None:
    request = sent(row(), to("vivreal", signature=Signature("X-Hub-Signature-256", format_)))
    headers = dict(request.headers)
    assert headers["X-Hub-Signature-256"] == value(request.body)
    assert "X-Vivreal-Signature" not in headers


def test_a_template_is_filled_with_what_the_event_holds() -> None:
    template = json.dumps({
        "text": "{{event}}: {{ record.title }} ({{record.missing}}) {{record.id}}", "row": "{{record}}", "price": "{{record.price}}",
        "list": ["{{table}}", 1, None], "1": "{{old_record.price}}",
    })  # fmt: skip
    request = sent(row("UPDATE"), to("fluxbase", body_template=template))
    assert request.body.decode() == (
        '{"1":2,"text":"UPDATE: Grüße () 7","row":{"id":7,"title":"Grüße","price":1.5},"price":1.5,"list":["posts",1,null]}'
    )
    assert dict(request.headers)["X-Fluxbase-Signature"] == hex_of("whsec_test", request.body)


# The bytes that travel -----------------------------------------------------------------------------------------------


OVERRIDES: list[dict[str, Any]] = [
    {},
    {"headers": {"User-Agent": "mine", "X-Colon": "a: b", "X-Empty": "", "X-Latin": "gr\xfc\xdfe"}},
    {"signature": Signature("X-Sig", "base64"), "jwt_enabled": True, "asymmetric": True},
    {"body_template": "text {{record.title}}\r\n\r\nmore", "headers": {"Content-Type": "text/plain"}},
    {"url": "https://user.example:8443?a=b%20c", "method": "PUT"},
    {"method": "GET"},
]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("overrides", OVERRIDES, ids=range(len(OVERRIDES)))
def test_what_is_written_is_taken_apart_without_loss(profile: str, overrides: dict[str, Any]) -> None:
    target = to(profile, **overrides)
    prepared = prepare(target, KEYS)
    for of in (row("UPDATE"), row("DELETE"), event(type="site.größe", subject="größe")):
        data = prepared.write(of, UUID(int=3), 1_705_678_901)
        request = describe(data)
        lines = [f"{request.method} {request.target} HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers)]
        assert "\r\n".join([*lines, "", ""]).encode("latin-1") + request.body == data
        assert (request.method, request.body) == (target.method, prepared.body(of))
        names = [name.lower() for name, _ in request.headers]
        assert len(names) == len(set(names))
        assert {"host", "content-type", "user-agent", "content-length"} <= set(names)
        assert dict(request.headers) | target.headers == dict(request.headers)
        assert dict(request.headers)["content-length"] == str(len(request.body))
        assert prepare(to(profile, **overrides), KEYS).write(of, UUID(int=3), 1_705_678_901) == data


def test_a_request_goes_where_its_url_says() -> None:
    for url, target, line, host in (
        ("https://example.com", ("example.com", 443), "/", "example.com"),
        ("http://example.com/a/b?c=d%20e", ("example.com", 80), "/a/b?c=d%20e", "example.com"),
        ("https://EXAMPLE.com:8443?q", ("example.com", 8443), "/?q", "EXAMPLE.com:8443"),
        ("http://[::1]:81/x#part", ("::1", 81), "/x", "[::1]:81"),
    ):
        prepared = prepare(to("vski", url=url), KEYS)
        assert prepared.target == (url.startswith("https"), *target, None)
        request = describe(prepared.write(row(), UUID(int=3), 1))
        assert (request.target, dict(request.headers)["host"]) == (line, host)


def test_a_token_is_signed_once_for_the_attempts_of_a_second() -> None:
    prepared = prepare(to("vski", jwt_enabled=True), KEYS)
    first, again, later = (prepared.write(row(), UUID(int=3), at) for at in (1000, 1000, 1001))
    assert first == again
    assert dict(describe(first).headers)["Authorization"] != dict(describe(later).headers)["Authorization"]
    assert prepared.write(row(), UUID(int=3), 1000) == first


@given(st.lists(st.sampled_from([None, *(f'{{"n":{n}.00}}' for n in range(4))]), max_size=20))
def test_a_document_written_a_moment_ago_is_not_taken_for_another(texts: list[str | None]) -> None:
    for text in texts:
        assert document(text) == (b"null" if text is None else text.replace(".00", "").encode())


@pytest.mark.parametrize(
    ("at", "written"),
    [
        ("2026-11-21T12:00:00+00:00", "2026-11-21T12:00:00.000Z"),
        ("2026-11-21T12:00:00.000999+00:00", "2026-11-21T12:00:00.000Z"),
        ("2026-01-01T00:30:00.999999+01:00", "2025-12-31T23:30:00.999Z"),
        ("0001-01-01T00:00:00+00:00", "0001-01-01T00:00:00.000Z"),
    ],
)
def test_a_time_is_written_as_javascript_writes_it(at: str, written: str) -> None:
    assert event_time(event(occurred_at=datetime.fromisoformat(at))).decode() == written
    assert instant(json.dumps(at).encode()) == json.dumps(written).encode()


@pytest.mark.parametrize("text", [None, b"null", b"7", b'"soon"', b'"0001-01-01T00:00:00+01:00"'])
def test_what_is_no_time_stays_as_it_is(text: bytes | None) -> None:
    assert instant(text) == (text or b"null")


@given(st.binary(max_size=200), st.binary(max_size=300))
@example(bytes(64), b"")
@example(bytes(65), b"")
def test_a_key_hashed_once_signs_as_one_that_is_not(key: bytes, message: bytes) -> None:
    prepared = HmacKey(key)
    assert prepared.digest(message) == prepared.digest(message) == hmac.digest(key, message, "sha256")


# Names ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profile", "name", "heard", "unheard"),
    [
        ("vivreal", "collection.object.created", ["content.created"], ["collection.created", "content.updated", "x.y"]),
        ("vivreal", "collection.*", ["content.archived", "collection.deleted"], ["integration.synced"]),
        ("vivreal", "*", ["content.created", "integration.object.updated", "site.deployed"], ["order.paid"]),
        ("vivreal", "site.deployed", ["site.deployed"], ["site.other"]),
        ("vivreal-content", "content.*", ["content.created", "content.updated", "content.deleted"], ["collection.created"]),
        ("vivreal-content", "integration.updated", ["integration.object.updated"], ["integration.updated"]),
        ("vivreal-content", "*", ["collection.updated", "integration.object.deleted"], ["site.deployed", "integration.synced"]),
        ("fluxbase", "INSERT", ["content.created"], ["content.updated"]),
        ("vski", "delete", ["content.deleted"], ["content.created", "cron.fired"]),
        ("standard", "integration.updated", ["integration.updated"], ["integration.object.updated"]),
    ],
)
def test_a_name_means_what_it_means_in_its_system(profile: str, name: str, heard: list[str], unheard: list[str]) -> None:
    wanted = type_filter(name, PROFILES[profile].vocabulary)
    assert [type_ for type_ in heard if not wanted.matches(event(type=type_))] == []
    assert [type_ for type_ in unheard if wanted.matches(event(type=type_))] == []


def test_fluxbase_operations_are_heard_from_every_captured_table() -> None:
    wanted = type_filter("UPDATE", PROFILES["fluxbase"].vocabulary)
    assert wanted.matches(row("UPDATE"))
    assert not wanted.matches(row("INSERT"))
    assert not type_filter("collection.object.created", PROFILES["vivreal"].vocabulary).matches(row())


@pytest.mark.parametrize(
    ("profile", "name"),
    [
        ("vivreal", "content.created"), ("vivreal", "collection.object.renamed"), ("vivreal-content", "site.deployed"),
        ("vivreal-content", "content.published"), ("fluxbase", "order.paid"), ("vski", "INSERT"),
    ],
)  # fmt: skip
def test_a_name_a_profile_does_not_know_is_refused_with_the_remedy(profile: str, name: str) -> None:
    with pytest.raises(InvalidInputError, match="Write") as caught:
        parse_filter(name, 2, PROFILES[profile].vocabulary)
    assert caught.value.field == "events[2]"


# Retry policies ------------------------------------------------------------------------------------------------------


class Chance:
    """Jitter decided by the test."""

    def __init__(self, value: float) -> None:
        self.value = value

    def random(self) -> float:
        return self.value


@pytest.mark.parametrize(
    ("profile", "delays"),
    [
        ("standard", [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]),
        ("vivreal", [60, 300, 1800, 7200, 43_200]),
        ("vivreal-content", [60, 300, 1800, 7200, 43_200]),
        ("fluxbase", [5, 10, 20]),
        ("fluxbase-t", [5, 10, 20]),
        ("vski", [2, 4, 8, 16, 32]),
    ],
)
def test_each_profile_retries_when_its_system_says(profile: str, delays: list[float]) -> None:
    policy = PROFILES[profile].retry
    for chance, factor in ((0.0, 1.0), (1.0, 1.1)):
        waits = [next_try(policy, number, NOW, Chance(chance)) for number in range(1, len(delays) + 2)]
        assert waits == [*(NOW + timedelta(seconds=delay * factor) for delay in delays), None]


def test_jitter_stays_between_its_bounds() -> None:
    rng = Random(1)
    for number, delay in enumerate([60, 300, 1800, 7200, 43_200], 1):
        at = next_try(PROFILES["vivreal"].retry, number, NOW, rng)
        assert at is not None
        assert delay <= (at - NOW).total_seconds() <= delay * 1.1


@pytest.mark.parametrize(
    ("profile", "fields", "delays"),
    [
        ("fluxbase", {"max_retries": 2}, [5, 10]),
        ("fluxbase", {"retry_backoff_seconds": 60}, [60, 120, 240]),
        ("vivreal", {"max_retries": 3}, [60, 300, 1800]),
        ("vivreal", {"max_retries": 6}, [60, 300, 1800, 7200, 43_200, 43_200]),
        ("vski", {"max_retries": 100}, None),
        ("standard", {"max_retries": 2, "retry": {"delays": [1]}}, [1]),
    ],
)
def test_retries_can_be_said_in_two_figures(profile: str, fields: dict[str, Any], delays: list[float] | None) -> None:
    made = drafted(
        WebhookChange(url="https://x.example", events=["*"], profile=profile, **fields),
        group_id="default", default_profile="standard", now=NOW,
    )  # fmt: skip
    if delays is not None:
        assert [made.retry.delay_after(n) for n in range(1, len(delays) + 2)] == [*delays, None]
    else:
        assert made.retry.delay_after(101) is None
        assert made.retry.delay_after(100) == 86_400


@pytest.mark.parametrize(
    "fields", [{"max_retries": 0}, {"max_retries": 101}, {"retry_backoff_seconds": -1}, {"backoff_seconds": 1e9}]
)
def test_retries_out_of_bounds_are_refused(fields: dict[str, float]) -> None:
    renamed = {name.removeprefix("retry_"): value for name, value in fields.items()}
    with pytest.raises(InvalidInputError):
        limited(PROFILES["fluxbase"].retry, **renamed)  # type: ignore[arg-type]


# What a webhook may be -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"profile": "fancy"}, "profile"),
        ({"secret": "short"}, "secret"),
        ({"secret": "with\nnewline-in-it"}, "secret"),
        ({"profile": "standard", "secret": "not-whsec"}, "secret"),
        ({"signature": {"header": "X", "format": "md5"}}, "signature.format"),
        ({"signature": {"header": "Host"}}, "signature.header"),
        ({"signature": {"format": "hex"}}, "signature"),
        ({"headers": {"X-Vivreal-Signature": "x"}}, "headers.X-Vivreal-Signature"),
        ({"headers": {"X-Sig": "x"}, "signature": {"header": "x-sig"}}, "headers.X-Sig"),
        ({"headers": {"authorization": "x"}, "jwt_enabled": True}, "headers.authorization"),
        ({"asymmetric": True}, "asymmetric"),
        ({"body_template": "not json"}, "body_template"),
        ({"body_template": '{"a":"{{secret}}"}'}, "body_template"),
        ({"scope": "mine"}, "scope"),
        ({"method": "TRACE"}, "method"),
    ],
)
def test_what_cannot_be_is_refused_with_its_field(fields: dict[str, Any], field: str) -> None:
    change = WebhookChange(**{"url": "https://x.example", "events": ["*"], "profile": "vivreal"} | fields)
    with pytest.raises(InvalidInputError) as caught:
        drafted(change, group_id="default", default_profile="standard", now=NOW)
    assert caught.value.field == field


def test_fluxbases_spellings_are_read() -> None:
    made = drafted(
        WebhookChange(url="https://api.example/x", events="INSERT,UPDATE", profile="fluxbase", is_active=False, method="put"),
        group_id="default", default_profile="standard", now=NOW,
    )  # fmt: skip
    assert (made.enabled, made.name, made.method) == (False, "api.example", "PUT")
    assert [wanted.name for wanted in made.events] == ["INSERT", "UPDATE"]
    assert len(made.secret) == 64
    again = changed(made, WebhookChange(secret="another-secret", enabled=True), now=NOW)
    assert (again.secret, again.previous_secret, again.enabled) == ("another-secret", made.secret, True)


def test_a_token_says_who_sends_and_verifies() -> None:
    request = sent(row(), to("vski", jwt_enabled=True))
    token = dict(request.headers)["Authorization"].removeprefix("Bearer ")
    header, claims, signature = token.split(".")

    def part(text: str) -> bytes:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))

    KEYS.tokens.private.public_key().verify(part(signature), f"{header}.{claims}".encode())
    assert msgspec.json.decode(part(header)) == {"alg": "EdDSA", "typ": "JWT", "kid": "t"}
    said = msgspec.json.decode(part(claims))
    assert said["roles"] == ["service", "webhook"]
    assert said["exp"] - said["iat"] == 300

"""`/openapi.json`: complete, true, and the same as what the server does."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from tests.integration.test_api import Api, api  # noqa: F401 - a fixture
from tests.support.receiver import Receiver
from tidings.api.openapi.examples import ANSWERS, REQUESTS, example_of
from tidings.api.openapi.fields import FIELDS
from tidings.api.openapi.reference import ERRORS
from tidings.api.openapi.shaping import told_as

ROOT = Path(__file__).parents[2]

HOOK = "https://erp.example.com/hook"


@pytest.fixture
async def document(api: Api) -> Any:  # noqa: F811
    return await api("GET", "/openapi.json", 200)


def operations(document: Any) -> list[tuple[str, str, Any]]:
    return [
        (method, path, said)
        for path, item in document["paths"].items()
        for method, said in item.items()
        if path.startswith("/api")
    ]


async def test_every_field_has_a_sentence_and_every_sentence_a_field(document: Any) -> None:
    fields = {
        (schema, name): member
        for schema, said in document["components"]["schemas"].items()
        for name, member in said.get("properties", {}).items()
    }
    assert sorted(key for key, member in fields.items() if "description" not in member and "$ref" not in member) == []
    known = {name for _, name in fields} | {f"{schema}.{name}" for schema, name in fields}
    said = {f"{told_as(type_)}.{name}" if name else type_ for type_, _, name in (key.partition(".") for key in FIELDS)}
    assert sorted(said - known) == []


async def test_every_route_has_a_summary_and_every_body_an_example(document: Any) -> None:
    for method, path, said in operations(document):
        assert said["description"], path
        if "requestBody" in said:
            example = example_of(method, path)
            assert example is not None, (method, path)
            for media in said["requestBody"]["content"].values():
                assert media["examples"]["example"]["value"] == example
    assert set(REQUESTS) <= {(method, path) for method, path, _ in operations(document)}


async def test_every_route_names_its_errors_with_an_example(document: Any) -> None:
    for _, path, said in operations(document):
        refusals = {int(status) for status in said["responses"] if int(status) >= 400}
        assert {401, 403, 404, 422, 429, 503} <= refusals <= set(ERRORS), path
        for status in refusals:
            shared = said["responses"][str(status)]["$ref"].removeprefix("#/components/responses/")
            (media,) = document["components"]["responses"][shared]["content"].values()
            assert media["schema"] == {"$ref": "#/components/schemas/Error"}
            assert set(media["examples"]["error"]["value"]) <= set(document["components"]["schemas"]["Error"]["properties"])


async def test_an_operation_is_called_what_it_was_called_before(document: Any) -> None:
    kept = json.loads((ROOT / "sdk" / "operation-ids.json").read_text())
    now = {
        f"{method.upper()} {path}": said["operationId"]
        for path, item in document["paths"].items()
        for method, said in item.items()
    }
    assert now == kept, "A generated client calls them so. Name a new operation in sdk/operation-ids.json, and rename none."
    assert len(set(now.values())) == len(now)
    assert all(re.fullmatch("[a-z][A-Za-z]{2,29}", name) for name in now.values())


async def test_bodies_say_what_is_required_and_take_no_other_field(document: Any) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["WebhookCreate"]["required"] == ["url", "events"]
    assert "required" not in schemas["WebhookUpdate"]
    assert {"is_active", "active", "scope", "message"}.isdisjoint(schemas["WebhookUpdate"]["properties"])
    assert {"id", "created_at", "enabled", "retry"} <= set(schemas["Webhook"]["required"])
    for method, path, said in operations(document):
        for media in said.get("requestBody", {}).get("content", {}).values():
            reference = media["schema"].get("$ref", "").rpartition("/")[2]
            if reference and reference != "Record":
                assert schemas[reference]["additionalProperties"] is False, (method, path, reference)


async def test_words_are_enums_and_open_fields_have_a_type(document: Any) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["DeliveryStatus"]["enum"] == ["pending", "sending", "retrying", "succeeded", "failed", "cancelled"]
    assert schemas["Delivery"]["properties"]["status"]["$ref"] == "#/components/schemas/DeliveryStatus"
    assert schemas["WebhookCreate"]["properties"]["events"]["items"] == {"$ref": "#/components/schemas/EventFilter"}
    assert schemas["Webhook"]["properties"]["retry"]["$ref"] == "#/components/schemas/RetryPolicy"
    referred = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert referred == set(schemas)  # nothing is missing, and nothing is said of what nobody meets


async def test_null_fits_once_where_anything_fits(document: Any) -> None:
    """What fits two of `oneOf` fits none of it, for those who take it at its word."""
    chosen: list[Any] = []
    left: list[Any] = [document["components"]["schemas"]]
    while left:
        part = left.pop()
        chosen += [part["oneOf"]] if isinstance(part, dict) and isinstance(part.get("oneOf"), list) else []
        left += [one for one in (part.values() if isinstance(part, dict) else part) if isinstance(one, dict | list)]
    assert [one for one in chosen if {} in one] == []


async def test_examples_of_answers_are_what_their_types_say(document: Any) -> None:
    for name, example in ANSWERS.items():
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        problems = [error.message for error in jsonschema_rs.Draft202012Validator(schema).iter_errors(example)]
        assert problems == [], name
        assert document["components"]["schemas"][name]["examples"] == [example]


_HOME = {"$ref": "#/components/parameters/Home"}


async def test_the_group_and_the_lines_of_a_batch_are_described(document: Any) -> None:
    for _, path, said in operations(document):
        assert {"$ref": "#/components/parameters/Group"} in said["parameters"], path
    assert document["components"]["parameters"]["Group"]["name"] == "X-Tidings-Group"
    assert document["components"]["parameters"]["Home"]["name"] == "X-Tidings-Home"
    with_home = {f"{method} {path}" for method, path, said in operations(document) if _HOME in said["parameters"]}
    assert {
        "get /api/v1/diagnosis",
        "get /api/v1/audit",
        "get /api/v1/set-aside/{number}",
        "put /api/v1/tables/{table}",
    } <= with_home
    assert not any("/api/v1/webhooks" in one or "/api/v1/groups/" in one for one in with_home), "their home answers by itself"
    batch = document["paths"]["/api/v1/events/batch"]["post"]["requestBody"]["content"]
    assert set(batch) == {"application/x-ndjson", "application/octet-stream"}
    assert {"/healthz", "/readyz", "/metrics"} <= set(document["paths"])


async def test_the_examples_are_taken(api: Api, receiver: Receiver) -> None:  # noqa: F811
    await api.engine.user.execute(
        "create table orders (id int primary key, account_id text, card_number text, total int, status text)"
    )
    await api("POST", "/api/collections", 201, {"name": "users", "type": "auth"})
    credentials = REQUESTS["post", "/api/collections/{collection}/auth"]
    await api("POST", "/api/collections/users/records", 201, credentials)
    ids = {"table": "orders", "collection": "posts", "record_id": "first", "group_id": "acme"}
    for (method, path), body in REQUESTS.items():
        if path.endswith("/backfill"):
            hook = await api.create(receiver.url("/hook"), {"table": "orders"})
            body = {"webhook_id": hook["id"]}
        collection = "users" if path.endswith("/auth") else ids["collection"]
        name = "order.paid" if "event-types" in path else "shop"
        sent = body if isinstance(body, str) else json.loads(json.dumps(body).replace(HOOK, receiver.url("/hook")))
        response = await api.client.request(
            method,
            path.format_map({**ids, "collection": collection, "name": name}),
            **({"content": sent} if isinstance(sent, str) else {"json": sent}),
        )
        assert response.status_code < 300, (path, response.text)
        made = {
            "webhooks": "webhook_id", "cron": "job_id", "keys": "key_id", "bins": "bin_id", "listeners": "listener_id",
            "members": "member_id",
            "redaction-rules": "rule_id", "erasures": "erasure_id",
        }.get(path.rpartition("/")[2])  # fmt: skip
        if method == "post" and made:
            ids[made] = response.json()["id"]
        if "enabled" in body or "active" in body:  # the examples that follow test it
            await api("PATCH", path.format_map(ids), 200, dict.fromkeys(body, True))

"""`/openapi.json`: complete, true, and the same as what the server does."""

import json
from typing import Any

import pytest

from tests.integration.test_api import Api, api  # noqa: F401 - a fixture
from tests.support.receiver import Receiver
from tidings.api.openapi.examples import REQUESTS, example_of
from tidings.api.openapi.fields import FIELDS
from tidings.api.openapi.reference import ERRORS

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
    known = {name for _, name in fields} | {f"{schema.rpartition('_')[2]}.{name}" for schema, name in fields}
    assert sorted(set(FIELDS) - known) == []


async def test_every_route_has_a_summary_and_every_body_an_example(document: Any) -> None:
    for method, path, said in operations(document):
        assert said["description"], path
        if "requestBody" in said:
            example = example_of(method, path)
            assert example is not None, (method, path)
            (media,) = said["requestBody"]["content"].values()
            assert media["examples"]["example"]["value"] == example
    assert set(REQUESTS) <= {(method, path) for method, path, _ in operations(document)}


async def test_every_route_names_its_errors_with_an_example(document: Any) -> None:
    for _, path, said in operations(document):
        refusals = {int(status) for status in said["responses"] if int(status) >= 400}
        assert {401, 403, 422, 429, 503} <= refusals <= set(ERRORS), path
        for status in refusals:
            (media,) = said["responses"][str(status)]["content"].values()
            assert set(media["examples"]["error"]["value"]) <= set(media["schema"]["properties"])


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

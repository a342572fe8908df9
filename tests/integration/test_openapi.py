"""`/openapi.json`: complete, true, and the same as what the server does."""

from typing import Any

import pytest

from tests.integration.test_api import Api, api  # noqa: F401 - a fixture
from tests.support.receiver import Receiver
from tidings.api.reference import ERRORS, FIELDS, REQUESTS


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
    assert set(FIELDS) - {name for _, name in fields} == set()


async def test_every_route_has_a_summary_and_every_body_an_example(document: Any) -> None:
    for method, path, said in operations(document):
        assert said["description"], path
        if "requestBody" in said:
            assert (method, path) in REQUESTS
            (media,) = said["requestBody"]["content"].values()
            assert media["examples"]["example"]["value"] == REQUESTS[method, path]
    assert set(REQUESTS) <= {(method, path) for method, path, _ in operations(document)}


async def test_every_route_names_its_errors_with_an_example(document: Any) -> None:
    for _, path, said in operations(document):
        refusals = {int(status) for status in said["responses"] if int(status) >= 400}
        assert {401, 422, 503} <= refusals <= set(ERRORS), path
        for status in refusals:
            (media,) = said["responses"][str(status)]["content"].values()
            assert set(media["examples"]["error"]["value"]) <= set(media["schema"]["properties"])


async def test_the_examples_are_taken(api: Api, receiver: Receiver) -> None:  # noqa: F811
    await api.engine.user.execute("create table orders (id int)")
    ids: dict[str, str] = {}
    for (method, path), body in REQUESTS.items():
        sent = {**body, "url": receiver.url("/hook")} if "url" in body and isinstance(body, dict) else body
        family = path.partition("/{")[0]
        response = await api.client.request(
            method,
            path.replace("{webhook_id}", ids.get(family, "")),
            **({"content": sent} if isinstance(sent, str) else {"json": sent}),
        )
        assert response.status_code < 300, (path, response.text)
        if method == "post" and path == family and "webhooks" in path:
            ids[family] = response.json()["id"]
            await api("PATCH", f"{path}/{ids[family]}", 200, {})
        if "enabled" in body or "active" in body:  # the examples that follow test it
            await api("PATCH", path.replace("{webhook_id}", ids[family]), 200, dict.fromkeys(body, True))

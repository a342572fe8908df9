"""One table of calls, `sdk/operations.json`: it says what the API's document says, and both Python clients do what it says."""

import asyncio
import importlib
import inspect
import json
import re
from typing import Any, get_args
from urllib.parse import parse_qsl

import httpx
import msgspec
import pytest

from tests.support.sdk import CALL, CALLS, TABLE, document, path_of, query_of, sample, walk_of
from tidings import client as sdk
from tidings import receiving
from tidings.api.openapi.shaping import told_as
from tidings.client import (
    ApiError,
    AsyncClient,
    Client,
    egress_models,
    examined_models,
    filters,
    history_models,
    inputs,
    limit_models,
    listening_models,
    member_models,
    models,
    privacy_inputs,
    privacy_models,
    source_models,
)

DOCUMENT = document()
SCHEMAS = DOCUMENT["components"]["schemas"]


def test_every_operation_of_the_api_is_a_call_and_every_call_an_operation() -> None:
    said = {
        (method.upper(), path): sorted(p["name"] for p in operation.get("parameters", []) if p.get("in") == "query")
        for path, item in DOCUMENT["paths"].items()
        for method, operation in item.items()
        if not any(
            path.startswith(out["path"]) and method.upper() == out.get("method", method.upper()) for out in TABLE["left_out"]
        )
    }
    called: dict[tuple[str, str], list[str]] = {}
    for call in CALLS:
        key = (call["method"], call["path"])
        called[key] = sorted(call.get("query", []))
    assert called == said, "Write what the API has into sdk/operations.json, and into both SDKs."


@pytest.mark.parametrize("name", TABLE["shapes"])
def test_a_shape_has_the_fields_that_the_api_has(name: str) -> None:
    shape = TABLE["shapes"][name]
    if "lines" in shape:  # which the document has no word for
        has = getattr(importlib.import_module(shape["lines"]), name).__struct_fields__
    else:
        has = SCHEMAS[told_as(shape["schema"])]["properties"]
    assert sorted([*shape["fields"], *shape.get("without", [])]) == sorted(has)
    rooms = (
        models, history_models, source_models, examined_models, egress_models, limit_models, member_models, listening_models, inputs, filters,
        privacy_models, privacy_inputs,
    )  # fmt: skip
    kind = next(getattr(module, name) for module in rooms if hasattr(module, name))
    fields = kind.__struct_fields__ if issubclass(kind, msgspec.Struct) else kind.__annotations__
    assert sorted(set(fields) - {"__test__"}) == sorted(shape["fields"])


def test_every_model_has_its_shape_in_the_table() -> None:
    known = {
        name for name in sdk.__all__ if isinstance(getattr(sdk, name), type) and issubclass(getattr(sdk, name), msgspec.Struct)
    }
    asked = (inputs, filters, privacy_inputs)
    assert known - {"Page"} == {name for name in TABLE["shapes"] if not any(hasattr(room, name) for room in asked)}


def test_everything_public_is_described() -> None:
    public = [getattr(module, name) for module in (sdk, receiving) for name in module.__all__]
    assert [one.__name__ for one in public if not (getattr(one, "__doc__", None) or "").strip()] == []
    classes = [one for one in public if isinstance(one, type)]
    made = [
        f"{one.__name__}.{name}"
        for one in classes
        for name, member in vars(one).items()
        if inspect.isfunction(member) and not name.startswith("_") and not member.__doc__
    ]
    assert made == []


def groups(client: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(client).items() if not name.startswith("_")}


@pytest.mark.parametrize("kind", [AsyncClient, Client])
def test_a_client_has_the_calls_of_the_table_and_no_others(kind: Any) -> None:
    has = {
        f"{group}.{name}"
        for group, calls in groups(kind("http://t")).items()
        for name, _ in inspect.getmembers(calls, inspect.ismethod)
        if not name.startswith("_")
    }
    assert has == set(CALL) | {walk_of(name) for name, call in CALL.items() if "walk" in call} | {
        re.sub(r"\.list", ".page", name) for name, call in CALL.items() if call.get("page")
    }


def method_of(client: Any, name: str) -> Any:
    group, method = name.split(".")
    return getattr(getattr(client, group), method)


@pytest.mark.parametrize("name", CALL)
def test_a_call_knows_the_name_of_every_option_and_says_what_it_does(name: str) -> None:
    method = method_of(Client("http://t"), name)
    parameters = inspect.signature(method).parameters.values()
    named = {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    named |= {parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD}
    for parameter in parameters:
        if parameter.kind is parameter.VAR_KEYWORD:
            (asked,) = get_args(parameter.annotation)
            named |= set(asked.__annotations__)
    assert set(CALL[name].get("query", [])) | set(CALL[name].get("options", {})) <= named
    assert inspect.getdoc(method)


def answering(*answers: Any) -> tuple[httpx.MockTransport, list[httpx.Request]]:
    """A network that gives these answers in turn; an exception is raised."""
    seen: list[httpx.Request] = []
    left = list(answers)

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, httpx.Response)
        return answer

    return httpx.MockTransport(handle), seen


def answer_to(call: dict[str, Any]) -> httpx.Response:
    """What the API's document says that it answers."""
    if "lines" in call:
        return in_lines(call, {})
    responses = DOCUMENT["paths"][call["path"]][call["method"].lower()]["responses"]
    status = next(status for status in responses if int(status) < 400)
    match call["answer"]:
        case None:
            return httpx.Response(204)
        case "record":
            return httpx.Response(200, json={"id": "r1"})
        case ["record"]:
            return httpx.Response(200, json=[{"id": "r1"}])
    (content,) = responses[status]["content"].values()
    said = sample(content["schema"], SCHEMAS)
    return httpx.Response(int(status), json=said | {"items": [{"id": "r1"}]} if call["answer"] == "RecordPage" else said)


def in_lines(call: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
    """Two entries as they are exported."""
    entry = sample({"$ref": "#/components/schemas/AuditEntry"}, SCHEMAS)
    line = json.dumps(entry | {"place": 1, "sealed_at": entry["at"], "hash": "00"}).encode() + b"\n"
    return httpx.Response(200, content=line * 2, headers={"content-type": "application/x-ndjson", **headers})


def kind_of(answer: Any) -> Any:
    if answer in (None, "record"):
        return {None: type(None), "record": dict}[answer]
    return getattr(sdk, answer)


def check(call: dict[str, Any], answer: Any) -> None:
    if isinstance(call["answer"], list):
        assert isinstance(answer, list)
        assert [type(item) for item in answer] == [kind_of(call["answer"][0])]
    else:
        assert type(answer) is kind_of(call["answer"])


def check_request(call: dict[str, Any], request: httpx.Request) -> None:
    assert (request.method, request.url.raw_path.partition(b"?")[0].decode()) == (call["method"], path_of(call))
    assert sorted(parse_qsl(request.url.query.decode())) == sorted(parse_qsl(query_of(call)))
    if "sends" in call:
        assert json.loads(request.content) == call["sends"]
    elif call["name"] == "events.publish_batch":
        assert [json.loads(line) for line in request.content.splitlines()] == call["args"][0]
    else:
        assert request.content == b""


@pytest.mark.parametrize("name", CALL)
def test_a_call_is_made_as_the_table_says(name: str) -> None:
    call = CALL[name]
    transport, (seen) = answering(answer_to(call), answer_to(call))

    async def ask() -> Any:
        async with AsyncClient("http://t", transport=transport) as client:
            return await method_of(client, name)(*call["args"], **call.get("options", {}))

    check(call, asyncio.run(ask()))
    with Client("http://t", transport=transport) as client:
        check(call, method_of(client, name)(*call["args"], **call.get("options", {})))
    for request in seen:
        check_request(call, request)


@pytest.mark.parametrize("name", CALL)
def test_a_call_whose_answer_was_lost_is_made_again_where_that_does_nothing_twice(name: str) -> None:
    call = CALL[name]
    transport, seen = answering(httpx.Response(503, headers={"Retry-After": "0"}), answer_to(call))
    with Client("http://t", transport=transport) as client:
        if call["repeats"]:
            check(call, method_of(client, name)(*call["args"], **call.get("options", {})))
            assert [request.content for request in seen] == [seen[0].content] * 2
            return
        with pytest.raises(ApiError):
            method_of(client, name)(*call["args"], **call.get("options", {}))
    assert len(seen) == 1


async def test_settings_of_a_table_that_an_earlier_try_took_away_are_gone() -> None:
    transport, _ = answering(
        httpx.ConnectError("lost"), httpx.Response(404, json={"error": "no settings", "code": "NOT_FOUND"})
    )
    async with AsyncClient("http://t", transport=transport) as client:
        assert await client.tables.delete("orders") is None


def pages_of(call: dict[str, Any]) -> tuple[list[httpx.Response], list[Any], dict[str, Any]]:
    """Two pages as a list of this kind gives them, their entries, and what is asked for the second."""
    if "lines" in call:
        return [in_lines(call, {"Tidings-Next": "9"}), in_lines(call, {})], [None] * 4, {"after": "9"}
    full = json.loads(answer_to(call).content)
    match call["walk"]:
        case "header":
            pages = [httpx.Response(200, json=full, headers={"Tidings-Next": "there"}), httpx.Response(200, json=full)]
            return pages, full * 2, {"cursor": "there"}
        case "offset":
            return [httpx.Response(200, json=full), httpx.Response(200, json=[])], full, {"limit": "1", "offset": "1"}
        case "page":
            items = full["items"] if isinstance(full, dict) else full
            again = {**full, "items": []} if isinstance(full, dict) else []
            return [httpx.Response(200, json=full), httpx.Response(200, json=again)], items, {"perPage": "1", "page": "2"}
        case "events" | "webhooks" as name:
            pages = [httpx.Response(200, json={**full, "cursor": "there"}), httpx.Response(200, json={**full, "cursor": None})]
            return pages, full[name] * 2, {"cursor": "there"}
        case field:
            name = "before" if field == "number" else "cursor"
            last = str(full[-1][field])
            return [httpx.Response(200, json=full), httpx.Response(200, json=[])], full, {"limit": "1", name: last}


@pytest.mark.parametrize("name", [name for name, call in CALL.items() if "walk" in call])
def test_a_walk_goes_on_to_the_end(name: str) -> None:
    call = CALL[name]
    ids = call["args"]
    size = {"page": {"perPage": 1}, "header": {}, "events": {}, "webhooks": {}, "after": {}}.get(call["walk"], {"limit": 1})
    pages, items, second = pages_of(call)
    transport, seen = answering(*pages, *pages_of(call)[0])

    async def walk() -> list[Any]:
        async with AsyncClient("http://t", transport=transport) as client:
            return [item async for item in method_of(client, walk_of(name))(*ids, **size)]

    with Client("http://t", transport=transport) as client:
        found = list(method_of(client, walk_of(name))(*ids, **size))
    assert found == asyncio.run(walk())
    assert len(found) == len(items)
    assert dict(parse_qsl(seen[1].url.query.decode())) == second
    assert [request.url.path for request in seen] == [path_of(call)] * 4


def test_options_are_of_a_client_and_of_those_made_of_it() -> None:
    transport, seen = answering(*[httpx.Response(200, json=[])] * 3)
    with Client("http://t/", "key", transport=transport) as client:
        client.tables.list()
        client.with_options(group="acme", timeout=3).tables.list()
        client.with_options(home="us").tables.list()
        with pytest.raises(TypeError):
            client.with_options(colour="red")
        with pytest.raises(ValueError, match="retries is -1"):
            client.with_options(retries=-1)
    assert [request.headers.get("x-tidings-group") for request in seen] == [None, "acme", None]
    assert [request.headers.get("x-tidings-home") for request in seen] == [None, None, "us"]
    assert [request.headers["authorization"] for request in seen] == ["Bearer key"] * 3
    assert [request.extensions["timeout"]["read"] for request in seen] == [30.0, 3, 30.0]
    assert "key" not in repr(client._http.options)


def test_a_deletion_whose_first_answer_was_lost_succeeds() -> None:
    gone = httpx.Response(404, json={"error": "There is no webhook.", "code": "NOT_FOUND"})
    transport, _ = answering(httpx.ReadError("cut"), gone, gone)
    with Client("http://t", transport=transport) as client:
        client.webhooks.delete("w")
        with pytest.raises(ApiError) as caught:
            client.webhooks.delete("w")
    assert caught.value.status == 404

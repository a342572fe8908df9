"""What no input may do: make a fault, be taken for something else, or be refused for another field than its own."""

from typing import Any

import pytest

from tests.integration.test_api import Api, api  # noqa: F401 - a fixture

FIELDS = [
    {"name": name, "type": type_} for name, type_ in (("title", "text"), ("n", "number"), ("day", "date"), ("at", "datetime"))
]
NOBODY = "00000000-0000-0000-0000-000000000000"


async def refused(api: Api, status: int, method: str, path: str, **said: Any) -> Any:  # noqa: F811
    answer = await api.client.request(method, path, **said)
    assert answer.status_code == status, (path, said, answer.text)
    return answer.json()


async def test_queries_beyond_what_can_be(api: Api) -> None:  # noqa: F811
    await api("POST", "/api/v1/integrations", 201, {"name": "shop", "platform": "hmac"})
    for path in ("deliveries", "events", "groups", "integrations", "integrations/shop/objects", "backfills", "portal-links"):
        for offset in (10_001, 2**63, 10**30, -1):
            assert (await refused(api, 422, "GET", f"/api/v1/{path}?offset={offset}"))["field"] == "offset"
        said = await refused(api, 422, "GET", f"/api/v1/{path}?limit=1&limit=2")
        assert (said["field"], said["error"]) == ("limit", "limit is given more than once; write it once.")
    for path in ("deliveries", "events", "webhooks", "recoveries"):
        assert (await refused(api, 422, "GET", f"/api/v1/{path}?cursor="))["field"] == "cursor"
    await refused(api, 422, "GET", "/api/webhooks/logs?cursor=")
    for path in ("deliveries", "events", "statistics"):
        for name in ("since", "until"):
            assert (await refused(api, 422, "GET", f"/api/v1/{path}?{name}=253402300800"))["field"] == name
    for number in (2**63, -(2**70)):
        assert (await api.client.get(f"/api/v1/set-aside/{number}")).status_code in {404, 422}
    assert (await refused(api, 422, "GET", "/api/v1/statistics?since=2999-01-01T00:00:00Z"))["field"] == "since"
    await refused(api, 404, "GET", f"/api/v1/statistics?webhook_id={NOBODY}")
    for status in ("999", "600,404", "9xx"):
        await api("GET", f"/api/v1/deliveries?response_status={status}", 200)
    await api("GET", "/api/v1/deliveries?status=failed&status=retrying", 200)


async def test_bodies_beyond_what_can_be(api: Api) -> None:  # noqa: F811
    hook = await api.create("http://127.0.0.1:9/", "order.*")
    late = await refused(api, 422, "POST", f"/api/v1/webhooks/{hook['id']}/recover", json={"since": "2999-01-01T00:00:00Z"})
    assert late["field"] == "since"
    await refused(api, 422, "POST", "/api/v1/deliveries/retry", json={"since": 253402300800})
    for path in ("/api/v1/events", "/api/v1/webhooks"):
        assert (await refused(api, 422, "POST", path))["error"] == "The body is empty; this call takes JSON."
        assert "1048576 bytes" in (await refused(api, 413, "POST", path, content=b"a" * 1_048_577))["error"]
        for body in (
            b'{"url": "\xff"}',
            b'{"type": "a.b", "data": "\xff"}',
            b'{"data": 1e400}',
            b'{"data": "\\ud800"}',
            b"\xff",
        ):
            assert (await refused(api, 400, "POST", path, content=body))["code"] == "MALFORMED_BODY"


async def test_filters_beyond_what_can_be(api: Api) -> None:  # noqa: F811
    await api("POST", "/api/collections", 201, {"name": "posts", "schema": FIELDS})
    records = "/api/collections/posts/records"
    for text in (
        'n = "sNaN"', 'n = "1e131073"', 'n = "1e-16384"', 'n = "-1e999999999"', 'day = "10000-01-01"',
        'at > "0001-01-01T00:00:00+23:59"', 'created < "2026-01-01T00:00:00-16:00"', 'title = "\x00"',
    ):  # fmt: skip
        assert (await refused(api, 422, "GET", records, params={"filter": text}))["field"] == "filter"
    for text in (
        'n = "NaN"', 'n < "1e131071"', 'n > "1e-16383"', 'n < "Infinity"', 'day = "0001-01-01"', 'at > "0001-01-01T00:00:00+14:00"',
        'at < "9999-12-31T23:59:59-14:00"', 'created < "2026-01-01T00:00:00-15:59"', 'id = "sNaN"',
    ):  # fmt: skip
        await refused(api, 200, "GET", records, params={"filter": text})
    await api("POST", records, 201, {"day": "0001-01-01", "at": "0001-01-01T00:00:00+14:00"})
    await refused(api, 200, "GET", records)


@pytest.mark.parametrize("path", ["/healthz?a=1", "/readyz?a=1", "/metrics?a=1", "/.well-known/jwks.json?a=1"])
async def test_parameters_that_nobody_reads_are_refused_everywhere(api: Api, path: str) -> None:  # noqa: F811
    assert (await refused(api, 422, "GET", path))["field"] == "a"


async def test_what_is_documented_is_what_is_answered(api: Api) -> None:  # noqa: F811
    paths = (await api("GET", "/openapi.json", 200))["paths"]
    payload = (await api("GET", "/openapi.json", 200))["components"]["schemas"]
    assert set(payload["Delivery"]["properties"]["payload"]) == {"description"}  # any JSON
    record = paths["/api/collections/{collection}/records/{record_id}"]["get"]["responses"]["200"]["content"][
        "application/json"
    ]
    assert record["schema"] == {"$ref": "#/components/schemas/Record"}
    assert payload["Record"]["type"] == "object"
    assert {"409", "429"} <= set(paths["/api/collections/{collection}/auth"]["post"]["responses"])
    assert "404" in paths["/api/v1/webhooks"]["get"]["responses"]

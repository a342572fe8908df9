"""`POST /api/v1/events` past the framework: the same answers as the framework's route gives."""

import json
from collections.abc import AsyncIterator
from secrets import token_bytes
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.engine import Engine, engine_of
from tidings import __version__
from tidings.api.http.access import services_for
from tidings.api.publishing import PublishingFirst
from tidings.api.server import create_app
from tidings.config import Config
from tidings.operations import api_keys
from tidings.operations.groups import MAX_KNOWN_GROUPS
from tidings.store.database import Database, Server

KEY = {"X-API-Key": "test"}
PATH = "/api/v1/events"
GOOD = b'{"type":"a.b","data":{"n":1}}'


class Routes:
    """Both routes, and what passed the first."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        framework: Any = create_app(engine.services, version=__version__)

        async def noted(scope: Any, receive: Any, send: Any) -> None:
            self.passed += 1
            await framework(scope, receive, send)

        self.passed = 0
        first: Any = PublishingFirst(noted, engine.services)
        self.first = httpx.AsyncClient(transport=httpx.ASGITransport(first), base_url="http://test")
        self.framework = httpx.AsyncClient(transport=httpx.ASGITransport(framework), base_url="http://test")

    async def ask(
        self, content: Any = GOOD, headers: Any = KEY, *, method: str = "POST", path: str = PATH
    ) -> tuple[httpx.Response, bool]:
        """Ask both, hold their answers equal, and return the first's, and whether it passed the request on."""
        before = self.passed
        ours = await self.first.request(method, path, content=content, headers=headers)
        passed = self.passed > before
        theirs = await self.framework.request(method, path, content=content, headers=headers)
        assert ours.status_code == theirs.status_code, (ours.text, theirs.text)
        if ours.status_code == 202:
            assert set(ours.json()) == set(theirs.json()) == {"id", "duplicate"}
            assert ours.headers["content-type"] == theirs.headers["content-type"]
        else:
            assert (ours.content, dict(ours.headers)) == (theirs.content, dict(theirs.headers))
        return ours, passed


@pytest.fixture
async def routes(config: Config) -> AsyncIterator[Routes]:
    async with engine_of(config) as engine:
        await engine.user.execute(
            "insert into tidings.groups (id) values ('acme');"
            "insert into tidings.event_types (group_id, name, json_schema) values ('default', 'a.schema', '{\"type\": \"string\"}')"
        )
        routes = Routes(engine)
        yield routes
        await routes.first.aclose()
        await routes.framework.aclose()


def with_field(**fields: Any) -> bytes:
    return json.dumps({"type": "a.b", "data": 1} | fields).encode()


@pytest.mark.parametrize(
    ("content", "status", "field"),
    [
        (GOOD, 202, None),
        (b' {"data" : 1.50, "type":"a.b" , "subject":null,"id":null}\n', 202, None),
        (with_field(subject="orders/1"), 202, None), (with_field(subject=""), 202, None), (with_field(id="x" * 200), 202, None),
        (with_field(data=None), 202, None), (with_field(data="\x00"), 202, None), (with_field(data=10**400), 202, None),
        (b'{"type":"a.b","data":1,"data":2}', 202, None), (with_field(type="a.schema", data="x"), 202, None),
        (with_field(type="a.schema"), 422, "data"),
        (with_field(id=""), 422, "id"), (with_field(id="x" * 201), 422, "id"), (with_field(id="\x00"), 422, "id"), (with_field(id=1), 422, "id"),
        (with_field(subject="\x00"), 422, "subject"), (with_field(subject=1), 422, "subject"), (with_field(more=1), 422, "more"),
        (with_field(type="table.x.inserted"), 422, "type"), (with_field(type="a.*"), 422, "type"), (with_field(type=None), 422, "type"),
        (with_field(type="a b"), 422, "type"), (with_field(type="\x00"), 422, "type"), (with_field(type="webhook.test"), 422, "type"),
        (b'{"data":1}', 422, "type"), (b'{"type":"a.b"}', 422, "data"), (b"[]", 422, None), (b"null", None, None), (b'"x"', 422, None),
        (b"", None, None), (b"{nonsense", 400, None), (GOOD + b"}", 400, None), (b"\xef\xbb\xbf" + GOOD, 400, None),
        (b'{"type":"a.b","data":"\\ud800"}', 400, None), (b'{"type":"a.b","data":"\xff"}', 400, None), (b'{"type":"\xff","data":1}', 400, None),
        (b'{"type":"a.b","data":01}', 400, None), (b'{"type":"a.b","data":NaN}', 400, None), (b'{"type":"a.b","data":[1,]}', 400, None),
        (b'{"type":"a.b","data":' + b"[" * 3000 + b"]" * 3000 + b"}", 422, "body"),
        (b'{"type":"a.b","data":"' + b"x" * 1_048_552 + b'"}', 202, None), (b'{"type":"a.b","data":"' + b"x" * 1_048_553 + b'"}', 413, None),
    ],
    ids=lambda value: repr(value)[:50],
)  # fmt: skip
async def test_both_routes_answer_alike(routes: Routes, content: bytes, status: int | None, field: str | None) -> None:
    answer, passed = await routes.ask(content)
    if status is not None:
        assert answer.status_code == status, answer.text
    if field is not None:
        assert answer.json()["field"] == field
    assert not (passed and answer.status_code == 202)


_TEXTS = st.sampled_from(["a.b", "", "a", "x y", "a.*", "é", "\x00", "\U0001f600"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=5,
)
_MEMBERS = st.sampled_from(["type", "data", "subject", "id", "more"])


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(_MEMBERS, _JSON), max_size=5),
    st.lists(
        st.tuples(st.integers(0, 60), st.sampled_from([b"", b",", b'"', b"\\u0041", b"\\ud83d", b"\xff", b"1e999", b"{"])),
        max_size=2,
    ),
)
async def test_both_routes_answer_alike_whatever_is_sent(
    routes: Routes, members: list[tuple[str, Any]], damage: list[tuple[int, bytes]]
) -> None:
    body = ("{" + ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in members) + "}").encode()
    for place, bytes_ in damage:
        body = body[:place] + bytes_ + body[place + 1 :]
    await routes.ask(body)


@pytest.mark.parametrize(
    ("headers", "status", "passes"),
    [
        (KEY, 202, False),
        ({"Authorization": "Bearer test"}, 202, False), ({"Authorization": "bearer  test "}, 202, False), ({"Authorization": "ServiceKey test"}, 202, False),
        ({"apikey": "test"}, 202, False), ({"X-Client-Key": "test"}, 202, False), ({"X-Service-Key": "test"}, 202, False),
        ([("X-API-Key", "test"), ("X-API-Key", "other")], 202, False), ([("X-API-Key", "other"), ("X-API-Key", "test")], 401, False),
        ({}, 401, False), ({"X-API-Key": "other"}, 401, False), ({"X-API-Key": ""}, 401, False), ({"Authorization": "Basic test"}, 401, False),
        ({"Authorization": "Bearer other", "X-API-Key": "test"}, 401, False), ({"X-API-Key": "t\xe9st".encode("latin-1")}, 401, False),
        (KEY | {"X-Tidings-Group": "acme"}, 202, False), (KEY | {"X-Tidings-Group": "default"}, 202, False),
        (KEY | {"X-Tidings-Group": "nobody"}, 404, False), (KEY | {"X-Tidings-Group": ""}, 404, False),
        (KEY | {"Content-Type": "text/plain"}, 202, False), (KEY | {"Content-Type": "application/x-www-form-urlencoded"}, 202, False),
        (KEY | {"Content-Length": "many"}, None, True), (KEY | {"Content-Length": "9" * 5000}, None, True), (KEY | {"Content-Length": "0" * 13 + "29"}, 202, False), (KEY | {"Content-Length": "\xb2".encode("latin-1")}, None, True),
    ],
    ids=lambda value: repr(value)[:50],
)  # fmt: skip
async def test_both_routes_read_the_same_headers(routes: Routes, headers: Any, status: int | None, passes: bool) -> None:
    answer, passed = await routes.ask(headers=headers)
    assert status is None or answer.status_code == status, answer.text
    assert passed == passes


async def test_a_body_that_comes_in_pieces_is_put_together_and_one_of_no_length_goes_to_the_framework(routes: Routes) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield GOOD[:9]
        yield GOOD[9:]

    response = await routes.first.post(PATH, content=pieces(), headers=KEY | {"Content-Length": str(len(GOOD))})
    assert (response.status_code, routes.passed) == (202, 0)
    response = await routes.first.post(PATH, content=pieces(), headers=KEY)
    assert (response.status_code, routes.passed) == (202, 1)


@pytest.mark.parametrize(("method", "path"), [
    ("GET", PATH), ("PUT", PATH), ("DELETE", PATH), ("POST", PATH + "/"), ("POST", PATH + "/nowhere"), ("POST", "/api/v1/event"), ("GET", "/healthz"),
])  # fmt: skip
async def test_everything_else_is_the_frameworks(routes: Routes, method: str, path: str) -> None:
    _, passed = await routes.ask(method=method, path=path)
    assert passed


async def test_what_is_known_by_its_id_is_answered_alike(routes: Routes) -> None:
    first = await routes.framework.post(PATH, content=with_field(id="known"), headers=KEY)
    again, _ = await routes.ask(with_field(id="known"))
    assert again.json() == first.json() | {"duplicate": True}
    other, _ = await routes.ask(with_field(id="known", data=2))
    assert (other.status_code, other.json()["code"], other.json()["event_id"]) == (409, "CONFLICT", first.json()["id"])


async def test_both_routes_refuse_alike_what_a_key_does_not_allow(routes: Routes) -> None:
    services = routes.engine.services

    async def made(*scopes: str, group_id: str | None = None) -> dict[str, str]:
        key = await api_keys.create(services, token_bytes(24), name="shop", scopes=scopes, group_id=group_id)
        return {"X-API-Key": key.text}

    answer, passed = await routes.ask(headers=await made("events:read"))
    assert (answer.status_code, answer.json()["scope"], passed) == (403, "events:publish", False)
    bound = await made("events:publish", group_id="acme")
    for group, status in (("acme", 202), ("default", 403), ("nowhere", 403)):
        answer, passed = await routes.ask(headers=bound | {"X-Tidings-Group": group})
        assert (answer.status_code, passed) == (status, False)
    answer, _ = await routes.ask(headers=bound)
    assert answer.status_code == 202
    assert await routes.engine.value("select count(*) from tidings.outbox where group_id <> 'acme'") == 0
    answer, passed = await routes.ask(headers=bound, path=f"{PATH}?key=x")
    assert (answer.status_code, answer.json()["field"], passed) == (422, "key", True)


async def test_groups_that_were_there_are_remembered_up_to_a_bound(routes: Routes) -> None:
    services = routes.engine.services
    headers = {"x-tidings-group": "acme"}
    services.known_groups.update(dict.fromkeys(map(str, range(MAX_KNOWN_GROUPS - 1)), services.clock.now()))
    assert (await services_for(services, headers)).group_id == "acme"
    assert len(services.known_groups) == MAX_KNOWN_GROUPS
    del services.known_groups["acme"]
    services.known_groups["one more"] = services.clock.now()
    await services_for(services, headers)
    assert set(services.known_groups) == {"acme"}


async def test_a_caller_that_goes_away_before_the_end_of_its_body_publishes_nothing(routes: Routes) -> None:
    messages = iter([{"type": "http.request", "body": GOOD[:9], "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        raise AssertionError(message)

    scope = {"type": "http", "method": "POST", "path": PATH, "headers": [(b"x-api-key", b"test"), (b"content-length", b"29")]}
    await PublishingFirst(None, routes.engine.services)(scope, receive, send)
    assert await routes.engine.value("select count(*) from tidings.outbox") == 0


async def test_without_a_database_both_say_so_and_when_to_come_again(routes: Routes) -> None:
    routes.engine.services.publisher._database = Database("postgresql://postgres:@127.0.0.1:1/postgres", Server())
    answer, passed = await routes.ask()
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"], passed) == (
        503,
        "UNAVAILABLE",
        "2",
        False,
    )


async def test_what_postgresql_refuses_is_logged_and_told_without_its_cause(
    routes: Routes, caplog: pytest.LogCaptureFixture
) -> None:
    await routes.engine.user.execute("alter table tidings.outbox add constraint no_x check (subject <> 'x')")
    answer, passed = await routes.ask(with_field(subject="x"))
    assert (answer.status_code, answer.json()["code"], passed) == (500, "INTERNAL_ERROR", False)
    assert "no_x" in caplog.text

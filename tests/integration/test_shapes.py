"""Webhooks as they are read, sent back, told apart by their shape, moved to another profile and shown before they are saved."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.test_api import KEY, Api
from tests.support.engine import engine_of
from tests.support.limits import PATIENCE
from tests.support.receiver import Receiver
from tests.support.serving import ApiServer
from tests.unit.test_profiles import hex_of
from tidings.client import verify
from tidings.config import Config
from tidings.profiles import PROFILES

WHSEC = "whsec_" + "QUJD" * 10


@pytest.fixture
async def api(config: Config, api_server: ApiServer) -> AsyncIterator[Api]:
    async with (
        engine_of(config, running=True) as engine,
        api_server.serving(engine.services) as url,
        httpx.AsyncClient(base_url=url, headers=KEY, timeout=PATIENCE) as client,
    ):
        await engine.user.execute("create table posts (id int primary key, title text)")
        yield Api(client, engine)


# What is read may be sent back -----------------------------------------------------------------------------------------

_EVENTS: dict[str, list[Any]] = {
    "standard": ["*", "order.*", "order.paid", "table.posts.inserted", {"table": "posts"}],
    "vivreal": ["*", "collection.object.*", "site.deployed", {"table": "posts", "operations": ["DELETE"]}],
    "vivreal-content": ["*", "content.*", "integration.created", {"table": "*"}],
    "fluxbase": ["*", "INSERT", {"table": "posts", "schema": "public"}],
    "vski": ["*", "create", "cron", {"table": "posts"}],
}
_ALIKE = {"cloudevents": "standard", "cloudevents-structured": "standard", "fluxbase-t": "fluxbase"}
_RETRY = st.one_of(
    st.builds(dict, delays=st.lists(st.floats(0, 600), max_size=4)),
    st.builds(dict, base=st.integers(1, 60), factor=st.floats(1, 3), tries=st.integers(1, 8)),
)


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    profile = draw(st.sampled_from(list(PROFILES)))
    events = _EVENTS[_ALIKE.get(profile, profile)]
    body: dict[str, Any] = {
        "url": "http://127.0.0.1:9/hook",
        "profile": profile,
        "events": draw(st.lists(st.sampled_from(events), min_size=1, max_size=3)),
    }
    more = {
        "name": st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=20),
        "description": st.one_of(st.none(), st.just("for people")),
        "enabled": st.booleans(),
        "headers": st.dictionaries(st.sampled_from(["X-A", "X-B"]), st.sampled_from(["1", "two"])),
        "method": st.sampled_from(["POST", "put", "GET"]),
        "timeout_seconds": st.floats(0.1, 300),
        "retry": _RETRY,
        "max_retries": st.integers(1, 100),
        "retry_backoff_seconds": st.integers(0, 100),
        "concurrency": st.integers(1, 1000),
        "rate_per_second": st.one_of(st.none(), st.floats(0.001, 1000)),
        "ordered": st.booleans(),
        "signature": st.one_of(st.none(), st.just({"header": "X-Sig"}), st.just({"header": "X-Sig", "format": "base64"})),
        "body_template": st.one_of(st.none(), st.just('{"a": "{{record.id}}"}')),
        "jwt_enabled": st.booleans(),
        "scope": st.sampled_from(["global", "user"]),
    }
    for name in draw(st.sets(st.sampled_from(sorted(more)))):
        body[name] = draw(more[name])
    return body


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=bodies())
async def test_what_is_read_of_a_webhook_may_be_sent_back_and_changes_nothing(api: Api, body: dict[str, Any]) -> None:
    made = await api("POST", "/api/v1/webhooks", 201, body)
    path = f"/api/v1/webhooks/{made['id']}"
    read = await api("GET", path, 200)
    await api.engine.user.execute("update tidings.lanes set failure_count = 7 where webhook_id = $1", made["id"])
    for method in ("PATCH", "PUT"):
        again = await api(method, path, 200, read)
        assert _lasting(again) == _lasting(read)
        assert (await api(method, path, 200, again))["version"] == 1
    assert (await api("PATCH", path, 200, made))["version"] == 1  # the answer to its creation too, with its secret
    assert (await api("GET", f"{path}/secret", 200))["secret"] == made["secret"]
    assert (await api("GET", f"{path}/secret", 200))["previous_secret"] is None
    assert len(await api("GET", f"{path}/versions", 200)) == 1
    assert await api.engine.value("select failure_count from tidings.lanes where webhook_id = $1", made["id"]) == 7
    await api("DELETE", path, 200)


def _lasting(view: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in view.items() if name not in {"message", "health", "tables", "warnings"}}


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        ("id", "7c9e6679-7425-40de-944b-e07fc1f90ae7", "create one"),
        ("created_at", "2020-01-01T00:00:00Z", "never changes"),
        ("updated_at", "2020-01-01T00:00:00Z", "Read the webhook again"),
        ("version", 7, "Read the webhook again"),
        ("disabled_reason", "mine", "when the webhook is enabled"),
        ("managed_by", "collection:1", "where it is managed"),
        ("fault", "none", "written anew"),
    ],
)
async def test_what_nobody_sets_is_refused_when_it_differs(
    api: Api, receiver: Receiver, field: str, value: Any, remedy: str
) -> None:
    made = await api.create(receiver.url("/hook"), "*")
    path = f"/api/v1/webhooks/{made['id']}"
    refused = await api("PATCH", path, 422, {"name": "other", field: value})
    assert refused["field"] == field
    assert remedy in refused["error"]
    assert (await api("GET", path, 200))["name"] == made["name"]
    refused = await api("POST", "/api/v1/webhooks", 422, {"url": receiver.url(), "events": ["*"], field: value})
    assert (refused["field"], "leave it out" in refused["error"]) == (field, True)


async def test_one_field_changed_in_what_was_read_is_the_one_that_changes(api: Api, receiver: Receiver) -> None:
    made = await api.create(receiver.url("/hook"), {"table": "posts"})
    path = f"/api/v1/webhooks/{made['id']}"
    read = await api("GET", path, 200)
    changed = await api("PATCH", path, 200, read | {"is_active": False})
    assert (changed["enabled"], changed["version"]) == (False, 2)
    changed = await api("PATCH", path, 200, changed | {"max_retries": 2})
    assert (changed["retry"]["delays"], changed["version"]) == ([5, 300], 3)
    stale = await api("PATCH", path, 422, read | {"name": "late"})  # somebody else changed it since
    assert stale["field"] in {"version", "updated_at"}


async def test_what_vski_reads_may_be_sent_back(api: Api, receiver: Receiver) -> None:
    made = await api("POST", "/api/webhooks", 201, {"url": receiver.url("/h"), "retryLimit": 3})
    path = f"/api/webhooks/{made['id']}"
    assert await api("PATCH", path, 200, await api("GET", path, 200)) == made
    assert (await api("PATCH", path, 422, {"id": "7c9e6679-7425-40de-944b-e07fc1f90ae7"}))["field"] == "id"
    assert await api.engine.value("select version from tidings.webhooks") == 1


async def test_a_url_that_may_no_longer_be_called_keeps_no_other_field_from_being_changed(api: Api, receiver: Receiver) -> None:
    made = await api.create(receiver.url("/hook"), "*")
    path = f"/api/v1/webhooks/{made['id']}"
    gone = "http://10.0.0.1/hook"  # which may not be called
    await api.engine.user.execute("update tidings.webhooks set url = $1", gone)
    read = await api("GET", path, 200)
    assert (await api("PATCH", path, 200, read | {"name": "other"}))["name"] == "other"
    assert (await api("PATCH", path, 422, {"url": "http://10.0.0.2/hook"}))["field"] == "url"


# Whose shape it is -----------------------------------------------------------------------------------------------------

PUBLISHED_SDK = {
    "name": "User Events", "secret": "any text", "is_active": True,
    "events": [{"table": "posts", "operations": ["INSERT", "UPDATE"]}],
}  # fmt: skip


async def test_fluxbases_published_sdk_works_against_a_fresh_server(api: Api, receiver: Receiver) -> None:
    made = await api("POST", "/api/v1/webhooks", 201, PUBLISHED_SDK | {"url": receiver.url("/hook")})
    assert (made["profile"], made["is_active"], made["secret"]) == ("fluxbase", True, "any text")
    assert "Fluxbase" in made["profile_reason"]
    assert "any text" in made["profile_reason"]
    path = f"/api/v1/webhooks/{made['id']}"
    assert "profile_reason" not in await api("GET", path, 200)
    await api.engine.user.execute("insert into posts values (1, 'a')")
    (request,) = await receiver.wait_for(1)
    assert request.headers["x-fluxbase-signature"] == hex_of("any text", request.body)
    assert json.loads(request.body)["event"] == "INSERT"
    assert (await api("PATCH", path, 200, {"is_active": False}))["enabled"] is False


@pytest.mark.parametrize(
    ("body", "profile", "why"),
    [
        ({"events": ["collection.object.created"]}, "vivreal", "collection.object.created"),
        ({"events": ["collection.object.*"], "secret": "from Vivreal", "active": True}, "vivreal", "Vivreal"),
        ({"events": ["site.deployed"], "secret": "from Vivreal"}, "vivreal", "any text"),
        ({"events": ["content.created"], "secret": "from Vivreal"}, "vivreal-content", "second generation"),
        ({"events": ["integration.deleted"]}, "vivreal-content", "integration.deleted"),
        ({"events": "INSERT,UPDATE", "secret": "any text"}, "fluxbase", "INSERT"),
        ({"events": ["*"], "scope": "user"}, "fluxbase", "scope"),
        ({"events": ["create", "delete"]}, "vski", "create"),
        ({"events": [{"table": "posts"}]}, "standard", "Say profile"),
        ({"events": [{"table": "posts"}], "secret": WHSEC, "is_active": True}, "standard", "Say profile"),
        ({"events": ["content.created"]}, "standard", "Say profile"),
        ({"events": ["order.paid"], "profile": "cloudevents"}, "cloudevents", "asks for it"),
    ],
)
async def test_a_webhook_has_the_profile_of_its_shape_and_the_answer_says_why(
    api: Api, receiver: Receiver, body: dict[str, Any], profile: str, why: str
) -> None:
    made = await api("POST", "/api/v1/webhooks", 201, {"url": receiver.url("/hook")} | body)
    assert made["profile"] == profile
    assert why in made["profile_reason"]


async def test_a_shape_that_several_have_is_refused_with_whose_it_could_be(api: Api, receiver: Receiver) -> None:
    body = {"url": receiver.url("/hook"), "events": ["collection.created"], "secret": "from Vivreal"}
    refused = await api("POST", "/api/v1/webhooks", 422, body)
    assert refused["field"] == "secret"
    assert "vivreal or vivreal-content" in refused["error"]
    assert "Say profile" in refused["error"]


# Another profile -------------------------------------------------------------------------------------------------------


async def test_a_profile_is_changed_with_its_defaults_and_the_events_go_on(api: Api, receiver: Receiver) -> None:
    made = await api.create(receiver.url("/hook"), {"table": "posts"}, secret=WHSEC)
    path = f"/api/v1/webhooks/{made['id']}"
    changed = await api("PATCH", path, 200, {"profile": "vivreal"})
    assert (changed["profile"], changed["version"], changed["events"]) == ("vivreal", 2, made["events"])
    assert changed["retry"]["delays"] == [60, 300, 1800, 7200, 43_200]
    await api.engine.user.execute("insert into posts values (1, 'a')")
    (request,) = await receiver.wait_for(1)
    assert request.headers["x-vivreal-event"] == "collection.object.created"
    assert request.headers["x-vivreal-signature"] == hex_of(WHSEC, request.body)
    (newest, _) = await api("GET", f"{path}/versions", 200)
    assert newest["changes"]["profile"] == ["standard", "vivreal"]
    kept = await api("PATCH", path, 200, {"profile": "fluxbase", "max_retries": 7})
    assert (kept["max_retries"], (await api("PATCH", path, 200, {"profile": "vski"}))["retry"]) == (7, kept["retry"])


async def test_what_does_not_fit_another_profile_is_refused_with_what_to_send_beside_it(api: Api, receiver: Receiver) -> None:
    made = await api.create(receiver.url("/hook"), "content.created", "integration.updated")
    path = f"/api/v1/webhooks/{made['id']}"
    refused = await api("PATCH", path, 422, {"profile": "vivreal"})
    assert (refused["field"], "collection.object.created" in refused["error"]) == ("events[0]", True)
    events = ["collection.object.created", "integration.updated"]
    assert (await api("PATCH", path, 200, {"profile": "vivreal", "events": events, "secret": "any text"}))[
        "profile"
    ] == "vivreal"
    refused = await api("PATCH", path, 422, {"profile": "vivreal-content"})
    assert "events" in refused["error"]
    refused = await api("PATCH", path, 422, {"profile": "standard", "events": ["*"]})
    assert (refused["field"], "whsec_" in refused["error"]) == ("secret", True)
    refused = await api("PATCH", path, 422, {"profile": "vivral"})
    assert 'Did you mean "vivreal"' in refused["error"]
    back = await api("PATCH", path, 200, {"profile": "standard", "events": ["*"], "secret": WHSEC})
    assert back["profile"] == "standard"
    secrets = await api("GET", f"{path}/secret", 200)  # a text cannot sign beside a secret of Standard Webhooks
    assert (secrets["secret"], secrets["previous_secret"]) == (WHSEC, None)
    assert (await api("POST", f"{path}/test", 200))["success"]
    assert verify(receiver.received[-1].body, receiver.received[-1].headers, WHSEC)


async def test_names_that_mean_something_else_in_another_profile_are_not_taken_along(api: Api, receiver: Receiver) -> None:
    made = await api.create(receiver.url("/hook"), "integration.updated", profile="vivreal", secret="any text")
    path = f"/api/v1/webhooks/{made['id']}"
    refused = await api("PATCH", path, 422, {"profile": "vivreal-content"})
    assert refused["field"] == "events[0]"
    made = await api.create(receiver.url("/hook"), "INSERT", profile="fluxbase", secret=WHSEC)
    refused = await api("PATCH", f"/api/v1/webhooks/{made['id']}", 422, {"profile": "standard"})
    assert (refused["field"], '"content.created"' in refused["error"]) == ("events[0]", True)


async def test_a_secret_given_in_a_change_verifies_beside_the_one_before(api: Api, receiver: Receiver) -> None:
    made = await api.create(receiver.url("/hook"), {"table": "posts"})
    path = f"/api/v1/webhooks/{made['id']}"
    await api("PATCH", path, 200, {"secret": WHSEC})
    secrets = await api("GET", f"{path}/secret", 200)
    assert (secrets["secret"], secrets["previous_secret"]) == (WHSEC, made["secret"])
    await api.engine.user.execute("insert into posts values (1, 'a')")
    (request,) = await receiver.wait_for(1)
    for secret in (WHSEC, made["secret"]):
        assert verify(request.body, request.headers, secret)["data"]["record"]["id"] == 1


# What was meant --------------------------------------------------------------------------------------------------------


async def test_what_does_not_exist_is_refused_with_what_is_near(api: Api, receiver: Receiver) -> None:
    fields = [{"name": "title", "type": "text"}]
    await api("POST", "/api/collections", 201, {"name": "blog_posts", "fields": fields})
    url = receiver.url("/hook")

    async def refused(**fields: Any) -> str:
        return str((await api("POST", "/api/v1/webhooks", 422, {"url": url, "events": ["*"]} | fields))["error"])

    assert '{"collection": "blog_posts"}' in await refused(events=[{"table": "blog_posts"}])
    assert '{"collection": "blog_posts"}' in await refused(events=[{"table": "blogposts"}])
    assert 'Did you mean "posts"' in await refused(events=[{"table": "post"}])
    assert 'Did you mean "blog_posts"' in await refused(events=[{"collection": "blog_post"}])
    assert '{"table": "posts"}' in await refused(events=[{"collection": "posts"}])
    assert 'Did you mean "INSERT"' in await refused(events=[{"table": "posts", "operations": ["INSRT"]}])
    assert 'Did you mean "inserted"' in await refused(events=["table.posts.insert"])
    assert 'Did you mean "collection.object.created"' in await refused(events=["collection.object.create"], profile="vivreal")
    assert '"collection.object.created"' in await refused(events=["content.created"], profile="vivreal")
    assert 'Did you mean "fluxbase"' in await refused(profile="fluxbas")
    assert "vivreal" in await refused(secret="any text", profile="standard")
    assert "Did you mean" in (await api("PUT", "/api/v1/tables/post", 422, {"exclude": []}))["error"]


# Previews --------------------------------------------------------------------------------------------------------------


async def test_a_preview_is_the_request_that_is_sent(api: Api, receiver: Receiver) -> None:
    made = await api.create(receiver.url("/hook"), {"table": "posts"}, headers={"X-Own": "1"})
    await api.engine.user.execute("insert into posts values (1, 'Grüße')")
    (request,) = await receiver.wait_for(1)
    path = f"/api/v1/webhooks/{made['id']}"
    shown = await api("POST", f"{path}/preview", 200)
    assert (shown["method"], shown["url"], shown["profile"], shown["notes"]) == ("POST", made["url"], "standard", [])
    assert shown["body"].encode() == request.body
    assert shown["event"]["is_sample"] is False
    headers = {name.lower(): value for name, value in shown["headers"]}
    assert headers.keys() == request.headers.keys()
    assert verify(shown["body"].encode(), headers, made["secret"])["data"]["record"]["title"] == "Grüße"
    moved = await api(
        "POST", f"{path}/preview", 200, {"profile": "fluxbase", "secret": "any text", "event_id": shown["event"]["id"]}
    )
    said = json.loads(moved["body"])
    assert (said["event"], said["table"], said["webhook_id"], moved["event"]["name"]) == (
        "INSERT",
        "posts",
        made["id"],
        "INSERT",
    )
    assert dict(map(tuple, moved["headers"]))["X-Fluxbase-Signature-Next"] == hex_of("any text", moved["body"].encode())
    assert _lasting(await api("GET", path, 200)) == {
        n: v for n, v in _lasting(made).items() if n not in {"secret", "profile_reason"}
    }
    assert len(receiver.received) == 1


async def test_a_webhook_is_shown_before_it_is_saved(api: Api, receiver: Receiver) -> None:
    path = "/api/v1/webhooks/preview"
    shown = await api("POST", path, 200, PUBLISHED_SDK | {"url": receiver.url("/hook")})
    assert shown["profile"] == "fluxbase"
    assert "Fluxbase" in shown["profile_reason"]
    assert (json.loads(shown["body"])["table"], shown["event"]["is_sample"]) == ("posts", True)
    assert dict(map(tuple, shown["headers"]))["X-Fluxbase-Signature"] == hex_of("any text", shown["body"].encode())
    shown = await api(
        "POST", path, 200, {"url": receiver.url("/hook"), "profile": "vivreal", "event": "site.deployed", "data": {"n": 1.50}}
    )
    assert (json.loads(shown["body"])["data"], shown["event"]["name"]) == ({"n": 1.5}, "site.deployed")
    assert "another" in shown["notes"][0]
    for body, field in (
        ({}, "url"),
        ({"url": receiver.url(), "profile": "vivreal", "event": "order.paid"}, "event"),
        ({"url": receiver.url(), "event_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7", "event": "x"}, "event_id"),
        ({"url": receiver.url(), "events": [{"table": "nowhere"}]}, "events[0].table"),
        ({"url": receiver.url(), "eventz": 1}, "eventz"),
    ):
        assert (await api("POST", path, 422, body))["field"] == field
    assert await api("GET", "/api/v1/webhooks", 200) == []
    await api("POST", path, 404, {"url": receiver.url(), "event_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7"})


@pytest.mark.parametrize(
    ("events", "profile", "type_"),
    [
        (["integration.*"], "vivreal", "integration.connected"),
        (["content.archived"], "standard", "content.archived"),
        ([{"table": "posts", "operations": ["DELETE"]}], "standard", "table.posts.deleted"),
        ([{"table": "posts"}], "vivreal", "table.posts.inserted"),
        (["cron"], "vski", "cron.fired"),
        ([{"collection": "news", "actions": ["publish"]}], "standard", "content.published"),
        (["nothing.known"], "standard", "nothing.known"),
        (["nothing.*"], "standard", "webhook.test"),
    ],
)
async def test_without_a_recent_event_a_preview_shows_what_the_webhook_wants(
    api: Api, receiver: Receiver, events: list[Any], profile: str, type_: str
) -> None:
    await api("POST", "/api/collections", 201, {"name": "news", "fields": [{"name": "title", "type": "text"}]})
    body = {"url": receiver.url("/hook"), "profile": profile, "events": events}
    shown = await api("POST", "/api/v1/webhooks/preview", 200, body)
    assert (shown["event"]["type"], shown["event"]["is_sample"]) == (type_, True)


@pytest.mark.parametrize("profile", list(PROFILES))
async def test_every_event_of_a_profile_has_a_sample(api: Api, receiver: Receiver, profile: str) -> None:
    vocabulary = PROFILES[profile].vocabulary
    names = vocabulary.names or ("content.published", "integration.object.created", "cron.fired", "table.posts.deleted")
    for name in names:
        body = {"url": receiver.url("/hook"), "profile": profile, "event": name}
        shown = await api("POST", "/api/v1/webhooks/preview", 200, body)
        assert (shown["event"]["name"], shown["event"]["is_sample"]) == (name, True)
        assert name.encode() in shown["body"].encode() + json.dumps(shown["headers"]).encode()

"""Whatever can be changed over the API leaves one entry on record: each operation of its document is done, or excepted with the reason."""

from secrets import token_hex
from typing import Any
from uuid import uuid4

from tests.integration.test_api import Api, api  # noqa: F401 - a fixture
from tests.support.engine import eventually
from tests.support.receiver import Receiver
from tidings.operations import audit

NOBODY = "http://127.0.0.1:9/hook"
SINCE = {"since": "2020-01-01T00:00:00Z"}

_LOOKS = "It changes nothing: it shows what would be."
_EVENT = "What it says is an event, which history has."
_RECORD = "Each record that is changed is an event of its own, which history has with the record as it was and is."
_SAYS_WHO = "It changes nothing: it tells whether a password is somebody's."
EXCEPT = {
    "POST /api/v1/webhooks/preview": _LOOKS,
    "POST /api/v1/redaction-rules/preview": _LOOKS,
    "POST /api/v1/erasures/find": _LOOKS,
    "POST /api/v1/webhooks/{webhook_id}/preview": _LOOKS,
    "POST /api/v1/webhooks/dry-run": _LOOKS,
    "POST /api/v1/webhooks/{webhook_id}/dry-run": _LOOKS,
    "POST /api/v1/egress/judge": _LOOKS,
    "POST /api/v1/events": _EVENT,
    "POST /api/v1/events/batch": _EVENT,
    "POST /api/v1/integrations/{name}/sync": _EVENT,
    "POST /in/{name}": _EVENT,
    "POST /api/v1/listeners/{listener_id}/take": "What a client is given is under way, as what a worker sends.",
    "POST /api/v1/listeners/{listener_id}/results": "What came of it is an attempt, which history has.",
} | {
    f"{method} {root}/{{collection}}/{path}": _SAYS_WHO if path == "auth" else _RECORD
    for root in ("/api/collections", "/api/v1/collections")
    for method, path in (
        ("POST", "records"), ("PATCH", "records"), ("DELETE", "records"), ("PATCH", "records/{record_id}"),
        ("DELETE", "records/{record_id}"), ("POST", "auth"),
    )
}  # fmt: skip


# What the action and its subject say is all that there is to say.
SAYS_ALL = {
    "webhook.diagnosed", "link.ended", "job.fired", "bin.emptied", "listener.skipped", "group.created", "set_aside.routed",
    "set_aside.discarded", "set_aside.setting_retried", "session.ended",
}  # fmt: skip


class Doing:
    """Does operations one after the other, and looks what each leaves on record."""

    def __init__(self, api: Api) -> None:  # noqa: F811
        self.api = api
        self.done: set[str] = set()
        self.planted: list[str] = []

    def plant(self) -> str:
        """Return a text that is looked for afterwards: it must stand nowhere on record."""
        self.planted.append(f"planted{len(self.planted)}{token_hex(8)}")
        return self.planted[-1]

    async def __call__(self, operation: str, action: str, body: Any = None, *, query: str = "", **named: Any) -> Any:
        method, path = operation.split()
        last = await self.api.engine.value("select coalesce(max(number), 0) from tidings.audit")
        response = await self.api.client.request(method, path.format(**named) + query, json=body)
        assert response.is_success, (operation, response.text)
        rows = await self.api.engine.sql("select action, who, address, changes from tidings.audit where number > $1", last)
        assert [tuple(row)[:3] for row in rows] == [(action, "key", "127.0.0.1")], operation
        assert (rows[0]["changes"] is None) == (action in SAYS_ALL), (operation, rows[0]["changes"])
        self.done.add(operation)
        return response.json() if response.content else None


async def _webhooks(doing: Doing, receiver: Receiver) -> None:
    one = "/api/v1/webhooks/{webhook_id}"
    plant = doing.plant
    address = f"{receiver.url()}?token={plant()}"
    body = {"url": address, "events": "*", "headers": {"Authorization": plant()}, "profile": "vivreal", "secret": plant()}
    made = await doing("POST /api/v1/webhooks", "webhook.created", body)
    id_ = made["id"]
    await doing(f"PATCH {one}", "webhook.changed", {"name": "a", "headers": {"X-Key": plant()}}, webhook_id=id_)
    await doing(f"PUT {one}", "webhook.changed", {"name": "b", "url": f"{receiver.url()}?key={plant()}"}, webhook_id=id_)
    await doing(f"POST {one}/secret/rotate", "secret.rotated", {"secret": plant()}, webhook_id=id_)
    tested = {"data": {"said": plant()}}
    await doing(f"POST {one}/test", "webhook.tested", tested, webhook_id=id_)
    await doing(f"POST {one}/diagnose", "webhook.diagnosed", webhook_id=id_)
    recovery = await doing(f"POST {one}/recover", "recovery.began", SINCE | {"rate_per_second": 0.1}, webhook_id=id_)
    await doing.api.client.post("/api/v1/events", json={"type": "order.paid", "data": {}})
    (delivery,) = await eventually(lambda: doing.api("GET", "/api/v1/deliveries?status=succeeded", 200))
    await doing("POST /api/v1/deliveries/{delivery_id}/retry", "delivery.retried", delivery_id=delivery["id"])
    await doing("POST /api/v1/deliveries/retry", "recovery.began", {"status": "failed", "text": plant()})
    await doing.api.engine.sql(
        "update tidings.recoveries set state = 'waiting', finished_at = null, due_at = now() + interval '1 day'"
    )
    await doing("POST /api/v1/recoveries/{recovery_id}/cancel", "recovery.cancelled", recovery_id=recovery["id"])
    await doing(f"DELETE {one}", "webhook.deleted", webhook_id=id_)
    made = await doing("POST /api/webhooks", "webhook.created", {"url": receiver.url()})
    await doing("PATCH /api/webhooks/{webhook_id}", "webhook.changed", {"active": False}, webhook_id=made["id"])
    await doing("DELETE /api/webhooks/{webhook_id}", "webhook.deleted", webhook_id=made["id"])


async def _privacy(doing: Doing) -> None:
    rule = await doing("POST /api/v1/redaction-rules", "redaction.created", {"events": ["secret.*"], "fields": ["a"]})
    await doing("PATCH /api/v1/redaction-rules/{rule_id}", "redaction.changed", {"name": "b"}, rule_id=rule["id"])
    await doing("DELETE /api/v1/redaction-rules/{rule_id}", "redaction.deleted", rule_id=rule["id"])
    erasure = await doing("POST /api/v1/erasures", "erasure.began", {"value": "nobody at all", "dry_run": True})
    await doing.api.engine.sql(
        "update tidings.erasures set state = 'waiting', finished_at = null, subject = '\\x00', due_at = now() + interval '1 day'"
    )
    await doing("POST /api/v1/erasures/{erasure_id}/cancel", "erasure.cancelled", erasure_id=erasure["id"])


async def _listeners(doing: Doing) -> None:
    one = "/api/v1/listeners/{listener_id}"
    made = await doing("POST /api/v1/listeners", "webhook.created", {"name": "desk"})
    await doing("POST /api/v1/listeners", "webhook.changed", {"name": "desk", "events": ["order.*"]})
    await doing(f"POST {one}/skip", "listener.skipped", listener_id=made["id"])
    await doing(f"DELETE {one}", "webhook.deleted", listener_id=made["id"])


async def _sources(doing: Doing) -> None:
    plant = doing.plant
    for root in ("/api/collections", "/api/v1/collections"):
        await doing(f"POST {root}", "collection.created", {"name": "posts", "schema": [{"name": "a", "type": "text"}]})
        trigger = {
            "action": "create",
            "url": f"{NOBODY}?k={plant()}",
            "headers": {"X-Key": plant()},
            "body": f'{{"a": "{plant()}"}}',
        }
        triggers = {"options": {"triggers": [trigger], "secret": plant()}}
        await doing(f"PATCH {root}/{{collection}}", "collection.changed", triggers, collection="posts")
        await doing(f"DELETE {root}/{{collection}}", "collection.deleted", query="?confirm=posts", collection="posts")
    for root in ("/api/cron", "/api/v1/cron"):
        said = {"url": f"{NOBODY}?k={plant()}", "headers": {"X-Key": plant()}, "body": {"a": plant()}}
        job = await doing(f"POST {root}", "job.created", {"name": root[5:], "schedule": "0 3 * * *"} | said)
        changed = {"schedule": "0 4 * * *", "headers": {"X-Key": plant()}, "body": {"a": plant()}}
        await doing(f"PATCH {root}/{{job_id}}", "job.changed", changed, job_id=job["id"])
        await doing(f"POST {root}/{{job_id}}/run", "job.fired", job_id=job["id"])
        await doing(f"DELETE {root}/{{job_id}}", "job.deleted", job_id=job["id"])
    await doing("POST /api/v1/integrations", "integration.created", {"name": "shop", "platform": "github", "secret": plant()})
    await doing("PATCH /api/v1/integrations/{name}", "integration.changed", {"enabled": False, "secret": plant()}, name="shop")
    await doing("DELETE /api/v1/integrations/{name}", "integration.deleted", name="shop")
    filled = await doing("POST /api/v1/bins", "bin.created", {"body": plant(), "profile": "vivreal", "secret": plant()})
    await doing(
        "PATCH /api/v1/bins/{bin_id}", "bin.changed", {"status": 500, "body": plant(), "secret": plant()}, bin_id=filled["id"]
    )
    await doing("DELETE /api/v1/bins/{bin_id}/requests", "bin.emptied", bin_id=filled["id"])
    await doing("DELETE /api/v1/bins/{bin_id}", "bin.deleted", bin_id=filled["id"])
    await doing(
        "PUT /api/v1/event-types/{name}",
        "event_type.changed",
        {"description": "d", "example": {"a": plant()}},
        name="order.paid",
    )
    await doing("DELETE /api/v1/event-types/{name}", "event_type.deleted", name="order.paid")


async def _tables(doing: Doing, receiver: Receiver) -> None:
    await doing.api.engine.user.execute("create table orders (id int primary key, total int)")
    hook = await doing.api.create(receiver.url(), {"table": "orders"})
    await doing("PUT /api/v1/tables/{table}", "table.changed", {"exclude": ["total"]}, table="orders")
    await doing("DELETE /api/v1/tables/{table}", "table.reset", table="orders")
    await doing.api.engine.sql("insert into orders select n from generate_series(1, 30000) n")
    filling = await doing("POST /api/v1/tables/{table}/backfill", "backfill.began", {"webhook_id": hook["id"]}, table="orders")
    await doing.api.engine.sql("update tidings.backfills set state = 'running', finished_at = null")
    await doing("POST /api/v1/backfills/{backfill_id}/cancel", "backfill.cancelled", backfill_id=filling["id"])


async def _administration(doing: Doing) -> None:
    api = doing.api  # noqa: F811
    await doing("POST /api/v1/groups", "group.created", {"id": "acme"})
    await doing("PATCH /api/v1/groups/{group_id}/limits", "limits.changed", {"webhooks": 50}, group_id="acme")
    await doing("DELETE /api/v1/groups/{group_id}/limits", "limits.reset", group_id="acme")
    await doing("PATCH /api/v1/limits", "limits.changed", {"webhooks": 1000})
    link = await doing("POST /api/v1/groups/{group_id}/portal-link", "link.made", {}, group_id="acme")
    ended = await api.client.delete(f"/api/v1/portal-links/{uuid4()}")
    assert ended.status_code == 404
    api.client.headers["X-Tidings-Group"] = "acme"
    await doing("DELETE /api/v1/portal-links/{link_id}", "link.ended", link_id=link["id"])
    await api("POST", "/api/v1/webhooks", 201, {"url": NOBODY, "events": ["*"]})
    del api.client.headers["X-Tidings-Group"]
    await doing("PUT /api/v1/groups/{group_id}/egress", "egress.narrowed", {"https_only": True}, group_id="acme")
    await doing("DELETE /api/v1/groups/{group_id}", "group.deleted", query="?confirm=acme&everything=true", group_id="acme")
    key = await doing("POST /api/v1/keys", "api_key.made", {"name": "shop", "scopes": ["admin"]})
    await doing("PATCH /api/v1/keys/{key_id}", "api_key.changed", {"name": "till"}, key_id=key["id"])
    rotated = await doing("POST /api/v1/keys/{key_id}/rotate", "api_key.rotated", {}, key_id=key["id"])
    doing.planted += [key["key"], rotated["key"], link["url"].rpartition("/")[2]]
    await doing("DELETE /api/v1/keys/{key_id}", "api_key.revoked", key_id=key["id"])
    member = await doing("POST /api/v1/members", "member.invited", {"email": "ada@example.com", "role": "viewer"})
    await doing("PATCH /api/v1/members/{member_id}", "member.changed", {"role": "support"}, member_id=member["id"])
    await doing("DELETE /api/v1/members/{member_id}", "member.removed", member_id=member["id"])
    await api.engine.sql(
        "insert into tidings.sessions (id, token_hash, key_hash, group_id, browser, address, created_at, seen_at, ends_at, key_id) "
        "select gen_random_uuid(), 'x', '', 'default', '', '', now(), now(), now(), id from tidings.api_keys limit 1"
    )
    session = await api.engine.value("select id from tidings.sessions")
    await doing("DELETE /api/v1/sessions/{session_id}", "session.ended", session_id=session)
    await doing("POST /api/v1/signing-keys/rotate", "keys.rotated", {"overlap_seconds": 60})
    for number in range(2):
        await api.engine.sql("insert into tidings.outbox (source, type, record) values ('elsewhere', $1, '{}')", f"t{number}")
    rows = await eventually(lambda: _two(api))
    await doing("POST /api/v1/set-aside/{number}/route", "set_aside.routed", number=rows[0]["number"])
    await doing("DELETE /api/v1/set-aside/{number}", "set_aside.discarded", number=rows[1]["number"])
    job = await api("POST", "/api/cron", 201, {"name": "ill", "schedule": "0 3 * * *", "url": NOBODY})
    ill = {"kind": "job", "setting_id": job["id"]}
    for operation, action in (
        ("POST /api/v1/set-aside/settings/{kind}/{setting_id}/retry", "set_aside.setting_retried"),
        ("DELETE /api/v1/set-aside/settings/{kind}/{setting_id}", "job.deleted"),
    ):
        await api.engine.sql("update tidings.cron_jobs set fault = 'It was ill.', enabled = false")
        await doing(operation, action, **ill)


async def _two(api: Api) -> Any:  # noqa: F811
    rows = await api("GET", "/api/v1/set-aside", 200)
    return rows if len(rows) == 2 else None


async def test_every_operation_that_changes_something_is_on_record_once(api: Api, receiver: Receiver) -> None:  # noqa: F811
    doing = Doing(api)
    await _webhooks(doing, receiver)
    await _listeners(doing)
    await _privacy(doing)
    await _sources(doing)
    await _tables(doing, receiver)
    await _administration(doing)
    document = await api("GET", "/openapi.json", 200)
    changing = {
        f"{method.upper()} {path}"
        for path, item in document["paths"].items()
        for method in item
        if method in {"post", "put", "patch", "delete"}
    }
    on_record = str(await api.engine.sql("select * from tidings.audit"))
    assert len(doing.planted) > 30
    assert [one for one in doing.planted if one in on_record] == []
    assert (await audit.verify(api.engine.services)).fault is None
    assert doing.done & set(EXCEPT) == set()
    assert doing.done | set(EXCEPT) == changing

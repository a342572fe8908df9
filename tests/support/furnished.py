"""A group that has one of everything, made over the API as its owner would."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import msgspec

from tests.support.engine import Engine
from tests.support.limits import PATIENCE
from tests.support.serving import ApiServer
from tidings.config import Config
from tidings.operations.sources import integrations
from tidings.store import sessions

MARK = "only-acme-may-read-this"  # stands in whatever of it can hold a text
NOWHERE = "http://127.0.0.1:9/"
BROKEN = "http://127.0.0.1:9/broken"


KEY = {"X-API-Key": "test"}
ROLE = Config().request_role


class Furnished:
    """What a group has, by the names that paths and pages call it by."""

    def __init__(self, client: httpx.AsyncClient, engine: Engine, group_id: str) -> None:
        self.client = client
        self.engine = engine
        self.group_id = group_id
        self.ids: dict[str, str] = {}

    async def __call__(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"X-Tidings-Group": self.group_id}
        response = await self.client.request(method, path, json=body, headers=headers)
        assert response.is_success, (method, path, response.text)
        return response.json() if response.content else None

    async def make(self, url: str) -> "Furnished":
        """Make everything; deliveries go to the URL."""
        mark, ids = f"{MARK} of {self.group_id}", self.ids
        await self.engine.sql("create table if not exists orders (id int primary key, team text)")
        await self("PUT", "/api/v1/tables/orders", {"group_by": "team"})
        hook = await self("POST", "/api/v1/webhooks", {"url": url, "events": ["order.*", {"table": "orders"}], "name": mark})
        failing = await self("POST", "/api/v1/webhooks", {"url": BROKEN, "events": ["order.*", "secret.told"], "name": mark})
        await self("PATCH", f"/api/v1/webhooks/{hook['id']}", {"description": mark})
        ids["webhook_id"] = hook["id"]
        await self("PUT", "/api/v1/event-types/order.paid", {"description": mark})
        published = {"type": "order.paid", "data": {"said": mark}, "id": f"own-{self.group_id}"}
        made = "insert into tidings.customer_webhooks (webhook_id, group_id) values ($1::text::uuid, $2)"
        await self.engine.sql(made, hook["id"], self.group_id)
        ids["event_id"] = (await self("POST", "/api/v1/events", published))["id"]
        listener = await self("POST", "/api/v1/listeners", {"name": mark, "events": ["order.*"]})
        ids["listener_id"] = listener["id"]
        await self._sources(mark)
        await self("PATCH", f"/api/v1/groups/{self.group_id}/limits", {"webhooks": 1000})
        await self("PUT", f"/api/v1/groups/{self.group_id}/egress", {"denied_ports": ["6000"]})
        await self._people()
        hidden = {"events": ["secret.told"], "fields": ["code"], "name": mark}
        ids["rule_id"] = (await self("POST", "/api/v1/redaction-rules", hidden))["id"]
        await self("POST", "/api/v1/events", {"type": "secret.told", "data": {"code": mark}})
        ids["erasure_id"] = (await self("POST", "/api/v1/erasures", {"value": "nobody at all", "dry_run": True}))["id"]
        ids["bin_id"] = (await self("POST", "/api/v1/bins", {"name": mark}))["id"]
        caught = await self.client.post(f"/bin/{ids['bin_id']}", content=mark)
        assert caught.is_success, caught.text
        ids["link_id"] = (await self("POST", f"/api/v1/groups/{self.group_id}/portal-link", {"brand": {"name": mark[:60]}}))[
            "id"
        ]
        await self._history(hook["id"], failing["id"])
        filling = await self("POST", "/api/v1/tables/orders/backfill", {"webhook_id": hook["id"]})
        await self.engine.sql("update tidings.backfills set state = 'finished', finished_at = now()")
        ids |= {"backfill_id": filling["id"], "group_id": self.group_id, "number": "1", "part": "request", "table": "orders"}
        ids |= {"kind": "webhook", "setting_id": hook["id"]}
        return self

    async def _people(self) -> None:
        """Have somebody who is signed in for this group alone."""
        invited = {"email": f"ada@{self.group_id}.example.com", "role": "owner", "groups": [self.group_id]}
        self.ids["member_id"] = (await self("POST", "/api/v1/members", invited))["id"]
        async with self.engine.services.wide.transaction() as connection:
            begun = await sessions.begin(
                connection, f"token of {self.group_id}", member_id=UUID(self.ids["member_id"]), group_id=self.group_id,
                browser=MARK, address="", now=self.engine.services.clock.now(),
            )  # fmt: skip
        self.ids["session_id"] = str(begun)

    async def _sources(self, mark: str) -> None:
        schema = {"name": "posts", "schema": [{"name": "title", "type": "text"}]}
        await self("POST", "/api/v1/collections", schema)
        record = await self("POST", "/api/v1/collections/posts/records", {"title": mark})
        job = await self("POST", "/api/v1/cron", {"name": mark, "schedule": "0 3 * * *", "url": NOWHERE})
        await self("POST", f"/api/v1/cron/{job['id']}/run")
        shop = f"shop-{self.group_id}"
        await self("POST", "/api/v1/integrations", {"name": shop, "platform": "github"})
        objects = [{"type": "order", "id": "1", "data": {"said": mark}}]
        await self("POST", f"/api/v1/integrations/{shop}/sync", {"objects": objects})
        notice = {"integration": shop, "record": record["id"]}
        await self.engine.sql(
            "insert into tidings.integration_notices (integration_id, notice_id, digest, received_at) "
            "select id, $2, '', now() from tidings.integrations where name = $1",
            shop,
            str(notice),
        )
        refused = await self.client.post(f"/in/{shop}", content="{}")
        assert refused.status_code == 401
        acting = msgspec.structs.replace(self.engine.services, group_id=self.group_id)
        await integrations.read_traffic(acting, shop)  # what was refused is written down by whoever looks
        self.ids |= {"collection": "posts", "record_id": record["id"], "job_id": job["id"], "name": shop}

    async def _history(self, hook: str, failing: str) -> None:
        """Have a delivery succeed and another fail and wait; both are recorded."""
        await self.engine.cycle()
        rows = await self.engine.sql("select id from tidings.deliveries where webhook_id = $1::text::uuid", hook)
        self.ids["delivery_id"] = str(rows[0]["id"])
        assert await self.engine.value("select count(*) from tidings.attempts a join tidings.queue q on q.id = a.delivery_id "
            "where q.webhook_id = $1::text::uuid", failing)  # fmt: skip
        asked = {"since": "2020-01-01T00:00:00Z", "rate_per_second": 0.1}
        self.ids["recovery_id"] = (await self("POST", f"/api/v1/webhooks/{hook}/recover", asked))["id"]
        take = {"session": "6f1f8a3e-3f55-4f0e-9d4c-4f0c5a1f0a01", "limit": 1, "wait_seconds": 0}
        take["session"] = take["session"][:-2] + f"{len(self.group_id):02x}"
        await self("POST", f"/api/v1/listeners/{self.ids['listener_id']}/take", take)


@asynccontextmanager
async def furnishing(engine: Engine, api_server: ApiServer, url: str) -> AsyncIterator[Furnished]:
    """A group that has one of everything, served; beside it are one that has nothing, and the first. Deliveries go to the URL."""
    async with (
        api_server.serving(engine.services) as served,
        httpx.AsyncClient(base_url=served, headers=KEY, timeout=PATIENCE) as client,
    ):
        for group in ("acme", "other"):
            assert (await client.post("/api/v1/groups", json={"id": group})).is_success
        yield await Furnished(client, engine, "acme").make(url)


@asynccontextmanager
async def as_role(engine: Engine, group_id: str | None) -> AsyncIterator[Any]:
    """A connection that has the role of requests, with raw SQL; None: no group was ever said."""
    connection = await asyncpg.connect(engine.services.wide.url)
    try:
        await connection.execute(f"set role {ROLE}")
        if group_id is not None:
            await connection.execute("select set_config('tidings.group', $1, false)", group_id)
        yield connection
    finally:
        await connection.close()

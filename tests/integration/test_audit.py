"""Who did what: written with what it tells, read by operators, without a secret in it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from tests.support.engine import engine_of
from tests.support.portal import Visitor, visiting
from tests.support.receiver import Receiver
from tests.support.serving import ApiServer
from tidings.config import Config
from tidings.core.attempts import Attempts
from tidings.core.audit import Action, Actor
from tidings.store import audit

KEY = {"Authorization": "Bearer test"}
ACME = KEY | {"X-Tidings-Group": "acme"}


@pytest.fixture
async def operator(config: Config, api_server: ApiServer) -> AsyncIterator[Visitor]:
    async with engine_of(config) as engine, api_server.serving(engine.services) as url, visiting(engine, url) as visitor:
        assert api_server._framework
        api_server._framework.state["sign_in_attempts"] = Attempts()
        await engine.sql("insert into tidings.groups (id) values ('acme')")
        yield visitor


async def entries(operator: Visitor, expect: int = 200, **asked: str) -> Any:
    answer = await operator.client.get("/api/v1/audit", params=asked, headers=KEY)
    assert answer.status_code == expect, answer.text
    return answer.json()


async def test_what_people_do_is_on_record_with_who_and_from_where(operator: Visitor, receiver: Receiver) -> None:
    client = operator.client
    made = (
        await client.post("/api/v1/webhooks", json={"url": receiver.url(), "events": "*", "name": "ERP"}, headers=ACME)
    ).json()
    path, secret = f"/api/v1/webhooks/{made['id']}", made["secret"]
    assert (await client.get(f"{path}/secret", headers=ACME)).status_code == 200
    rotated = (await client.post(f"{path}/secret/rotate", json={}, headers=ACME)).json()["secret"]
    await client.request("PATCH", path, json={"description": "x"}, headers=ACME)
    await client.request("PATCH", path, json={"description": "x"}, headers=ACME)  # no change, and no entry
    link = (await client.post("/api/v1/groups/acme/portal-link", json={"brand": {"name": "Acme"}}, headers=KEY)).json()
    async with visiting(operator.engine, str(client.base_url)) as customer:
        await customer.get("/p/" + link["url"].rpartition("/")[2], 303)
        await customer.send("/sign-out", {}, 200)
    await client.delete(f"/api/v1/portal-links/{link['id']}", headers=ACME)
    assert (await client.delete(path, headers=ACME)).is_success
    await operator.sign_in()
    await operator.send("/sign-out", {})
    found = await entries(operator)
    assert [(one["action"], one["who"], one["group"], one["subject"]) for one in reversed(found)] == [
        ("webhook.created", "key", "acme", "ERP"),
        ("secret.shown", "key", "acme", "ERP"),
        ("secret.rotated", "key", "acme", "ERP"),
        ("webhook.changed", "key", "acme", "ERP"),
        ("link.made", "key", "acme", "Acme"),
        ("session.began", "link", "acme", client.headers["user-agent"]),
        ("session.ended", "link", "acme", client.headers["user-agent"]),
        ("link.ended", "key", "acme", ""),
        ("webhook.deleted", "key", "acme", "ERP"),
        ("session.began", "session", None, client.headers["user-agent"]),
        ("session.ended", "session", None, client.headers["user-agent"]),
    ]
    assert {one["address"] for one in found} == {"127.0.0.1"}
    assert {one["who_id"] for one in found if one["who"] == "link"} == {link["id"]}
    assert [one["subject_id"] for one in found if one["action"].startswith("secret")] == [made["id"]] * 2
    whole = str(await operator.engine.sql("select * from tidings.audit"))
    token = link["url"].rpartition("/")[2]
    assert not any(hidden in whole for hidden in (secret, rotated, token, "Bearer"))


async def test_sessions_that_others_end_are_on_record_as_theirs(operator: Visitor) -> None:
    await operator.sign_in()
    async with visiting(operator.engine, str(operator.client.base_url)) as other:
        await other.sign_in()
    mine, theirs = [row["id"] for row in await operator.engine.sql("select id from tidings.sessions order by created_at")]
    await operator.send("/settings/sessions/end", {"id": str(theirs)})
    await operator.send("/settings/sessions/end", {"id": str(theirs)})
    last = (await entries(operator))[0]
    assert (last["action"], last["who_id"], last["subject_id"]) == ("session.ended", str(mine), str(theirs))
    page = (await operator.get("/settings/audit")).text
    assert "A session ended" in page
    assert "A session began" in page


async def test_what_fails_leaves_no_entry(operator: Visitor, receiver: Receiver) -> None:
    client = operator.client
    for answer in (
        await client.post("/api/v1/webhooks", json={"url": "nothing", "events": "*"}, headers=KEY),
        await client.delete("/api/v1/webhooks/5f0c8a52-0b1e-4b8e-9c3d-2f6a1d7e4b90", headers=KEY),
        await client.get("/api/v1/webhooks/5f0c8a52-0b1e-4b8e-9c3d-2f6a1d7e4b90/secret", headers=KEY),
        await client.post("/api/v1/groups/acme/portal-link", json={"expires_in": 1}, headers=KEY),
    ):
        assert answer.status_code >= 400
    await operator.get("/p/nothing", 401)
    assert await entries(operator) == []


async def test_the_record_is_read_page_by_page_and_by_group(operator: Visitor) -> None:
    services = operator.engine.services
    async with services.wide.transaction() as connection:
        for number in range(60):
            await audit.add(
                connection, Action.WEBHOOK_CHANGED, Actor(), now=services.clock.now(), subject_id=None, subject=f"w{number:02d}",
                group_id="acme" if number % 2 else "default",
            )  # fmt: skip
    first = await entries(operator, limit="40")
    rest = await entries(operator, limit="40", before=str(first[-1]["number"]))
    assert [one["subject"] for one in [*first, *rest]] == [f"w{number:02d}" for number in reversed(range(60))]
    assert {one["group"] for one in await entries(operator, group="acme")} == {"acme"}
    assert await entries(operator, before="9223372036854775808") != []
    await entries(operator, 422, since="yesterday")
    await operator.sign_in()
    page = (await operator.get("/settings/audit")).text
    assert "w59" in page
    assert "w05" not in page
    older = (await operator.get(f"/settings/audit?cursor={first[-1]['number']}")).text
    assert "w05" in older
    assert (await operator.client.get("/api/v1/audit")).status_code == 401


async def test_a_group_that_is_busy_pushes_out_none_but_its_own_entries(operator: Visitor) -> None:
    services = operator.engine.services
    now = services.clock.now()
    add = "insert into tidings.audit (at, group_id, action, who, address, subject) select $1, $2, 'link.made', 'key', '', n::text "
    async with services.wide.transaction() as connection:
        await connection.execute(f"{add} from generate_series(1, 3) n", now, "default")
        await connection.execute(f"{add} from generate_series(1, $3) n", now, "acme", audit.MAX_OF_GROUP + 5)
        await connection.execute(f"{add} from generate_series(1, 3) n", now - audit.KEPT - timedelta(seconds=1), "old")
        await audit.forget(connection, now)
    counted = {row["group_id"]: row["n"] for row in await operator.engine.sql(
        "select group_id, count(*) as n, min(subject::int) as first from tidings.audit group by 1"
    )}  # fmt: skip
    assert counted == {"default": 3, "acme": audit.MAX_OF_GROUP}
    assert await operator.engine.value("select min(subject::int) from tidings.audit where group_id = 'acme'") == 6


async def test_to_forget_looks_only_at_groups_that_were_busy_of_late(operator: Visitor) -> None:
    """However many entries and groups there are, none is numbered that nobody wrote to."""
    services = operator.engine.services
    now = services.clock.now()
    add = (
        "insert into tidings.audit (at, group_id, action, who, address, subject) "
        "select $1, 'g' || n % $2, 'link.made', 'key', '', '' from generate_series(1, $3) n"
    )
    read = "select seq_tup_read + coalesce(idx_tup_fetch, 0) from pg_stat_xact_user_tables where relname = 'audit'"
    async with services.wide.connection() as connection:
        await connection.execute(add, now, 2000, 40_000)
        await connection.execute("vacuum analyze tidings.audit")
        async with connection.transaction():
            before = await connection.fetchval(read) or 0
            await audit.forget(connection, now)
            assert await connection.fetchval(read) - before < 10_000
    assert await operator.engine.value("select count(*) from tidings.audit") == 40_000

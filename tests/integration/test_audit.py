"""Who did what: written with what it tells, read by operators, without a secret in it."""

import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import uuid4

import pytest

from tests.integration.test_request_plans import literal
from tests.support.engine import engine_of
from tests.support.portal import Visitor, visiting
from tests.support.receiver import Receiver
from tests.support.serving import ApiServer
from tidings.config import Config
from tidings.core.attempts import Attempts
from tidings.core.audit import Action, Actor, Who, sought
from tidings.store import audit
from tidings.store.statements import load

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
                connection, services.installation.audit_key, Action.WEBHOOK_CHANGED, Actor(), now=services.clock.now(), subject_id=None, subject=f"w{number:02d}",
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
    onward = re.findall(r'href="(/settings/audit\?[^"]*cursor=[^"]*)"', page)
    assert "w05" in (await operator.get(unescape(onward[0]))).text
    assert (await operator.client.get("/api/v1/audit")).status_code == 401


# Searching -----------------------------------------------------------------------------------------------------------------


async def asked(operator: Visitor, **query: str) -> tuple[list[str], Any]:
    answer = await operator.client.get("/api/v1/audit", params=query, headers=KEY)
    assert answer.status_code == 200, answer.text
    return [one["subject"] for one in answer.json()], answer.headers


async def test_entries_are_found_by_all_that_they_say(operator: Visitor) -> None:
    services, clock = operator.engine.services, operator.engine.clock
    clock.stand_still()
    begun, ids = clock.now(), {name: uuid4() for name in ("ci", "deploy", "hook", "other")}
    said = [
        ("acme", Action.WEBHOOK_CREATED, Who.KEY, "ci", "10.0.0.1", "hook"), ("acme", Action.SECRET_SHOWN, Who.SESSION, "ci", "10.0.0.2", "hook"),
        ("default", Action.WEBHOOK_DELETED, Who.KEY, "deploy", "10.0.0.1", "other"), (None, Action.KEYS_ROTATED, Who.KEY, "deploy", "10.0.0.1", ""),
    ]  # fmt: skip
    async with services.wide.transaction() as connection:
        for group_id, action, who, key, address, subject in said:
            actor = Actor(who, ids[key], address, ids[key], key)
            await audit.add(
                connection, services.installation.audit_key, action, actor, now=clock.now(), group_id=group_id, subject_id=ids.get(subject),
                subject=f"{subject}-{action.value}", changes={"name": (None, "a_%")},
            )  # fmt: skip
            clock.ahead += timedelta(hours=2)
    one, two, three, four = [f"{subject}-{action.value}" for _, action, _, _, _, subject in said]
    for query, expected in (
        ({}, [four, three, two, one]), ({"group": "acme"}, [two, one]), ({"who": "session"}, [two]), ({"who_id": str(ids["deploy"])}, [four, three]),
        ({"with_key": "ci"}, [two, one]), ({"with_key": str(ids["ci"])}, [two, one]), ({"action": "webhook.created"}, [one]), ({"action": "webhook.*"}, [three, one]),
        ({"action": "secret.shown,keys.rotated"}, [four, two]), ({"subject_id": str(ids["hook"])}, [two, one]), ({"subject": three}, [three]),
        ({"address": "10.0.0.1"}, [four, three, one]), ({"address": "10.0.0.1", "with_key": "ci"}, [one]), ({"with_key": "nobody"}, []),
        ({"since": (begun + timedelta(hours=1)).isoformat()}, [four, three, two]), ({"until": (begun + timedelta(hours=2)).isoformat()}, [one]),
        ({"since": (begun + timedelta(hours=2)).isoformat(), "until": (begun + timedelta(hours=4)).isoformat(), "group": "acme"}, [two]),
    ):  # fmt: skip
        found, _ = await asked(operator, **query)
        assert found == expected, query
        page, headers = await asked(operator, **query, limit="1")
        while onward := headers.get("tidings-next"):
            more, headers = await asked(operator, **query, limit="1", cursor=onward)
            page += more
        assert page == expected, query
    await operator.sign_in()
    page = (await operator.get(f"/settings/audit?subject={ids['hook']}&of_group=acme&since=30d")).text
    assert "a_%" in page
    assert "A secret was shown" in page
    assert "A webhook was deleted" not in page
    assert "is no action" in (await operator.get("/settings/audit?action=webhook.creatd", 422)).text


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"action": "webhook.creatd"}, "action"), ({"action": "nothing.*"}, "action"), ({"who": "nobody"}, "who"), ({"with_key": ""}, "with_key"),
        ({"since": "2026-01-01T00:00:00"}, "since"), ({"cursor": "abc"}, "cursor"), ({"colour": "red"}, "colour"), ({"address": "\0"}, "address"),
        ({"limit": "1001"}, "limit"), ({"who_id": "x"}, "who_id"), ({"action": ",".join(["webhook.*"] * 21)}, "action"),
    ],
)  # fmt: skip
async def test_what_cannot_be_asked_is_refused_with_the_field(operator: Visitor, query: dict[str, str], field: str) -> None:
    refused = await operator.client.get("/api/v1/audit", params=query, headers=KEY)
    assert (refused.status_code, refused.json()["field"]) == (422, field)


async def test_a_cursor_serves_for_its_own_question(operator: Visitor) -> None:
    for name in ("a", "b", "c"):
        await operator.client.post("/api/v1/groups", json={"id": name}, headers=KEY)
    _, headers = await asked(operator, limit="1")
    assert (await asked(operator, limit="1", cursor=headers["tidings-next"]))[0] == ["b"]
    refused = await operator.client.get(
        "/api/v1/audit", params={"action": "group.*", "cursor": headers["tidings-next"]}, headers=KEY
    )
    assert refused.json()["field"] == "cursor"


async def test_a_rare_entry_is_found_in_bounded_steps_that_say_how_far_they_came(operator: Visitor) -> None:
    """Where no index has what is asked for, a call looks at so many entries and says where it stopped."""
    add = (
        "insert into tidings.audit (at, group_id, action, who, address, subject) "
        "select now() - make_interval(secs => 20000 - n), 'acme', 'link.made', case n when 5 then 'link' else 'key' end, '', '' "
        "from generate_series(1, 20000) n"
    )
    await operator.engine.sql(add)
    pages, query, found = 0, {"who": "link", "limit": "10"}, []
    while True:
        more, headers = await asked(operator, **query)
        pages, found = pages + 1, found + more
        if "tidings-next" not in headers:
            break
        assert "tidings-searched-to" in headers
        query["cursor"] = headers["tidings-next"]
    assert (len(found), 3 <= pages <= 5) == (1, True), pages


# Exporting and verifying ----------------------------------------------------------------------------------------------------


async def test_all_of_it_is_exported_in_lines_and_verified_over_the_api(operator: Visitor) -> None:
    client = operator.client
    for name in ("a", "b", "c"):
        await client.post("/api/v1/groups", json={"id": name}, headers=KEY)
    assert await operator.engine.worker.sealer.run_once() == 3
    lines, query = [], {"limit": "2"}
    while True:
        answer = await client.get("/api/v1/audit/export", params=query, headers=KEY)
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        lines += [json.loads(line) for line in answer.text.splitlines()]
        if "tidings-next" not in answer.headers:
            break
        query["after"] = answer.headers["tidings-next"]
    assert [(one["subject"], one["place"], len(one["hash"])) for one in lines] == [("a", 1, 64), ("b", 2, 64), ("c", 3, 64)]
    found = (await client.get("/api/v1/audit/verification", headers=KEY)).json()
    assert (found["is_intact"], found["checked"], found["next"], found["fault"]) == (True, 3, None, None)
    assert found["head"] == f"3:{lines[-1]['hash']}"
    await operator.sign_in()
    assert "as it was written" in (await operator.get("/settings/audit/verification")).text
    assert "Sealed up to" in (await operator.get("/settings/audit")).text
    await operator.engine.sql("set session_replication_role = replica")
    await operator.engine.sql("update tidings.audit set subject = 'd' where subject = 'b'")
    broken = (await client.get("/api/v1/audit/verification", headers=KEY)).json()
    assert broken["fault"] == {
        "kind": "changed", "place": 2, "number": lines[1]["number"],
        "sentence": f"The audit was tampered with: entry {lines[1]['number']} was changed after it was written.",
    }  # fmt: skip
    page = (await operator.get("/settings/audit/verification")).text
    assert f"entry {lines[1]['number']} was changed" in page
    assert (await client.get("/api/v1/audit/verification", params={"head": "x"}, headers=KEY)).json()["field"] == "head"


async def test_a_key_of_a_group_reads_and_exports_its_entries_alone(operator: Visitor) -> None:
    client = operator.client
    made = await client.post("/api/v1/keys", json={"name": "k", "scopes": ["admin"], "bound_to": "acme"}, headers=KEY)
    await client.post("/api/v1/groups", json={"id": "b"}, headers=KEY)
    await operator.engine.worker.sealer.run_once()
    own = {"Authorization": f"Bearer {made.json()['key']}"}
    assert {one["group"] for one in (await client.get("/api/v1/audit", headers=own)).json()} == {"acme"}
    lines = (await client.get("/api/v1/audit/export", headers=own)).text.splitlines()
    assert [json.loads(line)["action"] for line in lines] == ["api_key.made"]
    for path in ("/api/v1/audit?group=b", "/api/v1/audit/export?group=b", "/api/v1/audit/verification"):
        assert (await client.get(path, headers=own)).status_code == 403


NOBODY = uuid4()


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ({"actions": ["job.deleted"]}, "audit_of_action"), ({"group_id": "idle"}, "audit_by_group"), ({"who_id": NOBODY}, "audit_of_who"),
        ({"subject_id": NOBODY}, "audit_of_subject"), ({"subject": "no"}, "audit_of_name"), ({"with_key": str(NOBODY)}, "audit_of_key"),
        ({"with_key": "no"}, "audit_of_key_name"), ({"address": "10.9.9.9"}, "audit_of_address"),
    ],
)  # fmt: skip
async def test_a_search_goes_along_its_own_index_however_rare_what_it_asks_for_is(
    operator: Visitor, asked: dict[str, Any], index: str
) -> None:
    """What nobody did is found out at once, and not by walking all that others did, of whom there may be two."""
    sql = operator.engine.sql
    await sql("set session_replication_role = replica")
    await sql(
        """insert into tidings.audit (at, group_id, action, who, who_id, address, subject_id, subject, key_id, key_name)
           select now(), 'g' || n % 2, case n % 2 when 0 then 'webhook.changed' else 'session.began' end, 'key', md5((n % 2)::text)::uuid,
             '10.0.0.' || n % 2, md5((n % 2)::text)::uuid, 's' || n % 2, md5((n % 2)::text)::uuid, 'k' || n % 2 from generate_series(1, 20000) n"""
    )
    await sql("analyze tidings.audit")
    await sql("set plan_cache_mode = force_generic_plan")
    await sql("set enable_seqscan = off")
    await sql("set enable_bitmapscan = off")
    question = sought(**asked)
    walk = load("audit")[f"by_{question.drive}"].rstrip().rstrip(";")
    await sql(f"prepare walk as {walk}")
    given = (
        0, 2**63 - 1, 250, 50, question.group_id, None, question.who_id, question.key_id, question.key_name, list(question.actions), [],
        question.subject_id, question.subject, question.address, None, None,
    )  # fmt: skip
    plan = "\n".join(row[0] for row in await sql(f"explain analyze execute walk ({', '.join(map(literal, given))})"))
    assert f" {index} " in plan, plan
    assert "Rows Removed by Filter" not in plan.partition("CTE walked")[2].partition("InitPlan")[0], plan

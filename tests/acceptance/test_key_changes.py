"""Changing SECRET_KEY, adopting and holding: beside what runs, and on record."""

from pathlib import Path

import asyncpg
import msgspec

from tests.acceptance.test_copies import client_of, settings
from tests.support.process import Process, run_cli
from tests.support.receiver import Receiver
from tidings.api.routes.audit import AuditVerification

NEW = "a much newer key"


async def test_a_process_beside_a_change_of_the_key_ends_and_leaves_nothing_that_nobody_can_read(
    database_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    beside = settings(database_url, tmp_path)
    api = await Process.start("api", **beside)
    try:
        async with client_of(api) as client:
            hook = {"url": receiver.url(), "events": ["order.*"]}
            made = (await client.post("/api/v1/webhooks", json=hook)).json()
            done = run_cli("rekey", **beside, new_secret_key=NEW)
            assert done.returncode == 0, done.stderr
        code, _ = await api.ended()
        assert code == 2, "it goes on with a key that nobody else has"
    finally:
        await api.kill()
    again = await Process.start("api", **beside | {"secret_key": NEW})
    try:
        async with client_of(again) as client:
            shown = (await client.get(f"/api/v1/webhooks/{made['id']}/secret")).json()
            assert shown["secret"] == made["secret"]
            assert (await client.get("/api/v1/set-aside/settings")).json() == []
            (entry,) = (await client.get("/api/v1/audit?action=secret_key.changed")).json()
            assert (entry["who"], entry["group"]) == ("system", None)
    finally:
        await again.stop()


async def test_adopting_and_holding_are_on_record_once_each(database_url: str, tmp_path: Path) -> None:
    where = settings(database_url, tmp_path)
    server = await Process.start("serve", **where)
    await server.stop()
    for words in (["adopt"], ["adopt", "--hold"], ["adopt", "--hold"], ["adopt"], ["adopt"]):
        assert run_cli(*words, **where).returncode == 0
    refused = run_cli("adopt", **where | {"secret_key": "another"})
    assert refused.returncode == 2
    assert "SECRET_KEY" in refused.stderr
    server = await Process.start("serve", **where)
    try:
        async with client_of(server) as client:
            entries = (await client.get("/api/v1/audit?action=installation.*")).json()
            assert [one["action"] for one in entries] == ["installation.adopted", "installation.held"]
            found = msgspec.convert((await client.get("/api/v1/audit/verification")).json(), AuditVerification)
            assert found.is_intact
    finally:
        await server.stop()


async def test_leaving_says_that_the_audit_goes_too(database_url: str) -> None:
    told = run_cli("uninstall", database_url=database_url)
    assert "tidings audit export" in told.stdout
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("select to_regclass('tidings.audit')") is not None
    await connection.close()

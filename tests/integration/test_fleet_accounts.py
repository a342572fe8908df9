"""Members that are accounts of NATS, as deploy/nats/members.conf has them: what one asks for never reaches into another."""

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import nats
import pytest

from tests.integration.test_fleet_attacks import HEARD, MAY, SENT, is_count
from tests.integration.test_fleet_hardships import permissions
from tests.support import stream as servers
from tests.support.engine import eventually
from tests.support.limits import PATIENCE
from tests.support.members import accounts, parts_of, unheard
from tests.support.process import free_ports
from tests.support.stream import Cluster
from tidings.core.fleet import fleet_of
from tidings.transport import stream
from tidings.transport.stream import Stream, inbox_of
from tidings.transport.stream_making import make
from tidings.worker.intake import RECEIVE_SECONDS

ROLES = {"billing": "source", "eu": "home", "nobody": "source"}
DOCS = Path(__file__).parents[2] / "docs" / "fleet-reference.md"
NOBODY = """
  nobody {
    users: [{ user: nobody, password: p, permissions: { subscribe: ["_INBOX.source.nobody.>"] } }]
    imports: [{ service: { account: FLEET, subject: "tidings.none" }, to: "$JS.API.INFO" }]
  }
"""
ANSWERS_FOR = '"30s"'  # that an answer is awaited, which the file says of what homes fetch


@asynccontextmanager
async def apart(folder: Path, more: str, nodes: int = 1) -> AsyncIterator[tuple[Cluster, Any]]:
    """Lend a cluster with a fleet on it. Members come to the node that is not the first, where there are several."""
    async with servers.running(folder, more=more, login="root:p@", nodes=nodes) as cluster:

        def of(user: str, inbox: str) -> AbstractAsyncContextManager[Stream]:
            return stream.opened(url_of(cluster, user), credentials=None, ca_file=None, inbox=inbox)

        async with of("root", "_INBOX.admin") as root:
            await make(root, fleet_of(("eu", "us")), replicas=nodes, most_bytes=10_000_000)
        yield cluster, of


def url_of(cluster: Cluster, user: str) -> str:
    return f"nats://{user}:p@127.0.0.1:{cluster.nodes[-1].port}"


@pytest.mark.parametrize("user", MAY)
async def test_each_account_reaches_what_the_docs_say_and_nothing_else(user: str, tmp_path: Path) -> None:
    may_send, may_hear = MAY[user]
    refused: list[str] = []

    async def note(error: Exception) -> None:
        refused.append(str(error).lower())

    async with apart(tmp_path, accounts().replace("accounts {\n", "accounts {\n" + NOBODY, 1)) as (cluster, _):
        client = await nats.connect(url_of(cluster, user), error_cb=note)
        inbox = inbox_of(ROLES[user], user)
        # Where the stream answers, or says nothing, somebody has heard it; in its own account a member may say what it likes.
        assert await unheard(client, inbox, SENT) == set(SENT) - may_send
        refused.clear()
        for subject in HEARD:
            await client.subscribe(subject)
        await client.flush()
        await eventually(lambda: is_count(refused, len(set(HEARD) - may_hear)))
        await client.close()
    told = {subject for subject in HEARD if any(f'"{subject.lower()}"' in one for one in refused)}
    assert told == set(HEARD) - may_hear


# Answers that are asked to go elsewhere ------------------------------------------------------------------------------------------

OWN = {"billing": ("tidings.flights.us.billing", "$KV.TIDINGS.sources.billing"), "eu": ("tidings.flights.us.home_eu", "$KV.TIDINGS.sources.home_eu")}  # fmt: skip
ELSEWHERE = (
    *(f"$JS.API.STREAM.{call}.{name}" for call in ("PURGE", "DELETE", "UPDATE", "MSG.DELETE") for name in ("TIDINGS_us", "KV_TIDINGS", "TIDINGS_AHEAD_us")),
    *(f"$JS.API.CONSUMER.{call}.TIDINGS_us.home" for call in ("DELETE", "MSG.NEXT", "PAUSE")),
    *(f"$KV.TIDINGS.{key}" for key in ("fleet", "drained", "wishes.us", "homes.us", "settled.home_us", "ahead.us")),
    "tidings.flights.us.shop", "tidings.flights.us.home_us", "tidings.ahead.us.1", "_INBOX.home.us.x",
)  # fmt: skip


class Answered:
    """A member that has whatever answers it may ask for be sent elsewhere."""

    def __init__(self, client: Any, user: str) -> None:
        self._client = client
        self._flights, self._key = OWN[user]
        self._is_home = user == "eu"
        self.sent = 0

    async def to(self, reply: str, headers: dict[str, str]) -> None:
        async def ask(subject: str, said: bytes, more: dict[str, str] | None = None) -> None:
            await self._client.publish(subject, said, reply=reply, headers={**headers, **(more or {})} or None)

        await ask(self._flights, b"x", {"Nats-Msg-Id": str(uuid4())})
        self.sent += 1
        for said in (b"", b'{"seq": 99}', b"+ACK", b"1"):  # what an answer may have to say there
            await ask(self._key, said)
            await ask(f"$JS.API.DIRECT.GET.KV_TIDINGS.{self._key}", b"")
        await ask("$JS.API.STREAM.INFO.KV_TIDINGS", b"")
        if self._is_home:
            await ask("$JS.API.STREAM.INFO.TIDINGS_eu", b"")
            await ask("$JS.API.CONSUMER.INFO.TIDINGS_eu.home", b"")
            await ask("$JS.API.STREAM.MSG.GET.KV_TIDINGS", json.dumps({"last_by_subj": self._key}).encode())
            await self._client.publish("tidings.flights.eu.home_eu", b"+ACK")
            await ask("$JS.API.CONSUMER.MSG.NEXT.TIDINGS_eu.home", b"1")


async def kept_of(root: Stream) -> dict[str, Any]:
    """Return what is there of others than the attackers, and what only the admin may say."""
    info = await root.jetstream.stream_info("TIDINGS_us", subjects_filter=">")
    mine = {flights for flights, _ in OWN.values()}
    keys = (await root.jetstream.stream_info("KV_TIDINGS", subjects_filter=">")).state.subjects or {}
    given = await root.jetstream.consumer_info("TIDINGS_us", "home")
    return {
        "flights": {subject: count for subject, count in (info.state.subjects or {}).items() if subject not in mine},
        "first": info.state.first_seq,
        "config": (await root.jetstream.stream_info("TIDINGS_us")).config,
        "ahead": (await root.jetstream.stream_info("TIDINGS_AHEAD_us")).state.messages,
        "keys": {
            key: (await root.jetstream.get_last_msg("KV_TIDINGS", key)).seq
            for key in keys
            if key not in {key for _, key in OWN.values()}
        },
        "given": (given.num_ack_pending, given.ack_floor.stream_seq if given.ack_floor else 0, given.num_waiting),
    }


async def attacked(cluster: Cluster, of: Any, user: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what of others was there before a member has had all answers be sent to where they would do harm, and after."""
    refused: list[str] = []

    async def note(error: Exception) -> None:
        refused.append(str(error).lower())

    async with of("root", "_INBOX.admin") as root, of("us", inbox_of("home", "us")) as us:
        for _ in range(3):
            await us.flights.send("us", "home_us", uuid4(), b"of another")
        held, *_ = await us.flights.receive("us", 10)  # and not acknowledged
        before = await kept_of(root)
        inbox = f"{inbox_of(ROLES[user], user)}.hostile"
        client = await nats.connect(url_of(cluster, user), inbox_prefix=inbox, error_cb=note)
        hostile = Answered(client, user)
        for reply in (*ELSEWHERE, held._message.reply):
            await hostile.to(reply, {})
            await hostile.to(reply, {"Nats-Trace-Dest": reply, "Nats-Request-Info": '{"acc": "FLEET", "svc": "FLEET"}'})
        await client.flush()

        async def is_done() -> bool:  # the streams have heard all: those at whose answers the servers took offence are few
            found = await root.jetstream.stream_info("TIDINGS_us", subjects_filter=OWN[user][0])
            sent = (found.state.subjects or {}).get(OWN[user][0], 0)
            return bool(sent >= hostile.sent - sum("reply of" in one and "js.ack" in one for one in refused))

        await eventually(is_done)
        await client.request("$JS.API.STREAM.INFO.KV_TIDINGS", b"", timeout=10)  # and have answered
        after = await kept_of(root)
        await client.close()
        return before, after


@pytest.mark.parametrize("nodes", [1, 3])
@pytest.mark.parametrize("user", OWN)
async def test_an_answer_that_is_asked_to_go_elsewhere_changes_nothing_of_others(user: str, nodes: int, tmp_path: Path) -> None:
    async with apart(tmp_path, accounts(), nodes) as (cluster, of):
        before, after = await attacked(cluster, of, user)
    assert after == before
    assert before["flights"] == {"tidings.flights.us.home_us": 3}
    assert before["given"][0] == 3


async def test_permissions_in_one_account_do_not_keep_a_member_from_that(tmp_path: Path) -> None:
    """What docs/fleet-reference.md says of it is so."""
    async with (
        servers.running(tmp_path, more=permissions(), login="root:p@") as cluster,
        stream.opened(cluster.url, credentials=None, ca_file=None, inbox="_INBOX.admin") as root,
    ):
        await make(root, fleet_of(("eu", "us")), replicas=1, most_bytes=10_000_000)
        url = url_of(cluster, "shop")
        async with stream.opened(url, credentials=None, ca_file=None, inbox=inbox_of("source", "shop")) as shop:
            await shop.flights.send("us", "shop", uuid4(), b"of another")
        client = await nats.connect(url_of(cluster, "billing"), inbox_prefix=inbox_of("source", "billing"))
        own = "$KV.TIDINGS.sources.billing"
        await client.publish(own, b'{"seq": 99}')
        await client.publish(f"$JS.API.DIRECT.GET.KV_TIDINGS.{own}", b"", reply="$JS.API.STREAM.PURGE.TIDINGS_us")
        await client.publish(own, b"[]", reply="$KV.TIDINGS.fleet")

        async def is_harmed() -> bool:
            directory = await root.jetstream.get_last_msg("KV_TIDINGS", "$KV.TIDINGS.fleet")
            return (await root.flights.holding("us")).first > 1 and b"homes" not in (directory.data or b"")

        await eventually(is_harmed)
        await client.close()


# What the servers remember of who waits --------------------------------------------------------------------------------------------


async def test_where_answers_go_is_forgotten_and_not_before_a_home_has_waited_for_them(tmp_path: Path) -> None:
    """For each time that a home fetches flights the servers note where they go. Else that would grow for ever."""
    (monitor,) = free_ports(1)
    text = accounts()
    assert text.count(ANSWERS_FOR) == 1
    assert int(ANSWERS_FOR.strip('"s')) > RECEIVE_SECONDS
    soon = text.replace(ANSWERS_FOR, '"1s"') + f"\nhttp: 127.0.0.1:{monitor}\n"

    async with apart(tmp_path, soon) as (_, of), of("eu", inbox_of("home", "eu")) as eu, httpx.AsyncClient() as client:

        async def noted() -> int:
            said = (await client.get(f"http://127.0.0.1:{monitor}/accountz?acc=FLEET")).json()
            return len(said["account_detail"].get("responses") or ())

        for _ in range(20):
            assert await eu.flights.receive("eu", 0.01) == []
        assert await noted() > 0

        async def is_forgotten() -> bool:
            return await noted() == 0

        await eventually(is_forgotten)
        sending = asyncio.create_task(eu.flights.send("eu", "home_eu", uuid4(), b"x"))
        (flight,) = await eu.flights.receive("eu", 10)
        await flight.done()
        await sending


# What the file says --------------------------------------------------------------------------------------------------------------

NEVER = (
    "$KV.TIDINGS.fleet", "$KV.TIDINGS.drained", "$KV.TIDINGS.>", "$JS.API.>", "tidings.>", ">",
    *(f"$JS.API.STREAM.{call}.TIDINGS_eu" for call in ("CREATE", "UPDATE", "DELETE", "MSG.DELETE", "SNAPSHOT", "RESTORE")),
    *(f"$JS.API.CONSUMER.{call}.TIDINGS_eu.home" for call in ("CREATE", "DURABLE.CREATE", "DELETE", "PAUSE")),
)  # fmt: skip


def test_a_node_does_not_start_with_an_account_that_imports_more_than_any_member_can_be_let_do(tmp_path: Path) -> None:
    config = tmp_path / "nats.conf"

    def checked(subject: str) -> str:
        own = 'subject: "$KV.TIDINGS.settled.billing"'
        assert accounts().count(own) == 1
        config.write_text(accounts().replace(own, f'subject: "{subject}"'))
        done = subprocess.run(
            [servers.SERVER, "-t", "-c", config], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        return done.stderr if done.returncode else ""

    assert checked("$KV.TIDINGS.settled.billing") == ""
    for subject in NEVER:
        assert f'service import "{subject}": service import not authorized' in checked(subject)


def test_the_source_that_the_docs_show_is_what_the_file_has_for_its_own() -> None:
    text = DOCS.read_text().partition("### Each member an account")[2]
    shown, there = parts_of(text)["shop"], parts_of(accounts())["shop"]
    assert re.sub(r" +#.*\n", "", there) == shown.replace("$NATS_SHOP_PASSWORD", "p")

"""Configuration as a file: what is exported applies as nothing to do, and what is applied is there."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.conftest import url_of
from tests.support.engine import Engine, engine_of, eventually
from tests.support.serving import ApiServer
from tests.support.terminal import Terminal
from tidings.config import Config

FILE = """
tidings: 1
webhooks:
  erp:
    url: https://erp.example.com/hook
    events: [{table: orders, operations: [INSERT]}, order.*, {collection: posts}]
    description: Books what is paid.
    secret: {env: ERP_SECRET}
    auth: {type: basic, username: tidings, password: {env: ERP_PASSWORD}}
    headers: {X-Team: {env: TEAM}, X-Plain: "yes"}
    retry: {delays: [1, 2, 3]}
    rate_per_second: 5
    ordered: true
  vivreal:
    url: https://cms.example.com/hook
    events: "*"
    profile: vivreal
    body_template: '{"id": "{{id}}"}'
jobs:
  nightly:
    schedule: "0 3 * * MON"
    timezone: Europe/Berlin
    url: https://jobs.example.com/run
    body: {what: clean up}
    headers: {X-Run: "1"}
    retryLimit: 2
    timeout: 12.5
  beat: {schedule: "* * * * *", url: "https://jobs.example.com/beat"}
event_types:
  order.paid:
    description: An order was paid.
    schema: {type: object, required: [id]}
    example: {id: 17, env: prod}
collections:
  posts:
    schema:
      - {name: title, type: text, required: true}
      - {name: kind, type: select, values: [a, b]}
    options: {triggers: [{action: create, url: "https://x.example.com/", headers: {X-A: {env: TEAM}}}]}
integrations:
  shop: {platform: stripe, secret: {env: SHOP_SECRET}}
  other: {platform: hmac, settings: {header: X-Sign, format: base64, deployed_types: [done]}}
redaction:
  people: {events: ["order.*"], webhook: erp, fields: [customer.email], payload_hours: 24}
  answers: {events: ["*"], responses: scrubbed}
limits: {webhooks: 50, stored_bytes: 1000000000}
egress: {denied_networks: [10.0.0.0/8], https_only: true}
installation:
  groups: {acme: , globex: {}}
  limits: {payload_bytes: 100000}
  tables:
    orders: {exclude: [secret], rename: {total: amount}, changed: [total], when: {INSERT: "new.total > 0"}}
    sales.items: {group_by: account}
"""
VARIABLES = {
    "ERP_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "ERP_PASSWORD": "hidden-password", "TEAM": "hidden-team",
    "SHOP_SECRET": "whsec_of_the_shop",
}  # fmt: skip
UNCOMPARED = ["integrations.shop", "webhooks.erp"]  # what has what cannot be read


@asynccontextmanager
async def installation(postgres: str, template: str, name: str, folder: Path) -> AsyncIterator[Engine]:
    """An installation in a database of its own."""
    connection = await asyncpg.connect(postgres)
    await connection.execute(f"create database {name} template {template}")
    config = Config(
        database_url=url_of(postgres, name), data_dir=folder, secret_key="test", admin_key="test",
        allow_private_networks="127.0.0.0/8", port=0, stop_grace_seconds=5,
    )  # fmt: skip
    try:
        async with engine_of(config) as engine:
            await engine.user.execute("create table orders (id int primary key, total int, secret text)")
            await engine.user.execute("create schema sales; create table sales.items (id int primary key, account text)")
            yield engine
    finally:
        await connection.execute(f"drop database {name} with (force)")
        await connection.close()


@pytest.fixture(scope="module")
async def engine(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engine]:
    async with installation(postgres, template, f"{template}_apply", tmp_path_factory.mktemp("data")) as engine:
        yield engine


@pytest.fixture(scope="module")
async def url(engine: Engine, api_server: ApiServer) -> AsyncIterator[str]:
    async with api_server.serving(engine.services) as url:
        yield url


@pytest.fixture
def terminal(url: str, tmp_path: Path) -> Terminal:
    return Terminal(url, tmp_path)


async def applied(terminal: Terminal, text: str, *words: str, **options: Any) -> Any:
    return json.loads(await terminal("apply", "-", "--json", *words, input=text, **{**VARIABLES, **options}))


def steps(told: Any, *, of: str = "") -> dict[str, str]:
    """What is done to which thing."""
    return {f"{one['section']}.{one['name']}": one["does"] for one in told["steps"] if not of or one["does"] == of}


async def changes_on_record(terminal: Terminal) -> int:
    return len(await terminal.read("audit", "list", "--all"))


async def test_a_file_from_nothing_to_nothing(terminal: Terminal, engine: Engine) -> None:
    """One walk: a trial, applied, applied again, exported and applied, changed, pruned."""
    dry = await terminal("apply", "-", "--dry-run", input=FILE)  # without a variable that is set
    assert "Would be: 12 added, 5 changed. Nothing was changed." in dry
    assert "Not set here, so not compared: TEAM, SHOP_SECRET, ERP_SECRET, ERP_PASSWORD" in dry
    assert "~ orders" in dry  # tables are there: what is said of them is changed
    assert 'exclude: [] → ["secret"]' in dry
    assert await engine.value("select count(*) from tidings.webhooks") == 0

    before = await changes_on_record(terminal)
    first = await applied(terminal, FILE)
    assert {one["did"] for one in first["steps"]} == {"added", "changed"}
    assert not [value for value in VARIABLES.values() if value in json.dumps(first)]
    assert first["changed"] == 17
    after = await changes_on_record(terminal)
    assert after >= before + 17

    second = await applied(terminal, FILE, "--prune", "--yes")
    assert (second["changed"], sorted(steps(second))) == (0, UNCOMPARED)
    assert {one["did"] for one in second["steps"]} == {None}
    assert await changes_on_record(terminal) == after
    assert "Nothing to do: all is as the file says." in await terminal("apply", "-", input=FILE, **VARIABLES)

    told = await terminal("export", "--installation", "--secrets")
    assert not [value for value in VARIABLES.values() if value in told.replace("hidden-team", "")]
    given = {**VARIABLES, "ERP_AUTH_PASSWORD": VARIABLES["ERP_PASSWORD"]}
    named = set(re.findall(r"env: ([A-Z]\w+)", told))
    assert {"ERP_SECRET", "ERP_AUTH_PASSWORD", "VIVREAL_SECRET", "SHOP_SECRET", "OTHER_SECRET"} == named
    other = {name: await terminal("webhooks", "secret", "vivreal", "-q") for name in ("VIVREAL_SECRET",)}
    told = re.sub(r"\n +secret:\n +env: OTHER_SECRET", "", told)
    again = await applied(terminal, told, "--prune", "--yes", **given, **{n: v.strip() for n, v in other.items()})
    assert (again["changed"], set(steps(again, of="compare"))) == (0, set(steps(again)))

    another = FILE.replace("ordered: true", "ordered: false").replace("    rate_per_second: 5\n", "")
    another = another.replace('X-Plain: "yes"', 'X-Other: "1"').replace("  beat: {sch", "  beat: {active: false, sch")
    plan = await terminal("apply", "-", "--dry-run", input=another, **VARIABLES)
    assert [line.strip() for line in plan.splitlines() if "→" in line] == [
        'headers.X-Other: (nothing) → "1"', 'headers.X-Plain: "yes" → (nothing)', "ordered: true → false",
        "rate_per_second: 5.0 → null", "active: true → false",
    ]  # fmt: skip
    moved = another.replace("erp.example.com", "erp2.example.com").replace("ERP_PASSWORD", "NEW_PASSWORD")
    told = await applied(terminal, moved, NEW_PASSWORD="another")
    assert steps(told, of="change") == {"webhooks.erp": "change", "jobs.beat": "change"}
    erp = await terminal.read("webhooks", "get", "erp")
    assert (erp["url"], erp["ordered"], erp["rate_per_second"]) == ("https://erp2.example.com/hook", False, None)
    assert erp["headers"] == {"X-Team": "hidden-team", "X-Other": "1"}
    secret = (await applied(terminal, moved, NEW_PASSWORD="a third"))["steps"]
    assert [(one["name"], one["did"]) for one in secret] == [("shop", None), ("erp", "changed")]

    less = "tidings: 1\nwebhooks: {vivreal: {url: https://cms.example.com/hook, events: '*', profile: vivreal, body_template: '{\"id\": \"{{id}}\"}'}}\n"
    less += "redaction: {}\njobs: {}\ncollections: {}\ninstallation: {tables: {}, groups: {}}\n"
    kept = await terminal("apply", "-", input=less)
    assert "Not in the file and left alone, of webhooks: erp (--prune removes them)." in kept
    refused = await terminal.refused("apply", "-", "--prune", "-q", code=2, input=less)
    assert "Remove 7 thing(s)? Nothing brings them back. Add --yes" in refused
    gone = await applied(terminal, less, "--prune", "--yes")
    assert steps(gone) == {
        "redaction.people": "remove", "redaction.answers": "remove", "jobs.nightly": "remove", "jobs.beat": "remove",
        "webhooks.erp": "remove", "installation.tables.sales.items": "remove", "installation.tables.orders": "remove",
    }  # fmt: skip
    assert [one["name"] for one in await terminal.read("collections", "list")] == ["posts"]  # records stay
    assert steps(await applied(terminal, less, "--prune", "--yes")) == {}


BAD = {
    "tidings: 2": "line 1, tidings: The file must say tidings: 1",
    "tidings: 1\nwebhoks: {}": "line 2, webhoks: There is no field 'webhoks' here. Did you mean \"webhooks\"?",
    "tidings: 1\nwebhooks:\n  a:\n    url: 5\n    events: '*'": "line 4, webhooks.a.url: Expected `str`, got `int`.",
    "tidings: 1\nwebhooks:\n  a:\n    url: https://x.y\n    events:\n    - a b": "line 6, webhooks.a.events[0]: events[0] is 'a b'",
    "tidings: 1\nwebhooks:\n  a:\n    url: https://x.y\n    events: '*'\n    secret: abc": "line 6, webhooks.a.secret: secret would be known",
    "tidings: 1\nintegrations:\n  a:\n    platform: stripe\n    secret: {env: UNSET_1}": "line 5, integrations.a.secret: The variable UNSET_1 is not set.",
    "tidings: 1\njobs:\n  a: {schedule: x, url: https://x.y}": "line 3, jobs.a.schedule: ",
    "tidings: 1\njobs:\n  a:\n    schedule: 1 1 1 1 1": "line 3, jobs.a.url: A job has url, for a request, or sql",
    "tidings: 1\na: 1\na: 2": "line 3: a is there twice.",
    "tidings: 1\nwebhooks: &a {}\njobs: *a": "line 2: Anchors (&) and aliases (*) are not read here",
    "tidings: 1\nwebhooks: !!python/object:os.system {}": "line 2: The tag ",
    "tidings: 1\ngroup: acme": "The file is for group acme, and --group or TIDINGS_GROUP says globex.",
    "- a": "line 1: The file must be names with what they say",
    "a: [": "This is no YAML: ",
    "[" * 50: "There are more than 40 lists and mappings within each other.",
    b"a: \xff": "line 1: This is no text in UTF-8.",
    b"#" * 2_097_153: "has more than 2,048 KiB.",
}


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
async def test_what_cannot_be_is_refused_with_its_line(terminal: Terminal, text: str | bytes) -> None:
    said = await terminal.refused("apply", "-", "--group", "globex", code=2, input=text)
    assert BAD[text] in said


async def test_two_that_apply_the_same_at_once_are_told_that_it_is_there_twice(
    terminal: Terminal, engine: Engine, tmp_path: Path
) -> None:
    """Names of webhooks are free, so the server takes both; whoever reads last says so."""
    file = tmp_path / "twice.yaml"
    file.write_text("tidings: 1\nwebhooks: {race: {url: https://race.example.com/, events: [a.b]}}\n")
    async with engine.holding("lock table tidings.webhooks in share mode"):  # both look, and neither can add
        both = [terminal.start("apply", str(file)) for _ in range(2)]
        await eventually(lambda: engine.are_waiting(2))
    said = [await asyncio.to_thread(one.communicate) for one in both]
    assert 1 in {one.returncode for one in both}, said
    assert "2 webhooks are called 'race', since another apply added it at the same time" in "".join(err for _, err in said)
    (id_, *_) = [one["id"] for one in await terminal.read("webhooks", "list") if one["name"] == "race"]
    await terminal("webhooks", "delete", id_, "--yes")
    assert "Nothing to do" in await terminal("apply", str(file))


async def test_names_that_several_have_are_refused_with_the_remedy(terminal: Terminal) -> None:
    for _ in range(2):
        await terminal("webhooks", "create", "--name", "twin", "--url", "https://twin.example.com/", "--events", "a.b")
    said = await terminal.refused("export", code=2)
    assert re.search(r"2 webhooks are called 'twin', .* tidings webhooks edit [0-9a-f-]{36} --name …", said)
    file = "tidings: 1\nwebhooks: {twin: {url: https://twin.example.com/, events: [a.b]}}"
    assert "none of them can be told apart" in await terminal.refused("apply", "-", code=2, input=file)
    assert "none of them can be told apart" in await terminal.refused(
        "apply", "-", "--prune", code=2, input="tidings: 1\nwebhooks: {}"
    )
    for one in await terminal.read("webhooks", "list"):
        if one["name"] == "twin":
            await terminal("webhooks", "delete", one["id"], "--yes")


async def test_a_refusal_in_the_middle_says_how_far_it_came_and_the_next_time_goes_on(terminal: Terminal) -> None:
    file = "tidings: 1\nevent_types: {a.b: {description: x}}\nwebhooks: {late: {url: https://late.example.com/, events: [{table: nowhere}]}}"
    said = await terminal.refused("apply", "-", "-q", code=2, input=file)
    assert "line 3, webhooks.late.events[0].table: There is no table public.nowhere." in said
    assert "1 of 2 steps were done before; run it again when this is mended." in said
    mended = file.replace("{table: nowhere}", "a.b")
    assert steps(await applied(terminal, mended)) == {"webhooks.late": "add"}


async def test_what_a_change_takes_from_others_is_said_once(terminal: Terminal) -> None:
    file = "tidings: 1\nwebhooks: {hears: {url: https://hears.example.com/, events: [{table: orders}]}}\n"
    assert "a secret was made" in (await terminal.run("apply", "-", input=file)).stderr
    file += "installation: {tables: {orders: {group_by: secret}}}"
    said = (await terminal.run("apply", "-", "--json", input=file)).stderr
    assert said.startswith(
        "tidings: installation.tables.orders.group_by: A row of public.orders belongs to the group that its "
    )
    assert "'hears'" in said
    assert (await terminal.run("apply", "-", "--json", input=file)).stderr == ""
    await terminal("apply", "-", "--prune", "--yes", input="tidings: 1\nwebhooks: {}\ninstallation: {tables: {}}")


async def test_a_key_of_one_group_exports_what_it_may_see(terminal: Terminal, tmp_path: Path) -> None:
    await terminal("groups", "create", "initech")
    key = await terminal("keys", "create", "--name", "k", "--scopes", "webhooks:write", "--bound-to", "initech", "-q")
    own = Terminal(terminal.url, tmp_path, key=key.strip())
    file = "tidings: 1\ngroup: initech\nwebhooks: {own: {url: https://own.example.com/, events: [a.b]}}\n"
    await own("apply", "-", input=file)
    result = await own.run("export", "--installation")
    assert result.stdout == (
        "tidings: 1\ngroup: initech\nwebhooks:\n  own:\n    url: https://own.example.com/\n    events:\n    - a.b\n    profile: standard\n"
    )
    assert "Left out: jobs." in result.stderr
    assert "Left out: installation.tables." in result.stderr
    assert [one["name"] for one in await terminal.read("webhooks", "list", "--group", "initech")] == ["own"]

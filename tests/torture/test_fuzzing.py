"""Every operation of `/openapi.json` with requests that a machine makes up, fit and unfit: no 5xx, no answer that is not documented,
each answer as its schema says. Against a process of its own, with a worker, on real PostgreSQL.
"""

import asyncio
import json
import random
import re
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.stateful import run_state_machine_as_test
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.limits import PATIENCE
from tests.support.process import Process
from tests.support.torture import LONG, told

KEY = {"Authorization": "Bearer fuzzing"}
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 150 if LONG else 3  # of each operation, fit and unfit each
WALKS, STEPS = (200, 30) if LONG else (3, 8)
MODES = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)


@schemathesis.serializer("application/x-ndjson")
def lines(_: Any, value: Any) -> bytes:
    """One JSON document a line; what is no array is sent as one."""
    return b"\n".join(json.dumps(one).encode() for one in (value if isinstance(value, list) else [value]))


class Findings:
    """What was found, by operation and kind, with the first request that showed it."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.found: dict[tuple[str, str], str] = {}

    def judge(self, case: Any, response: Any) -> None:
        """Check an answer and keep what is wrong with it."""
        self.statuses[response.status_code] += 1
        if response.status_code == 503 and response.json().get("code") == "BUSY":
            return  # another change was under way at the same moment, and said so
        try:
            case.validate_response(response, checks=CHECKS)
        except (FailureGroup, Failure) as group:
            for failure in getattr(group, "exceptions", [group]):
                name = f"{case.operation.method.upper()} {case.operation.path}"
                request = response.request
                sent = request.body if isinstance(request.body, bytes) else str(request.body).encode()
                self.found.setdefault(
                    (name, type(failure).__name__ + re.sub(r"[0-9a-f]{8}-[0-9a-f-]+", "ID", str(failure))[:400]),
                    f"{request.method} {request.url}\n    {sent[:500]!r}\n    {response.status_code} {response.text[:300]}",
                )

    @property
    def report(self) -> str:
        return "\n\n".join(f"{name}: {kind}\n    {request}" for (name, kind), request in sorted(self.found.items()))


def made_before(url: str) -> dict[str, list[str]]:
    """Make some of everything, and return the ids that paths can name."""
    session = requests.Session()
    session.headers.update(KEY)

    def make(path: str, body: Any, method: str = "post") -> Any:
        answer = session.request(method, url + path, json=body, timeout=PATIENCE)
        assert answer.status_code < 300, (path, answer.text)
        return answer.json()

    hook = make(
        "/api/v1/webhooks", {"url": "http://127.0.0.1:9/", "events": ["order.*", {"table": "orders"}], "enabled": False}
    )
    make("/api/collections", {"name": "posts", "schema": [{"name": "title", "type": "text"}, {"name": "n", "type": "number"}]})
    make("/api/collections", {"name": "users", "type": "auth", "schema": []})
    record = make("/api/collections/posts/records", {"title": "one", "n": 1})
    event = make("/api/v1/events", {"type": "order.paid", "data": {"total": 1}})
    make("/api/v1/integrations", {"name": "shop", "platform": "hmac"})
    make("/api/v1/event-types/order.paid", {"description": "Paid."}, "put")
    job = make("/api/cron", {"name": "job", "schedule": "0 0 1 1 *", "url": "http://127.0.0.1:9/"})
    recovery = make("/api/v1/deliveries/retry", {"status": "failed"})
    return {
        "webhook_id": [hook["id"]], "event_id": [event["id"]], "collection": ["posts", "users"], "record_id": [record["id"]],
        "name": ["shop", "order.paid"], "table": ["orders"], "group_id": ["default"], "job_id": [str(job["id"])],
        "recovery_id": [recovery["id"]],
    }  # fmt: skip


ENDLESS = "/api/v1/attempts/stream"  # an answer without an end is for tests that follow it


def asked(document: Any) -> Any:
    """Return the document without what cannot be waited for."""
    return {**document, "paths": {path: said for path, said in document["paths"].items() if path != ENDLESS}}


def fuzz(url: str, document: Any, findings: Findings, examples: int) -> int:
    """Ask every operation, and return how many there are."""
    known, session = made_before(url), requests.Session()
    rng, count = random.Random(11), 0
    schema = schemathesis.openapi.from_dict(asked(document))
    for found in schema.get_all_operations():
        operation, count = found.ok(), count + 1
        for mode in MODES:

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(
                max_examples=examples, deadline=None, database=None, derandomize=not LONG, phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            def ask(case: Any) -> None:
                for name, values in known.items():
                    if name in (case.path_parameters or {}) and rng.random() < 0.7:
                        case.path_parameters[name] = rng.choice(values)
                findings.judge(case, case.call(base_url=url, headers=KEY, session=session, timeout=PATIENCE))

            with suppress(Unsatisfiable):  # nothing can be unfit about a call without parameters
                ask()
    return count


def walk(url: str, document: Any, findings: Findings) -> None:
    """Ask for what earlier answers named: made, read, changed, deleted."""
    schema = schemathesis.openapi.from_dict(asked(document))

    class Walk(schema.as_state_machine()):  # type: ignore[misc]
        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"base_url": url, "headers": KEY, "timeout": PATIENCE}

        def validate_response(self, response: Any, case: Any, **_: Any) -> None:
            findings.judge(case, response)

    limits = settings(
        max_examples=WALKS, stateful_step_count=STEPS, deadline=None, database=None, derandomize=not LONG,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(Walk, settings=limits)


async def test_no_request_makes_a_fault_nor_an_answer_that_is_not_documented(database_url: str, tmp_path: Path) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("create table orders (id int primary key, total numeric)")
    await connection.close()
    server = await Process.start(
        "serve", database_url=database_url, data_dir=tmp_path, secret_key="fuzzing", admin_key="fuzzing", port=0,
        allow_private_networks="127.0.0.0/8", stop_grace_seconds=1,
    )  # fmt: skip
    findings, begun = Findings(), time.monotonic()
    try:
        url = server.ready["url"]
        document = json.loads((await asyncio.to_thread(requests.get, f"{url}/openapi.json", headers=KEY)).content)
        count = await asyncio.to_thread(fuzz, url, document, findings, EXAMPLES)
        await asyncio.to_thread(walk, url, document, findings)
    finally:
        await server.stop()
    told(
        "fuzzing",
        {
            "operations": count,
            "requests": sum(findings.statuses.values()),
            "answers 2xx": sum(n for status, n in findings.statuses.items() if status < 300),
            "answers 4xx": sum(n for status, n in findings.statuses.items() if 400 <= status < 500),
            "answers 5xx": sum(n for status, n in findings.statuses.items() if status >= 500),
            "answers that are not documented, or not as their schema says": len(findings.found),
            "minutes": (time.monotonic() - begun) / 60,
        },
    )
    assert not findings.found, f"{len(findings.found)} findings:\n\n{findings.report}"

"""What is exported of one installation makes another one the same."""

import random
from pathlib import Path
from typing import Any

from tests.integration.test_apply import installation
from tests.support.serving import ApiServer
from tests.support.terminal import Terminal
from tidings.cli.remote.configuration import text


def anything(rng: random.Random) -> dict[str, Any]:
    """A file with many things, each with some of its fields, chosen by lot."""

    def some(**fields: Any) -> dict[str, Any]:
        return {name: value for name, value in fields.items() if rng.random() < 0.4}

    def word() -> str:
        return "".join(rng.choice("aZ09-_ .:#'\"äß漢é😀") for _ in range(rng.randint(1, 12))).strip() or "x"

    def webhook() -> dict[str, Any]:
        events = rng.choice(
            ["*", ["a.b"], ["a.*", {"table": "orders", "operations": ["INSERT"]}], [{"schema": "sales", "table": "items"}]]
        )
        profiles = ["standard", "cloudevents", "cloudevents-structured"]
        profiles += ["vivreal", "vski", "fluxbase"] if events == "*" else []  # others have no words for these
        return {"url": f"https://h{rng.randint(0, 99)}.example.com/{rng.randint(0, 9)}", "events": events} | some(
            profile=rng.choice(profiles), description=word(), enabled=rng.random() < 0.5,
            method=rng.choice(["POST", "PUT", "PATCH"]), headers={"X-A": word().encode("ascii", "ignore").decode().strip() or "1"},
            timeout_seconds=rng.randint(1, 60) / 2, retry=rng.choice([{"delays": [1, 2.5]}, {"delays": []}, {"base": 5, "factor": 2, "max": 3600, "tries": 4}]),
            concurrency=rng.randint(1, 9), rate_per_second=rng.choice([None, 0.5, 7]), ordered=rng.random() < 0.5,
        )  # fmt: skip

    def job() -> dict[str, Any]:
        return {"schedule": rng.choice(["0 3 * * *", "*/5 * * * MON"]), "url": "https://j.example.com/"} | some(
            timezone="Asia/Tokyo", timeout=rng.randint(1, 60), active=rng.random() < 0.5, missed=rng.choice(["once", "skip"]),
            retryLimit=rng.randint(0, 5), body=rng.choice([{"a": [1, None]}, [word()]]), headers={"X-B": "1"},
        )  # fmt: skip

    def rule() -> dict[str, Any]:
        return {"events": ["*"], "headers": ["x-a"]} | some(
            fields=["a.b", "c"], responses="none", resend_hours=9, payload_hours=24
        )

    def type_() -> dict[str, Any]:
        field = word()
        return some(description=word(), schema={"type": "object", "required": [field]}, example={field: [1.5, word(), None]})

    return {
        "tidings": 1,
        "webhooks": {f"{word()} {n}": webhook() for n in range(25)},
        "jobs": {f"{word()} {n}": job() for n in range(8)},
        "redaction": {f"{word()} {n}": rule() for n in range(5)},
        "event_types": {f"t{n}.made": type_() for n in range(8)},
    }


async def test_what_is_exported_makes_an_empty_installation_the_same(
    postgres: str, template: str, api_server: ApiServer, tmp_path: Path
) -> None:
    """Whatever there is: applied to an empty database, exported, applied to another one and exported again."""
    told = [text.write(anything(random.Random(7)))]
    for name in ("one", "other"):
        folder = tmp_path / name
        folder.mkdir()
        async with (
            installation(postgres, template, f"{template}_{name}", folder) as own,
            api_server.serving(own.services) as url,
        ):
            there = Terminal(url, folder)
            await there("apply", "-", input=told[-1])
            assert "Nothing to do" in await there("apply", "-", "--prune", "--yes", input=told[-1])
            told.append(await there("export"))
            assert "Nothing to do" in await there("apply", "-", "--prune", "--yes", input=told[-1])
    assert told[1] == told[2]

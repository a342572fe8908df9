"""Clients that others' generators make of `/openapi.json`: they compile, and they drive a server."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_api import Api, api  # noqa: F401 - a fixture
from tests.support.engine import eventually
from tests.support.limits import PATIENCE
from tests.support.node import NODE
from tests.support.receiver import Receiver, answer, says
from tests.support.sdk import document

PROGRAM = NODE / "generated" / "client.mts"
COMPILER = {
    "target": "ES2022", "module": "NodeNext", "moduleResolution": "NodeNext", "strict": True, "noEmit": True,
    "lib": ["ES2022", "DOM"], "types": [],
}  # fmt: skip


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_types_made_by_openapi_typescript_guide_a_program(tmp_path: Path) -> None:
    (tmp_path / "openapi.json").write_text(json.dumps(document()))
    (tmp_path / "node_modules").symlink_to(NODE / "node_modules")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "client.mts").write_text(PROGRAM.read_text())
    (tmp_path / "tsconfig.json").write_text(json.dumps({"compilerOptions": COMPILER, "include": ["*.mts", "*.ts"]}))
    tools = NODE / "node_modules" / ".bin"
    run(str(tools / "openapi-typescript"), "openapi.json", "-o", "schema.ts", cwd=tmp_path)
    run(str(tools / "tsc"), "-p", ".", cwd=tmp_path)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The package that openapi-python-client makes, importable as `generated_client`."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "openapi.json").write_text(json.dumps(document()))
    (folder / "config.yml").write_text("post_hooks: []\n")
    program = str(Path(sys.executable).with_name("openapi-python-client"))
    said = run(
        program, "generate", "--path", "openapi.json", "--meta", "none", "--output-path", "generated_client",
        "--config", "config.yml", cwd=folder,
    )  # fmt: skip
    assert "will not be generated" not in said, said
    sys.path.insert(0, str(folder))
    yield folder / "generated_client"
    sys.path.remove(str(folder))


def part(name: str) -> Any:
    return importlib.import_module(f"generated_client.{name}")


async def test_a_client_made_by_openapi_python_client_drives_a_server(
    api: Api,  # noqa: F811
    receiver: Receiver,
    generated: Path,
) -> None:
    assert len(list((generated / "models").iterdir())) < 260  # one Error, and none for each operation and status
    models = part("models")
    client = part("client").AuthenticatedClient(base_url=str(api.client.base_url), token="test")
    receiver.scripts.append(says(answer(500, b"no")))
    body = models.WebhookCreate(
        url=receiver.url("/hook"), events=["order.*"], profile=models.Profile.STANDARD, retry=models.RetryDelays(delays=[])
    )
    async with client:
        made = await part("api.webhooks.create_webhook").asyncio(client=client, body=body)
        assert isinstance(made, models.Webhook)
        assert (made.profile, made.events, made.retry.delays) == (models.Profile.STANDARD, ["order.*"], [])
        assert [warning.code for warning in made.warnings] == ["NO_SUCH_TYPE"]
        (listed,) = await part("api.webhooks.list_webhooks").asyncio(client=client)
        assert listed.id == made.id
        event = models.EventCreate(type_="order.paid", data={"total": 12.5}, id="order-17-paid")
        published = await part("api.events.publish_event").asyncio(client=client, body=event)
        assert published.duplicate is False
        await receiver.wait_for(1)

        async def failed() -> Any:
            return await part("api.deliveries.list_deliveries").asyncio(client=client, status=[models.DeliveryStatus.FAILED])

        (delivery,) = await eventually(failed)
        assert (delivery.event, delivery.response_status, delivery.status) == ("order.paid", 500, models.DeliveryStatus.FAILED)
        await part("api.deliveries.retry_delivery").asyncio(delivery.id, client=client)
        await receiver.wait_for(2)
        refused = await part("api.webhooks.get_webhook").asyncio(published.id, client=client)
        assert isinstance(refused, models.Error)
        assert refused.code == "NOT_FOUND"

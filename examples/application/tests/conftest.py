"""What the tests run against: a real Tidings, with a PostgreSQL of its own unless DATABASE_URL names one, and the shop.

SHOP says which: python, unless it is typescript.
"""

import json
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook

import tidings

HERE = Path(__file__).parent
TIDINGS = (sys.executable, "-m", "tidings")
SHOPS = {"python": (sys.executable, "-m", "uvicorn", "shop:app", "--log-level", "warning"), "typescript": ("node", "shop.mjs")}
SECRETS = {
    "WEBHOOK_SECRET": "whsec_c2hvcC1zaG9wLXNob3Atc2hvcC1zaG9w",
    "CARRIER_SECRET": "whsec_Y2Fycmllci1jYXJyaWVyLWNhcnJpZXItMQ==",
}
PATIENCE = 120  # seconds; only what is broken takes as long


@contextmanager
def running(*command: str, folder: Path = HERE, **environ: str) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(command, cwd=folder, env=os.environ | environ, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)
        process.stdout.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict]:
    """Tidings, as `tidings serve` runs it; yields what it says when it is ready."""
    settings = {"ADMIN_KEY": "key", "SECRET_KEY": "test", "ALLOW_PRIVATE_NETWORKS": "127.0.0.0/8", "LOG_LEVEL": "error"}
    settings["DATA_DIR"] = str(tmp_path_factory.mktemp("tidings"))
    if "DATABASE_URL" in os.environ:
        settings["DATABASE_URL"] = os.environ["DATABASE_URL"]
    environ = {f"TIDINGS_{name}": value for name, value in settings.items()}
    with running(*TIDINGS, "serve", "--port", "0", "--json", **environ) as process:
        yield json.loads(process.stdout.readline())


@pytest.fixture(scope="session")
def shop(server: dict) -> Iterator[httpx.Client]:
    which = os.environ.get("SHOP", "python")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    url = f"http://127.0.0.1:{port}"
    with tidings.Client(server["url"], "key") as api:  # the shop's own may do what it does, and no more
        key = api.keys.create(name="shop", scopes=["groups:write", "webhooks:write"]).key
    known = {"DATABASE_URL": server["database_url"], "TIDINGS_URL": server["url"], "TIDINGS_KEY": key} | SECRETS
    with (
        running(*SHOPS[which], "--port", port, folder=HERE.parent / which, **known) as process,
        httpx.Client(base_url=url, timeout=PATIENCE, transport=httpx.HTTPTransport(retries=8)) as client,
    ):
        assert client.get("/healthz").status_code == 200, process.poll()
        said = known | {"TIDINGS_SERVER": server["url"], "TIDINGS_KEY": "key", "SHOP_WEBHOOK_URL": f"{url}/webhooks"}
        with running(*TIDINGS, "apply", "--yes", "../tidings.yaml", **said) as applied:
            assert applied.wait(PATIENCE) == 0
        yield client


@pytest.fixture
def api(server: dict) -> Iterator[tidings.Client]:
    with tidings.Client(server["url"], "key") as client:
        yield client


class Customer:
    """An account, and what its receiver got: (id, event), verified."""

    def __init__(self, shop: httpx.Client, api: tidings.Client, url: str, credit: int) -> None:
        self.id = shop.post("/accounts", json={"name": "Customer", "credit": credit}).json()["id"]
        self.api = api.with_options(group=self.id)
        events = [{"table": "orders"}, "order.*"]
        webhook = self.api.webhooks.create(url, events, name="ERP", ordered=True, retry={"delays": [1, 1, 1]})
        self.secret = webhook.secret
        self.got: queue.Queue = queue.Queue()
        self.answers: list[int] = []  # what to answer next; 204 after that

    def hears(self) -> tuple[str, dict]:
        return self.got.get(timeout=PATIENCE)

    def take(self, body: bytes, headers: dict) -> int:
        Webhook(self.secret).verify(body, headers)
        self.got.put((headers["webhook-id"], json.loads(body)))
        return self.answers.pop(0) if self.answers else 204


@pytest.fixture
def customer(shop: httpx.Client, api: tidings.Client) -> Iterator:
    """Make customers, each with a receiver of its own."""
    customers: list[Customer] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(customers[int(self.path[1:])].take(body, {k.lower(): v for k, v in self.headers.items()}))
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    def new(credit: int = 100) -> Customer:
        url = f"http://127.0.0.1:{receiver.server_port}/{len(customers)}"
        customers.append(Customer(shop, api, url, credit))
        return customers[-1]

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as receiver:
        threading.Thread(target=receiver.serve_forever).start()
        yield new
        receiver.shutdown()

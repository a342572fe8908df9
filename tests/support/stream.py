"""NATS JetStream as it runs in a fleet: real servers, one or three, that can be killed, frozen and started again."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.support.limits import PATIENCE
from tests.support.process import free_ports

SERVER = Path(sys.executable).parent / "nats-server"

_CONFIG = """
server_name: {name}
listen: "127.0.0.1:{port}"
max_payload: {max_payload}
jetstream {{ store_dir: "{folder}", max_file_store: {room} }}
{cluster}
{more}
"""
_CLUSTER = """cluster {{ name: tidings, listen: "127.0.0.1:{route}", routes: [{routes}] }}"""


class Node:
    """One server."""

    def __init__(self, name: str, port: int, config: Path) -> None:
        self.name = name
        self.port = port
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; what it has stored is there again."""
        with self._config.with_suffix(".log").open("ab") as log:
            self._process = subprocess.Popen([SERVER, "-c", self._config], stdout=log, stderr=log)

    def kill(self) -> None:
        """End it at once, as a power cut does to a process."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        self._process.kill()
        self._process.wait()

    def reload(self, before: str, after: str) -> None:
        """Have it follow another configuration, without a restart."""
        assert self._process is not None
        text = self._config.read_text()
        assert before in text
        self._config.write_text(text.replace(before, after))
        self._process.send_signal(signal.SIGHUP)

    def freeze(self) -> None:
        """Have it do nothing, without a word."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Have it go on."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)


class Cluster:
    """Servers that keep one stream."""

    def __init__(self, nodes: list[Node], login: str, credentials: Path | None = None) -> None:
        self.nodes = nodes
        self._login = login
        self._credentials = credentials

    @property
    def url(self) -> str:
        """Where they are, as TIDINGS_STREAM says it."""
        return ",".join(f"nats://{self._login}127.0.0.1:{node.port}" for node in self.nodes)

    async def ready(self) -> None:
        """Wait until JetStream answers."""
        import nats
        from nats.errors import Error

        async with asyncio.timeout(PATIENCE):
            while True:
                with suppress(Error, OSError, TimeoutError):
                    client = await nats.connect(
                        self.url.split(","),
                        connect_timeout=1,
                        max_reconnect_attempts=1,
                        error_cb=_quiet,
                        inbox_prefix="_INBOX.admin",
                        user_credentials=None if self._credentials is None else str(self._credentials),
                    )
                    try:
                        info = await client.jetstream(timeout=1).account_info()
                        if info is not None and await self._has_leader(client):
                            return
                    finally:
                        await client.close()
                await asyncio.sleep(0.05)

    async def _has_leader(self, client: object) -> bool:
        """A group elects one before it makes streams: the first one that can be made shows it."""
        if len(self.nodes) == 1:
            return True
        jetstream = client.jetstream(timeout=2)  # type: ignore[attr-defined]
        await jetstream.add_stream(name="probe", subjects=["probe"], num_replicas=len(self.nodes))
        await jetstream.delete_stream("probe")
        return True


async def _quiet(_: Exception) -> None:
    pass


@asynccontextmanager
async def running(
    folder: Path,
    *,
    nodes: int = 1,
    max_payload: int = 1_048_576,
    room: int = 2**30,
    more: str = "",
    login: str = "",
    credentials: Path | None = None,
) -> AsyncIterator[Cluster]:
    """Lend a cluster.

    Args:
        room: Bytes that a server stores.
        more: Lines of each server's configuration.
        login: `user:password@` of those who look whether it is ready.
        credentials: Their file of credentials, instead.
    """
    ports = free_ports(2 * nodes)
    routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports[nodes:])
    made = []
    for number in range(nodes):
        place = folder / f"node{number}"
        place.mkdir(parents=True, exist_ok=True)
        cluster = _CLUSTER.format(route=ports[nodes + number], routes=routes) if nodes > 1 else ""
        config = place / "nats.conf"
        config.write_text(
            _CONFIG.format(
                name=f"n{number}",
                port=ports[number],
                max_payload=max_payload,
                folder=place,
                room=room,
                cluster=cluster,
                more=more,
            )
        )
        made.append(Node(f"n{number}", ports[number], config))
    found = Cluster(made, login, credentials)
    for node in made:
        node.start()
    try:
        await found.ready()
        yield found
    finally:
        for node in made:
            node.kill()

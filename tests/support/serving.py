"""The API for tests: one server for all of a process, whose application is each test's own.

A server for each test would take longer than most tests do: uvicorn waits a fifth of a second before it stops.
"""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from tidings.api.services import Services
from tidings.app import application


class ApiServer:
    """Serves the API of one test after the other."""

    def __init__(self) -> None:
        self._application: Any = None
        self._server = uvicorn.Server(uvicorn.Config(self, log_config=None, access_log=False, lifespan="off"))
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    async def run(self) -> None:
        """Serve until told to stop."""
        await self._server._serve(sockets=[self._listener])  # without the signal handlers of `serve`

    def stop(self) -> None:
        self._server.should_exit = True

    @asynccontextmanager
    async def serving(self, services: Services) -> AsyncIterator[str]:
        """Serve the API of these parts while the block runs; lends its URL."""
        assert self._application is None, "one test at a time"
        self._application = application(services)
        try:
            yield self.url
        finally:
            self._application = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._application(scope, receive, send)

"""The API for tests: one server and one framework's application for all of a process, with the parts of one test after the other.

To make them for each test would take longer than most tests do: the framework reads 150 handlers, and uvicorn waits a fifth of a
second before it stops.
"""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from litestar import Litestar

from tidings import __version__
from tidings.api.bins import Bins
from tidings.api.proxies import BehindProxies
from tidings.api.publishing import PublishingFirst
from tidings.api.server import create_app
from tidings.api.serving.server import limits_of, serving
from tidings.config import Config
from tidings.operations.services import Services
from tidings.portal.door import Portal


class ApiServer:
    """Serves the API of whichever test asks."""

    def __init__(self) -> None:
        self._framework: Litestar | None = None
        self._application: Any = None
        config = serving(self, limits_of(Config(), 512))
        config.lifespan = "off"
        self._server = uvicorn.Server(config)
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
        self._framework = self._framework or create_app(services, version=__version__, plugins=[Portal(), Bins()])
        self._framework.state["services"] = services
        first = PublishingFirst(self._framework, services)
        self._application = BehindProxies(first, services.config.trusted_networks)
        try:
            yield self.url
        finally:
            self._application = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._application(scope, receive, send)

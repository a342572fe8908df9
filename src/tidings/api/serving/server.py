"""uvicorn, set up to serve strangers."""

from functools import partial
from typing import Any

import uvicorn

from tidings.api.serving.budgets import Budgets
from tidings.api.serving.entrance import Entrance, Limits
from tidings.api.serving.protocol import GuardedProtocol
from tidings.api.serving.stopping import GRACE_SECONDS
from tidings.config import Config

MAX_BODY_BYTES = 33_554_432  # of the calls that take many things at once; the others take `max_body_bytes`


def limits_of(config: Config, connections: int) -> Limits:
    """Return what clients may take.

    Args:
        connections: How many there are descriptors for.
    """
    most = min(config.max_connections or connections, connections)
    return Limits(
        connections=most,
        per_address=min(config.max_connections_per_address or max(1, most // 2), most),
        header_bytes=config.max_header_bytes,
        header_seconds=config.header_seconds,
        body_bytes=max(config.max_body_bytes, MAX_BODY_BYTES),
        body_seconds=config.body_seconds,
        idle_seconds=config.idle_seconds,
        proxies=config.trusted_networks,
    )


def serving(app: Any, limits: Limits, *, is_first: bool = True) -> uvicorn.Config:
    """Return how uvicorn is to serve an application, within limits of its own.

    Args:
        is_first: Whether this server begins and ends the application.
    """
    protocol: Any = partial(GuardedProtocol, entrance=Entrance(limits))
    return uvicorn.Config(
        Budgets(app),
        http=protocol,
        ws="none",
        proxy_headers=False,  # uvicorn's own would believe whoever is on this machine
        timeout_keep_alive=limits.idle_seconds,  # type: ignore[arg-type]  # it is handed to the event loop, which takes any number
        log_config=None,
        access_log=False,
        lifespan="on" if is_first else "off",
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
    )

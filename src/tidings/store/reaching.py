"""How PostgreSQL is reached: a connection with our settings, which notices when the network is gone."""

import os
import re
import socket
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import asyncpg

from tidings.core.errors import StartupError
from tidings.store.outages import UNAVAILABLE, RefusedConnectionError, said

MIN_SERVER_VERSION = 14  # CREATE OR REPLACE TRIGGER

Connection = Any  # asyncpg has no types of its own; this name says what is meant

# jit: compiling costs more than any of our queries. Sequential and bitmap scans: our tables turn over faster than their
# statistics, and these scans read the rows of the last minute's deliveries again each time; a plain index scan marks them.
# A process that freezes, or whose host is gone, must not keep its turn of the outbox, nor its locks on lanes.
SETTINGS: Final = {
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "application_name": "tidings",
    "timezone": "UTC",
    # Names without a schema are PostgreSQL's. Whoever may make functions in `public` could else have us run theirs in place of
    # format() or unnest(), by arguments that fit better, with all our rights.
    "search_path": "pg_catalog, pg_temp",
    "jit": "off",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
}

_QUOTED = re.compile(r"""(?<=['"]).+(?=['"])""", re.DOTALL)
_HOST = re.compile(r"[?&]host=([^&]*)")
CONNECT_SECONDS = 10.0
# A network that is gone says nothing: without these the system keeps trying for a quarter of an hour.
UNACKNOWLEDGED_SECONDS = 20
_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 2}


async def connect(url: str, **options: Any) -> Connection:
    """Open a connection that notices when the network is gone.

    Of several hosts in the URL the one that may be written to is taken, unless the URL says otherwise.
    """
    if "," in urlsplit(url).netloc and "target_session_attrs" not in parse_qs(urlsplit(url).query):
        options["target_session_attrs"] = "read-write"
    connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS, **options)
    found = connection._transport.get_extra_info("socket")  # noqa: SLF001 - there is no other way to it
    if found is not None and found.family in {socket.AF_INET, socket.AF_INET6}:
        with socket.socket(
            found.family, found.type, found.proto, fileno=os.dup(found.fileno())
        ) as raw:  # the loop's has no setsockopt
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _KEEPALIVE.items():
                if hasattr(socket, name):
                    raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_SECONDS * 1000)
    return connection


async def reconnect(url: str, **options: Any) -> Connection:
    """Open a connection to what could be reached once: whatever keeps it away now, nothing was wrong with what is asked.

    Raises:
        RefusedConnectionError: PostgreSQL is there and refuses: somebody restores the database, say, or changed a password.
    """
    try:
        return await connect(url, **options)
    except UNAVAILABLE:
        raise
    except asyncpg.PostgresError as error:
        raise RefusedConnectionError(said(error)) from error


async def expect_reachable(url: str) -> None:
    """Connect once, and return when this PostgreSQL can be worked with.

    Raises:
        StartupError: Unreachable, refused, too old, or read-only; one sentence with the remedy.
    """
    try:
        connection = await connect(url, server_settings=SETTINGS, command_timeout=CONNECT_SECONDS)
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
        raise StartupError(f"PostgreSQL at {where(url)} refused the connection: {error}.") from error
    except (*UNAVAILABLE, TimeoutError, asyncpg.PostgresError) as error:
        raise StartupError(
            f"PostgreSQL at {where(url)} cannot be reached ({str(error) or type(error).__name__}). "
            "Start it, or correct TIDINGS_DATABASE_URL."
        ) from error
    except ValueError as error:
        # Python quotes what it could not read, which may be part of the password.
        told = _QUOTED.sub("…", str(error))
        raise StartupError(
            f"TIDINGS_DATABASE_URL is not a connection URL: {told}. In a password, write / # ? @ : and % as "
            f"%2F %23 %3F %40 %3A and %25."
        ) from error
    try:
        await _expect_fit(connection, url)
    finally:
        await connection.close()


async def _expect_fit(connection: Connection, url: str) -> None:
    version = connection.get_server_version()
    if version.major < MIN_SERVER_VERSION:
        raise StartupError(
            f"PostgreSQL at {where(url)} is version {version.major}; Tidings needs {MIN_SERVER_VERSION} or newer."
        )
    if await connection.fetchval("select pg_is_in_recovery() or current_setting('transaction_read_only')::boolean"):
        raise StartupError(
            f"PostgreSQL at {where(url)} is read-only (a replica, or default_transaction_read_only is on). "
            "Tidings needs the primary."
        )


def where(url: str) -> str:
    """Return a connection URL without user and password, for messages."""
    tail = url.rsplit("@", 1)[-1]
    if found := _HOST.search(tail):
        return found[1]
    return tail.split("://", 1)[-1].split("?", 1)[0]

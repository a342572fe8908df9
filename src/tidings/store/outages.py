"""Outages of the database: one line in the log when one begins and one, with its length, when it is over, whoever meets it.

Everybody who talks to PostgreSQL tells what came of it. When connections are used up or a disk is full, some succeed while
others fail, so an outage is over once nothing has failed for a while, and its length ends where the failures did.
"""

import logging
import threading
import time
from collections.abc import Callable

import asyncpg

logger = logging.getLogger("tidings.database")

QUIET_SECONDS = 6.0  # without a failure; more than the longest pause between two tries


# The connection is gone, or PostgreSQL is going down, out of room or read-only: nothing was wrong with what was asked.
UNAVAILABLE = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.exceptions.InsufficientResourcesError,
    asyncpg.exceptions.CannotConnectNowError,
    asyncpg.exceptions.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,  # a standby, before it is promoted or after it was demoted
    asyncpg.exceptions.IdleInTransactionSessionTimeoutError,  # this process stood still with a transaction open
)


class NotificationsFullError(asyncpg.exceptions.InsufficientResourcesError):  # type: ignore[misc]
    """PostgreSQL's queue of notifications is full, so that no transaction that notifies can be committed."""


class AnotherDatabaseError(ConnectionError):
    """A connection leads to a copy of the database that this process was started on, or to one without the installation."""

    def __init__(self) -> None:
        super().__init__(ANOTHER)


class RefusedConnectionError(ConnectionError):
    """PostgreSQL takes no connection of ours, though it took some before."""


ANOTHER = (
    "The address of PostgreSQL leads to another database than before: a copy, or one without this installation. Nothing is "
    "read, written or sent there. Have it lead back; or, if that is to be the installation from now on and the other one sends "
    "nothing any more, run `tidings adopt`. It goes on by itself."
)

_REFUSED = (
    "PostgreSQL refuses connections: the database or the role is not there or may not connect, or the password is another "
    "now. The log says which; it goes on by itself."
)

_DISK_FULL = "PostgreSQL cannot write: its disk is full. Free some space; it goes on by itself."
_FILES = "PostgreSQL cannot read or write its files. See its log, and its disk."
_READ_ONLY = (
    "PostgreSQL is read-only: a standby, or default_transaction_read_only is on. It goes on by itself once it may write."
)

_SENTENCES: tuple[tuple[type[BaseException], str], ...] = (
    (asyncpg.DiskFullError, _DISK_FULL),
    (asyncpg.exceptions.PostgresSystemError, _FILES),
    (
        asyncpg.TooManyConnectionsError,
        "PostgreSQL has no connection left. Close some of others, or raise its max_connections.",
    ),
    (
        NotificationsFullError,
        "PostgreSQL's queue of notifications is full: a session that listens reads none. Its log names that one: end it.",
    ),
    (asyncpg.exceptions.OutOfMemoryError, "PostgreSQL is out of memory. See its log."),
    (asyncpg.ReadOnlySQLTransactionError, _READ_ONLY),
    (asyncpg.exceptions.TargetServerAttributeNotMatched, "None of the PostgreSQL servers may be written to. Promote one."),
    (asyncpg.CannotConnectNowError, "PostgreSQL is starting or shutting down."),
    (asyncpg.AdminShutdownError, "PostgreSQL closed a connection: it shuts down, or somebody ended the session."),
    (asyncpg.CrashShutdownError, "PostgreSQL crashed and recovers."),
    (TimeoutError, "PostgreSQL does not answer."),
    (AnotherDatabaseError, ANOTHER),
    (RefusedConnectionError, _REFUSED),
)
_UNREACHABLE = "PostgreSQL cannot be reached. Start it, or see the network between."


def is_on_purpose(reason: str) -> bool:
    """Whether somebody may have meant a database to be away, as one is that refuses us, or has been exchanged for a copy."""
    return reason in {ANOTHER, _REFUSED}


def is_of_writing(reason: str) -> bool:
    """Whether a database cannot write, though it may be read: then what others read of it does not say that it is there."""
    return reason in {_DISK_FULL, _FILES, _READ_ONLY}


def sentence(error: BaseException) -> str:
    """Return what an error of the database means, for people, without names of files or hosts."""
    return next((text for kind, text in _SENTENCES if isinstance(error, kind)), _UNREACHABLE)


def said(error: BaseException) -> str:
    """Return what an error says in one line. PostgreSQL's details are left out: they quote the values of the row."""
    return str(getattr(error, "message", None) or str(error) or type(error).__name__).split("\n", 1)[0]


def _cause(error: BaseException) -> str:
    text = said(error)
    if isinstance(error, (asyncpg.InterfaceError, asyncpg.InternalClientError)):  # it tells of states of the driver
        return f"a connection to PostgreSQL broke off ({text})"
    return text


class Outages:
    """What a process knows of the database's health. Told by any thread.

    Attributes:
        failures: How often the database could not do what it was asked.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._began: float | None = None
        self._failed_at = 0.0
        self._worked_at: float | None = None  # since the last failure, first
        self._reason = ""
        self.failures = 0

    @property
    def current(self) -> tuple[str, float] | None:
        """The outage there is: why, and for how many seconds. None: there is none, or it has been over for a while."""
        with self._lock:
            return None if self._began is None else (self._reason, self._monotonic() - self._began)

    def failed(self, error: BaseException) -> None:
        """Take note that the database could not do what it was asked, through no fault of what was asked."""
        if isinstance(error, asyncpg.QueryCanceledError):  # somebody's limit, or somebody's wish
            return
        with self._lock:
            self.failures += 1
            self._failed_at = self._monotonic()
            self._worked_at = None
            self._reason = sentence(error)
            if self._began is not None:
                return
            self._began = self._failed_at
        logger.warning("database unavailable, what needs it waits: %s", _cause(error))

    def worked(self) -> None:
        """Take note that the database did what it was asked, and may write."""
        if self._began is None:  # almost always
            return
        with self._lock:
            now = self._monotonic()
            self._worked_at = self._worked_at or now
            if self._began is None or now - self._failed_at < QUIET_SECONDS:
                return
            seconds = self._worked_at - self._began
            self._began = None
        logger.warning("database available again, after %.1f s", seconds)

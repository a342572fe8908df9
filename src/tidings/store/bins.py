"""Request bins, and what came to them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tidings.core.bin import KEPT_BYTES, KEPT_BYTES_OF_BIN, KEPT_REQUESTS, Answer, Bin, Caught
from tidings.core.claims import Verdict
from tidings.core.webhook import Signature
from tidings.store.database import Connection
from tidings.store.secrets import SecretBox
from tidings.store.statements import load

_SQL = load("bins")
_encode = msgspec.json.encode


class Stored(msgspec.Struct, frozen=True):
    """A bin as it is stored. `sealed`: its secret, encrypted."""

    bin: Bin
    sealed: bytes | None

    def secret(self, box: SecretBox) -> str | None:
        """Return its secret; None: it has none.

        Raises:
            StartupError: It was sealed under another key.
        """
        return None if self.sealed is None else box.open(self.sealed, self.bin.id)


class Kept(msgspec.Struct, frozen=True):
    """A request that a bin keeps.

    Attributes:
        number: Its place in the bin: 1 is the first that came.
        path: With the query string.
        headers: In their order.
        body: As much of it as is kept.
        body_bytes: How much of it was read.
        is_whole: There was no more of it.
        status: What it was answered with.
        verdict: Whether its signature was as expected when it came.
    """

    number: int
    received_at: datetime
    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    body_bytes: int
    is_whole: bool
    address: str
    status: int
    verdict: Verdict

    @property
    def is_truncated(self) -> bool:
        """Whether more of its body came than is kept."""
        return not self.is_whole or len(self.body) < self.body_bytes


class Taken(msgspec.Struct, frozen=True):
    """A request to be kept, with what it is answered with and what was found of its signature."""

    bin_id: UUID
    number: int
    request: Caught
    status: int
    verdict: Verdict


# Bins ----------------------------------------------------------------------------------------------------------------------


async def count(connection: Connection, group_id: str, most: int) -> int:
    """Return how many bins a group has, `most` at most; nobody else makes one of it until the transaction ends."""
    await connection.execute(_SQL["lock_group"], group_id)
    found: int = await connection.fetchval(_SQL["count"], group_id, most)
    return found


async def insert(connection: Connection, made: Bin, sealed: bytes | None) -> None:
    """Write a new bin."""
    await connection.execute(
        _SQL["insert"], made.id, made.group_id, *_answer(made), *_verified(made), sealed, made.webhook_id, made.created_at
    )


async def update(connection: Connection, changed: Bin, sealed: bytes | None) -> None:
    """Write a changed bin."""
    await connection.execute(
        _SQL["update"], changed.id, *_answer(changed), *_verified(changed), sealed, changed.webhook_id, changed.updated_at
    )


async def get(connection: Connection, group_id: str, bin_id: UUID) -> Stored | None:
    """Return a bin of the group."""
    row = await connection.fetchrow(_SQL["get"], group_id, bin_id)
    return None if row is None else _stored(row)


async def lock(connection: Connection, group_id: str, bin_id: UUID) -> Stored | None:
    """Return a bin of the group, which nobody else changes until the transaction ends."""
    row = await connection.fetchrow(_SQL["lock"], group_id, bin_id)
    return None if row is None else _stored(row)


async def several(connection: Connection, bin_ids: Sequence[UUID]) -> dict[UUID, Stored]:
    """Return bins of whichever group by their ids; what is none is missing."""
    return {row["id"]: _stored(row) for row in await connection.fetch(_SQL["several"], list(bin_ids))}


async def list_bins(connection: Connection, group_id: str, *, limit: int, offset: int) -> list[Bin]:
    """Return a page of the group's bins, newest first."""
    return [_stored(row).bin for row in await connection.fetch(_SQL["list"], group_id, limit, offset)]


async def delete(connection: Connection, group_id: str, bin_id: UUID) -> str | None:
    """Delete a bin with all that came to it, and return its name; None: there was none."""
    name: str | None = await connection.fetchval(_SQL["delete"], group_id, bin_id)
    return name


async def counts(connection: Connection, bin_ids: Sequence[UUID]) -> dict[tuple[str, UUID | None], int]:
    """Return how many requests came to each, by group and id; one that is gone is missing."""
    return {(row["group_id"], row["id"]): row["request_count"] for row in await connection.fetch(_SQL["counts"], list(bin_ids))}


def _answer(one: Bin) -> tuple[Any, ...]:
    answer = one.answer
    return one.name, answer.status, round(answer.delay_seconds * 1000), answer.body, answer.content_type


def _verified(one: Bin) -> tuple[Any, ...]:
    return one.profile, None if one.signature is None else _encode(one.signature).decode()


def _stored(row: Any) -> Stored:
    answer = Answer(row["answer_status"], row["answer_delay_ms"] / 1000, row["answer_body"], row["answer_content_type"])
    signature = None if row["signature"] is None else msgspec.json.decode(row["signature"], type=Signature)
    names = (
        "id", "group_id", "name", "created_at", "updated_at", "used_at", "profile", "webhook_id", "request_count",
        "refused_count",
    )  # fmt: skip
    made = Bin(**{name: row[name] for name in names}, answer=answer, signature=signature, has_secret=row["secret"] is not None)
    return Stored(made, row["secret"])


# What came to them -----------------------------------------------------------------------------------------------------------


async def count_requests(
    connection: Connection, came: Mapping[UUID, int], refused: Mapping[UUID, int], now: datetime
) -> dict[UUID, int]:
    """Count what came to bins, and return the number of the last of each; a bin that is gone is missing.

    Until the transaction ends nobody else gives numbers to what comes to them, and none of them goes.
    """
    ids = sorted(came)
    rows = await connection.fetch(
        _SQL["count_requests"], ids, [came[one] for one in ids], [refused.get(one, 0) for one in ids], now
    )
    return {row["id"]: row["request_count"] for row in rows}


async def add_requests(connection: Connection, taken: Sequence[Taken]) -> None:
    """Keep requests, each with the number it was given."""
    if taken:
        await connection.execute(_SQL["add_requests"], *zip(*map(_values, taken), strict=True))


async def trim(connection: Connection, bin_id: UUID) -> None:
    """Take away what a bin has more than it keeps."""
    await connection.execute(_SQL["trim"], bin_id, KEPT_REQUESTS, KEPT_BYTES_OF_BIN)


async def clear(connection: Connection, bin_id: UUID) -> None:
    """Take away all that came to a bin."""
    await connection.execute(_SQL["clear"], bin_id)


async def list_requests(
    connection: Connection,
    bin_id: UUID,
    *,
    since: datetime,
    limit: int,
    before: int | None = None,
    after: int | None = None,
    with_bodies: bool = True,
) -> list[Kept]:
    """Return what came to a bin: newest first, or with `after` oldest first.

    Args:
        since: What came before it is not kept any more.
        before: Only with smaller numbers.
        after: Only with larger numbers.
        with_bodies: Else each body is empty, whatever it was.
    """
    if after is not None:
        rows = await connection.fetch(_SQL["list_after"], bin_id, after, since, limit, with_bodies)
    else:
        last = 2**63 - 1 if before is None else before
        rows = await connection.fetch(_SQL["list_before"], bin_id, last, since, limit, with_bodies)
    return [_kept(row) for row in rows]


async def get_request(connection: Connection, bin_id: UUID, number: int, *, since: datetime) -> Kept | None:
    """Return one request that came to a bin."""
    row = await connection.fetchrow(_SQL["get_request"], bin_id, number, since)
    return None if row is None else _kept(row)


async def forget(connection: Connection, requests_before: datetime, bins_before: datetime, most: int) -> None:
    """Take away requests that are kept no longer, and bins that nobody uses, so many of each at most."""
    await connection.execute(_SQL["forget_requests"], requests_before, most)
    await connection.execute(_SQL["forget_bins"], bins_before, most)


def _values(one: Taken) -> tuple[Any, ...]:
    request = one.request
    headers, body = _encode(request.headers).decode(), request.body[:KEPT_BYTES]
    kept_bytes = len(headers) + len(body) + len(request.path)
    return (
        one.bin_id, one.number, request.received_at, request.method, request.path, headers, body, len(request.body),
        request.is_whole, kept_bytes, request.address, one.status, _encode(one.verdict).decode(),
    )  # fmt: skip


def _kept(row: Any) -> Kept:
    values = dict(row)
    values["headers"] = msgspec.json.decode(row["headers"], type=list[tuple[str, str]])
    values["verdict"] = msgspec.json.decode(row["verdict"], type=Verdict)
    return Kept(**values)

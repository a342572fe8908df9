"""The chain of the audit, as rows: seals and the head (theory: `core.audit_chain`)."""

import logging
import secrets
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any, Final
from uuid import UUID

import msgspec

from tidings.core.audit_chain import KEY_BYTES, UNSTAMPED_FOR, Head, Link, Seal, content_of, head_mac, seal
from tidings.core.errors import StartupError
from tidings.store.audit import FIELDS, Entry, entry_of
from tidings.store.database import Connection
from tidings.store.secrets import SecretBox
from tidings.store.statements import load

logger = logging.getLogger("tidings.audit")

SEALED_AT_ONCE: Final = 500
FORGOTTEN_AT_ONCE: Final = 10_000
MAX_ENTRIES: Final = 10_000_000  # beyond, the oldest are forgotten before their time
MAX_COUNTED: Final = 10_000  # entries that wait to be sealed

_KEY_ID: Final = UUID(int=40)  # what the key is encrypted for: it cannot be put in another secret's place

_SQL = load("audit_chain")


class Stretch(msgspec.Struct, frozen=True):
    """A part of the chain, and what is said of its whole.

    Attributes:
        before: The last seal before the part; None: the part begins the chain.
        end: The last seal of the whole chain, when the part reaches it.
        reaches_end: It does.
        outside: The first entry of the part that is in no chain, if there is one.
    """

    head: Head
    mac: bytes | None
    before: Seal | None
    links: list[Link]
    end: Seal | None
    reaches_end: bool
    outside: int | None


class Sealed(msgspec.Struct, frozen=True):
    """An entry with its seal."""

    seal: Seal
    entry: Entry


async def load_key(connection: Connection, box: SecretBox) -> bytes:
    """Return the key of the audit, made when there is none.

    What is written without a stamp before it is made, and a while afterwards, is from the release before.

    Raises:
        StartupError: It was encrypted under another SECRET_KEY.
    """
    row = await connection.fetchrow(_SQL["head"])
    if row["sealed_key"] is None:
        row = await connection.fetchrow(_SQL["wait_for_head"])
    if row["sealed_key"] is not None:
        return _opened(box, row["sealed_key"])
    key = secrets.token_bytes(KEY_BYTES)
    older = await connection.fetchval(_SQL["count_pending"], MAX_ENTRIES)
    until = await connection.fetchval(_SQL["now"]) + UNSTAMPED_FOR
    await connection.execute(_SQL["set_key"], box.seal(key.hex(), _KEY_ID))
    if older:
        logger.warning("the key of the audit was made: %d entries that are there count as of the release before", older)
    await _move(connection, key, Head(unstamped_places=older, unstamped_until=until if older else None))
    return key


async def reseal_key(connection: Connection, old: SecretBox, new: SecretBox) -> None:
    """Encrypt the key under another SECRET_KEY.

    Raises:
        StartupError: The old one does not read it.
    """
    sealed = (await connection.fetchrow(_SQL["wait_for_head"]))["sealed_key"]
    if sealed is not None:
        await connection.execute(_SQL["set_key"], new.seal(old.open(sealed, _KEY_ID), _KEY_ID))


async def has_pending(connection: Connection) -> bool:
    """Whether entries wait to be sealed."""
    return bool(await connection.fetchval(_SQL["has_pending"]))


async def seal_pending(connection: Connection, box: SecretBox, now: datetime) -> int:
    """Seal entries that wait, in a transaction, and return how many that were; 0 too when somebody else does so now."""
    row = await connection.fetchrow(_SQL["lock_head"])
    if row is None or row["sealed_key"] is None:
        return 0
    key, head = _opened(box, row["sealed_key"]), _head(row)
    place, last, sealed = head.place, head.hash, []
    for entry in await connection.fetch(_SQL["take_pending"], SEALED_AT_ONCE):
        place += 1
        made = seal(key, last, place, entry["pending"], now, _content(entry), entry["stamp"])
        sealed.append(made)
        last = made.hash
    if sealed:
        columns = [one.place for one in sealed], [one.number for one in sealed], now, [one.hash for one in sealed]
        await connection.execute(_SQL["add"], *columns)
        await _move(connection, key, msgspec.structs.replace(head, place=place, hash=last))
    return len(sealed)


async def forget(connection: Connection, box: SecretBox, now: datetime, kept: timedelta) -> int:
    """Take away old entries from the beginning of the chain, in a transaction, and return how many that were.

    The anchor moves behind them, so that what is left can be verified still.

    Args:
        kept: For how long entries stay, from when they were sealed on.
    """
    row = await connection.fetchrow(_SQL["lock_head"])
    if row is None or row["sealed_key"] is None:
        return 0
    head = _head(row)
    too_many = head.place - head.anchor_place - MAX_ENTRIES

    def goes(one: Seal) -> bool:
        return one.sealed_at < now - kept or one.place - head.anchor_place <= too_many

    gone: list[Seal] = []
    for size in (1, FORGOTTEN_AT_ONCE):  # mostly nothing goes, and one look is enough
        found = [_seal(one) for one in await connection.fetch(_SQL["oldest"], head.anchor_place, size)]
        gone = list(takewhile(goes, found))
        if not gone:
            return 0
    if too_many > 0:
        logger.warning("the audit has more than %d entries: the oldest go before their time", MAX_ENTRIES)
    last = gone[-1]
    moved = msgspec.structs.replace(head, anchor_place=last.place, anchor_hash=last.hash)
    await _move(connection, _opened(box, row["sealed_key"]), moved)  # first: no entry goes that is not behind it
    await connection.execute(_SQL["forget_entries"], head.anchor_place, last.place)
    await connection.execute(_SQL["forget_seals"], last.place)
    return len(gone)


async def stretch(connection: Connection, *, after: int, limit: int) -> Stretch:
    """Return so many seals with their entries, as they stand, behind a place; in a snapshot."""
    row = await connection.fetchrow(_SQL["head"])
    head = _head(row)
    before = None
    if after > head.anchor_place:
        found = await connection.fetchrow(_SQL["seal_at"], after)
        before = None if found is None else _seal(found)
    begins = head.anchor_place if before is None else before.place
    rows = await connection.fetch(_SQL["links"], begins, 2**62, limit)
    links = [Link(_seal(one, "sealed_number"), _content(one), one["stamp"]) for one in rows]
    reaches_end = len(links) < limit or links[-1].seal.place >= head.place
    end = None
    if reaches_end and (last := await connection.fetchrow(_SQL["last_seal"])) is not None:
        end = _seal(last)
    numbers = [link.seal.number for link in links] + ([] if before is None else [before.number])
    low = 0 if before is None else before.number
    outside = await connection.fetchval(_SQL["outside"], low, None if reaches_end else max(numbers, default=0))
    return Stretch(head, row["mac"], before, links, end, reaches_end, outside)


async def head_of(connection: Connection) -> Head:
    """Return where the chain begins and ends."""
    return _head(await connection.fetchrow(_SQL["head"]))


async def count_pending(connection: Connection) -> int:
    """Return how many entries wait to be sealed, `MAX_COUNTED` at most."""
    return int(await connection.fetchval(_SQL["count_pending"], MAX_COUNTED))


async def seal_at(connection: Connection, place: int) -> Seal | None:
    """Return the seal at a place."""
    row = await connection.fetchrow(_SQL["seal_at"], place)
    return None if row is None else _seal(row)


async def last_seal(connection: Connection) -> Seal | None:
    """Return the last seal."""
    row = await connection.fetchrow(_SQL["last_seal"])
    return None if row is None else _seal(row)


async def sealed_entries(connection: Connection, *, after: int, limit: int) -> tuple[list[Sealed], int | None]:
    """Return sealed entries in order, and the last place that was looked at; None: there is nothing behind `after`.

    An entry that was removed is not among them; verifying says so.
    """
    rows = await connection.fetch(_SQL["links"], after, 2**62, limit)
    found = [Sealed(_seal(row, "sealed_number"), entry_of(row)) for row in rows if row["number"] is not None]
    return found, rows[-1]["place"] if rows else None


async def _move(connection: Connection, key: bytes, head: Head) -> None:
    values = msgspec.structs.asdict(head)
    names = ("place", "hash", "anchor_place", "anchor_hash", "unstamped_places", "unstamped_until")
    await connection.execute(_SQL["move"], *(values[name] for name in names), head_mac(key, head))


def _head(row: Any) -> Head:
    return Head(**{name: row[name] for name in Head.__struct_fields__})


def _seal(row: Any, number: str = "number") -> Seal:
    return Seal(row["place"], row[number], row["sealed_at"], row["hash"])


def _content(row: Any) -> bytes | None:
    """Return what an entry says, as it stands in the database; None: it is not there."""
    return None if row["number"] is None else content_of({name: row[name] for name in FIELDS})


def _opened(box: SecretBox, sealed: bytes) -> bytes:
    try:
        return bytes.fromhex(box.open(sealed, _KEY_ID))
    except (StartupError, ValueError) as error:
        raise StartupError(
            "The key of the audit cannot be decrypted: SECRET_KEY is not the one it was encrypted under, or its row in "
            "tidings.audit_head was written over. Set TIDINGS_SECRET_KEY to that key."
        ) from error

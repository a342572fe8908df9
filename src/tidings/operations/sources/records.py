"""Records of a collection, one by one or up to a thousand in one transaction. Each change is an event of its own."""

from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from typing import Any

import msgspec

from tidings.core.collection import PASSWORD, Record
from tidings.core.errors import ConflictError, InvalidInputError, UnauthorizedError
from tidings.core.jwt import sign_jwt
from tidings.core.record_filter import parse_filter, parse_sort
from tidings.operations.lookups import there
from tidings.operations.services import Services
from tidings.sources import collections
from tidings.store import records

TOKEN_SECONDS = 3600


class Records(msgspec.Struct, frozen=True):
    """A page of records, each as JSON text, and how many there are in all."""

    items: list[str]
    total: int


class Identity(msgspec.Struct, frozen=True):
    """Who somebody is: the record as JSON text, and a token of an hour that says so."""

    token: str
    record: str


async def create(services: Services, collection: str, items: Sequence[Record]) -> list[str]:
    """Create records: all or none. Return each as JSON text.

    Raises:
        InvalidInputError: They are too many.
        InvalidRecordError: One does not fit the collection.
        LimitReachedError: The group has too many events, or too much of them is kept.
        NotFoundError: There is no such collection.
        PayloadTooLargeError: One is larger than the group's events may be.
    """
    return await _written(services, collection, items, collections.create_records, is_new=True)


async def find(
    services: Services, collection: str, *, where: str | None = None, order: str | None = None, limit: int, offset: int = 0
) -> Records:
    """Return a page of records.

    Args:
        where: Only these: `status = "active" && (views > 10 || title ~ "news")`.
        order: Fields with commas, `-` for descending; newest first when None.

    Raises:
        InvalidInputError: The filter or the order cannot be read.
        NotFoundError: There is no such collection.
    """
    async with services.database.connection() as connection:
        found = await collections.found(connection, services.group_id, collection)
        condition, sort = parse_filter(where, found.fields, first_parameter=3), parse_sort(order, found.fields)
        rows, total = await records.page(connection, found, condition, sort, limit=limit, offset=offset)
    return Records(rows, total)


async def read(services: Services, collection: str, record_id: str) -> str:
    """Return a record as JSON text.

    Raises:
        NotFoundError: There is no such collection, or no such record in it.
    """
    async with services.database.connection() as connection:
        found = await collections.found(connection, services.group_id, collection)
        text = await records.get(connection, found, record_id)
    return there(text, f"There is no record {record_id!r} in {collection}.")


async def change_one(services: Services, collection: str, record_id: str, item: Record) -> str:
    """Change what is named of a record; the rest stays. Return it as JSON text.

    Raises:
        InvalidInputError: Its id would change.
        InvalidRecordError: It would not fit the collection.
        NotFoundError: There is no such collection, or no such record in it.
    """
    if "id" in item and msgspec.json.decode(item["id"]) != record_id:
        raise InvalidInputError("id", "id cannot be changed; create another record.")
    own_id = msgspec.Raw(msgspec.json.encode(record_id))
    (made,) = await change(services, collection, [{**item, "id": own_id}])
    return made


async def change(services: Services, collection: str, items: Sequence[Record]) -> list[str]:
    """Change records, each with its `id` and what changes of it: all or none. Return each as JSON text.

    Raises:
        InvalidInputError: They are too many, or one is there twice.
        InvalidRecordError: One would not fit the collection.
        NotFoundError: There is no such collection, or no such record in it.
    """
    return await _written(services, collection, items, collections.change_records, is_new=False)


async def _written(
    services: Services, collection: str, items: Sequence[Record], write: Callable[..., Awaitable[list[str]]], *, is_new: bool
) -> list[str]:
    """Write records in one transaction, each of which counts as an event among the group's limits.

    Passwords are hashed before it begins: nobody waits for that with a connection.
    """
    await services.allowance.check(services.group_id, [_size(item) for item in items])
    hashes: dict[int, str] = {}
    if any(PASSWORD in item for item in items):
        async with services.database.connection() as connection:
            found = await collections.found(connection, services.group_id, collection)
        for position, values in enumerate(collections.checked(found, items, is_new=is_new)):
            if found.type == "auth" and PASSWORD in values:
                hashes[position] = await services.passwords.hash(msgspec.json.decode(values[PASSWORD]))
    async with services.database.transaction() as connection:
        found = await collections.found(connection, services.group_id, collection)
        if hashes and found.type != "auth":
            raise ConflictError(f"{collection} has just been changed. Try again.")
        return await write(connection, services.clock, found, items, hashes)


async def remove(services: Services, collection: str, record_ids: Sequence[str]) -> None:
    """Delete records: all or none.

    Raises:
        NotFoundError: There is no such collection, or no such record in it.
    """
    await services.allowance.check(services.group_id, [0] * len(record_ids))
    async with services.database.transaction() as connection:
        found = await collections.found(connection, services.group_id, collection)
        await collections.delete_records(connection, found, record_ids)


def _size(item: Record) -> int:
    return sum(len(value) for value in map(bytes, item.values()))


async def authenticate(services: Services, collection: str, email: str, password: str, *, address: str) -> Identity:
    """Tell who has an e-mail address and its password, in a collection of type `auth`.

    The answer takes the same time whether there is such an address or not.

    Args:
        address: Who asks; guesses at an account are counted by it (`core.guesses`).

    Raises:
        BusyError: Too many ask at once.
        ConflictError: The collection has no passwords.
        NotFoundError: There is no such collection.
        TooManyAttemptsError: There were too many wrong guesses.
        UnauthorizedError: The address or the password is wrong.
    """
    now = int(services.clock.now().timestamp())
    async with services.database.connection() as connection:
        found = await collections.found(connection, services.group_id, collection)
        if found.type != "auth":
            raise ConflictError(f"{collection} is a base collection, whose records have no passwords.")
        row: Any = await records.password(connection, found, email)
    known, record_id = (row["password_hash"], row["id"]) if row else (None, "")
    account = f"{found.id} {sha256(email.lower().encode()).hexdigest()}"  # it is kept, and may be as long as a body
    text = None
    if await services.passwords.fits(known, password, account=account, address=address):
        async with services.database.connection() as connection:
            text = await records.get(connection, found, record_id)
    if text is None:
        raise UnauthorizedError("The e-mail address or the password is wrong.")
    keys = services.keys.current
    claims = {"iss": keys.issuer, "sub": record_id, "collection": collection, "iat": now, "exp": now + TOKEN_SECONDS}
    return Identity(sign_jwt(keys.tokens, claims), text)

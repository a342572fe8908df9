"""Webhooks by what people call them."""

from uuid import UUID

import msgspec

from tidings.core.errors import InvalidInputError
from tidings.operations.services import Services
from tidings.store import webhooks

MAX_SHOWN = 8  # names in a sentence that says there are several


class Named(msgspec.Struct, frozen=True):
    """A webhook as people know it."""

    id: UUID
    name: str
    url: str


async def named(services: Services, text: str, *, limit: int) -> list[Named]:
    """Return the group's webhooks that have a text in their name or URL, newest first; with an empty text all of them."""
    async with services.database.connection() as connection:
        found, _ = await webhooks.webhooks_called(connection, services.group_id, text, limit=limit)
    return [Named(one.id, one.name, one.url) for one in found]


async def meant(services: Services, text: str) -> UUID:
    """Return the webhook that a text means: by its id, its name, or a part of its name or URL that no other has.

    Raises:
        InvalidInputError: None or several are meant.
    """
    try:
        return UUID(text)
    except ValueError:
        pass
    found = await named(services, text, limit=50)
    exact = [one for one in found if text.casefold() in (one.name.casefold(), one.url.casefold())]
    fitting = exact or found
    if len(fitting) == 1:
        return fitting[0].id
    if not fitting:
        raise InvalidInputError("webhook", f"No webhook has {text[:80]!r} in its name or URL.")
    names = ", ".join(one.name[:60] for one in fitting[:MAX_SHOWN])
    more = " and others" if len(fitting) > MAX_SHOWN else ""
    if exact:
        raise InvalidInputError("webhook", f"{len(exact)} webhooks are called {text[:80]!r}; write the id of one.")
    raise InvalidInputError("webhook", f"Several webhooks have {text[:80]!r} in name or URL: {names}{more}. Write more of it.")

"""What these routes read alike: pages by number, and headers in either of two shapes."""

from typing import Annotated

import msgspec
from litestar.params import QueryParameter
from msgspec import UnsetType

from tidings.api.http.paging import MAX_OFFSET
from tidings.core.errors import InvalidInputError

MAX_PER_PAGE = 500

PageNumber = Annotated[int, QueryParameter(ge=1, le=MAX_OFFSET, description="Which page, from 1.")]
PerPage = Annotated[int, QueryParameter(name="perPage", ge=1, le=MAX_PER_PAGE, description="How many on a page.")]


def headers_of(given: dict[str, str] | str | UnsetType) -> dict[str, str] | UnsetType:
    """Return headers that were given as an object, or as the same in a JSON string.

    Raises:
        InvalidInputError: The string is not such an object.
    """
    if not isinstance(given, str):
        return given
    try:
        return msgspec.json.decode(given, type=dict[str, str])
    except msgspec.DecodeError as error:
        raise InvalidInputError(
            "headers", f'headers is no JSON object of strings ({error}). Write {{"X-Name": "value"}}.'
        ) from error

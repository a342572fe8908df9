"""The parameters of every list."""

from typing import Annotated
from uuid import UUID

from litestar.params import QueryParameter

MAX_PAGE = 1000

Limit = Annotated[int, QueryParameter(ge=1, le=MAX_PAGE, description="How many at most.")]
Offset = Annotated[int, QueryParameter(ge=0, description="How many of the newest to leave out; a cursor is faster.")]
Cursor = Annotated[UUID | None, QueryParameter(description="The id of the last entry of the page before.")]

"""The parameters of every list."""

from typing import Annotated
from uuid import UUID

from litestar.params import Parameter

MAX_PAGE = 1000

Limit = Annotated[int, Parameter(ge=1, le=MAX_PAGE, description="How many at most.")]
Offset = Annotated[int, Parameter(ge=0, description="How many of the newest to leave out; a cursor is faster.")]
Cursor = Annotated[UUID | None, Parameter(description="The id of the last entry of the page before.")]

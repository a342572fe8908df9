"""What these routes read alike: pages by number."""

from typing import Annotated

from litestar.params import QueryParameter

from tidings.api.http.paging import MAX_OFFSET

MAX_PER_PAGE = 500

PageNumber = Annotated[int, QueryParameter(ge=1, le=MAX_OFFSET, description="Which page, from 1.")]
PerPage = Annotated[int, QueryParameter(name="perPage", ge=1, le=MAX_PER_PAGE, description="How many on a page.")]

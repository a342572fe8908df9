"""Parameters that nobody reads are refused: a filter that is misspelt would otherwise answer with everything."""

from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from tidings.core.errors import InvalidInputError


async def refuse_unknown(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let a request pass whose query has no other parameters than its route reads, each as often as it reads it.

    Raises:
        InvalidInputError: It has another, with the nearest that there are; or one too often.
    """
    if not connection.scope["query_string"]:
        return
    known = _known(handler, frozenset(connection.path_params))
    for name in connection.query_params:
        if name in known and not known[name] and len(connection.query_params.getall(name)) > 1:
            raise InvalidInputError(name, f"{name} is given more than once; write it once.")
        if name not in known:
            close = get_close_matches(name, known, 1)
            there_are = f"there are {', '.join(known)}" if known else "this call takes none"
            raise InvalidInputError(
                name[:100], f"{name[:100]} is no parameter{f' (did you mean {close[0]}?)' if close else ''}; {there_are}."
            )


@lru_cache(maxsize=1024)
def _known(handler: BaseRouteHandler, path_parameters: frozenset[str]) -> dict[str, bool]:
    """Return the query parameters that a route reads, those of its dependencies included, and which may come several times."""
    model = handler.create_kwargs_model(dict.fromkeys(path_parameters))  # type: ignore[arg-type]  # it takes their names only
    ordered = sorted(model.expected_query_params, key=lambda parameter: parameter.field_alias)
    return {parameter.field_alias: parameter.is_sequence for parameter in ordered}


def group_in_path(group_id: str) -> str:
    """Return the group that a path names. A slash in an id is written `%252F` there: `%2F` would part the path."""
    return group_id.replace("%2F", "/").replace("%2f", "/")

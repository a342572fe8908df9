"""Which page or form an address leads to, read from the routes themselves: for links, before they are shown."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from litestar import Litestar
from litestar.routes import HTTPRoute

_KEPT: Final = "portal_ways"
_PARAMETER: Final = re.compile(r"\\\{[^/]*?\\\}")


class Way(NamedTuple):
    """A page or a form. `template`: its path, with the names of what stands in it in braces; `opt`: what it says of itself."""

    pattern: re.Pattern[str]
    template: str
    opt: Mapping[str, Any]


def way_of(app: Litestar, method: str, path: str) -> Way | None:
    """Return where a path leads; None: nowhere."""
    if _KEPT not in app.state:
        app.state[_KEPT] = _ways(app.routes)
    near: list[Way] = app.state[_KEPT].get((method, path.count("/")), [])
    return next((way for way in near if way.pattern.fullmatch(path)), None)


def _ways(routes: Iterable[object]) -> dict[tuple[str, int], list[Way]]:
    """Return what can be asked for by method and number of parts, paths with the fewest parameters first: so routing goes."""
    found: dict[tuple[str, int], list[Way]] = {}
    for route in sorted((one for one in routes if isinstance(one, HTTPRoute)), key=lambda one: one.path_format.count("{")):
        pattern = re.compile(_PARAMETER.sub("[^/]+", re.escape(route.path_format)))
        for handler in route.route_handlers:
            for method in handler.http_methods:
                way = Way(pattern, route.path_format, handler.opt)
                found.setdefault((str(method), route.path_format.count("/")), []).append(way)
    return found

"""Make `docs/scopes.md`: which scope opens which operation, from the API's own document. A test holds the file to it.

.venv/bin/python tools/make_scopes.py
"""

from pathlib import Path
from typing import Any, Final

from tidings.api.http.scopes import needed
from tidings.core.roles import SAID as ROLE_SAID
from tidings.core.roles import SCOPES, Role
from tidings.core.scopes import SAID, Need, Scope, granted
from tidings.portal.scopes import NEEDS

PATH: Final = Path(__file__).parents[1] / "docs" / "scopes.md"
METHODS: Final = ("get", "post", "put", "patch", "delete")

_HEAD: Final = """# Scopes

What a key may do is told by its scopes. This page is made from the API's own document by `tools/make_scopes.py`; a test calls
every operation with a key of every scope and holds it to this.

"""


def operations(paths: dict[str, Any]) -> list[tuple[str, str, Need]]:
    """Return every operation that a key opens, in the order of the document: method, path and what it needs."""
    return [
        (method.upper(), path, needed(method.upper(), path))
        for path, item in paths.items()
        for method in METHODS
        if path.startswith("/api/") and method in item
    ]


def opens(scope: Scope, need: Need) -> bool:
    """Whether a key with this scope alone, for all groups, opens an operation."""
    return set(need.scopes) <= granted((scope,))


def takes_part(scope: Scope, need: Need) -> bool:
    """Whether a key with this scope opens an operation together with another scope, and not alone."""
    return not opens(scope, need) and any(one in granted((scope,)) for one in need.scopes)


def text_of(paths: dict[str, Any]) -> str:
    """Return the page."""
    lines = ["| scope | may |", "|---|---|", *(f"| `{scope}` | {SAID[scope]} |" for scope in Scope), ""]
    lines += [
        "## Roles",
        "",
        "What a [member](security.md#members) may do, in the group or the groups that the role is for.",
        "",
        "| role | is | scopes |",
        "|---|---|---|",
        *(f"| `{role}` | {ROLE_SAID[role]} | {', '.join(f'`{scope}`' for scope in SCOPES[role])} |" for role in Role),
        "",
        "## Operations",
        "",
        "An operation with `*` is about the installation: it takes a key that is for all groups. `/metrics` takes `admin` of",
        "all groups, or the key of `TIDINGS_METRICS_KEY`; `/openapi.json` takes any key; `/healthz`, `/readyz`,",
        "`/.well-known/jwks.json` and `/in/<name>` take none. `x`: the scope opens it; `+`: it does together with the",
        "others that have one.",
        "",
        f"| operation | {' | '.join(f'`{scope}`' for scope in Scope)} |",
        f"|---|{'---|' * len(Scope)}",
    ]
    for method, path, need in operations(paths):
        marks = " | ".join("x" if opens(scope, need) else "+" if takes_part(scope, need) else "" for scope in Scope)
        lines.append(f"| `{method} {path}`{' *' if need.is_for_all_groups else ''} | {marks} |")
    return _HEAD + "\n".join([*lines, *_pages()]) + "\n"


def _pages() -> list[str]:
    lines = ["", "## Pages of the portal", "", "| page | needs |", "|---|---|"]
    together: dict[tuple[str, tuple[Need, ...]], list[str]] = {}
    for (method, path), needs in NEEDS.items():
        together.setdefault((path, needs), []).append(method)
    for (path, needs), methods in together.items():
        named = [f"`{scope}`{' *' if need.is_for_all_groups else ''}" for need in needs for scope in need.scopes]
        said = " and ".join(named) or "any key"
        lines.append(f"| `{', '.join(methods)} {path}` | {said} |")
    return lines


def main() -> None:
    """Write the page."""
    from tidings.api.server import create_app
    from tidings.config import Config

    class Nothing:
        config = Config()

    app = create_app(Nothing(), version="docs")  # type: ignore[arg-type]  # nothing of it is asked for a document
    PATH.write_text(text_of(app.openapi_schema.to_schema()["paths"]))


if __name__ == "__main__":
    main()

"""The catalogue of event types as a page shows it."""

from collections.abc import Sequence

import msgspec

from tidings.operations.sources.event_types import EventType, SeenType
from tidings.portal.views.documents import Document, document
from tidings.portal.views.lists import Column, Pager, Row, Table, link
from tidings.portal.views.sections import SOURCES, Section, sections
from tidings.portal.views.text import Shown, visible

PATH = "/sources/catalogue"
MAX_OWN = 200  # types that the page shows whole


class TypeView(msgspec.Struct, frozen=True):
    """A type. `schema` and `example`: unfolded when somebody asks."""

    name: Shown
    description: Shown
    schema: Document | None
    example: Document | None


class SeenRow(msgspec.Struct, frozen=True):
    """A type that was seen."""

    name: Shown
    day: str
    note: str


class CatalogueView(msgspec.Struct, frozen=True):
    """The catalogue.

    Attributes:
        own: Those that applications publish; `note` says how many are left out.
        built_in: Those that Tidings makes.
    """

    sections: tuple[Section, ...]
    own: tuple[TypeView, ...]
    note: str
    built_in: tuple[TypeView, ...]
    seen: Table
    pager: Pager


def catalogue_view(types: Sequence[EventType], seen: Sequence[SeenType], pager: Pager) -> CatalogueView:
    """Return the catalogue."""
    own = [one for one in types if not one.is_built_in]
    known = {one.name for one in own}
    columns = (Column("Type", "wide"), Column("Last seen"), Column("In the catalogue", is_minor=True))
    rows = tuple(
        Row(
            f"seen-{place}",
            link("/events", {"type": one.name}),
            one.name,
            SeenRow(visible(one.name, limit=120), one.last_day.isoformat(), "yes" if one.name in known else _maker(one.name)),
        )
        for place, one in enumerate(seen)
    )
    note = f"{len(own) - MAX_OWN} more are at /api/v1/event-types." if len(own) > MAX_OWN else ""
    return CatalogueView(
        sections(SOURCES, PATH),
        tuple(map(_type, own[:MAX_OWN])),
        note,
        tuple(_type(one) for one in types if one.is_built_in),
        Table("seen", "Types that were seen", columns, rows),
        pager,
    )


_FAMILIES = ("table.", "collection.", "content.", "cron.", "integration.", "webhook.", "site.")


def _maker(name: str) -> str:
    return "made by Tidings" if name.startswith(_FAMILIES) else "not described"


def _type(one: EventType) -> TypeView:
    return TypeView(
        visible(one.name, limit=120),
        visible(one.description or "No words yet."),
        document(one.schema) if one.schema else None,
        document(one.example) if one.example else None,
    )

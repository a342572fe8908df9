"""The catalogue of event types as a page shows it."""

from collections.abc import Sequence

import msgspec

from tidings.operations.sources.event_types import EventType, SeenType
from tidings.portal.views.documents import Document, document
from tidings.portal.views.lists import Column, Pager, Row, Table, link
from tidings.portal.views.sections import NEW, SOURCES, Section, sections
from tidings.portal.views.text import Shown, visible

PATH = "/sources/catalogue"
TYPE_PATH = f"{PATH}/type"
MAX_OWN = 200  # types that the page shows whole


def type_path(name: str) -> str:
    """Return the form of a type."""
    return link(TYPE_PATH, {"name": name})


class TypeView(msgspec.Struct, frozen=True):
    """A type. `schema` and `example`: unfolded when somebody asks; `edit`: its form, empty for those that Tidings makes."""

    name: Shown
    description: Shown
    schema: Document | None
    example: Document | None
    edit: str


class SeenRow(msgspec.Struct, frozen=True):
    """A type that was seen."""

    name: Shown
    day: str
    note: str
    describe: str


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
            _seen(one, is_known=one.name in known),
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


_FAMILIES = ("table.", "collection.", "content.", "cron.", "integration.", "webhook.", "site.", "tidings.")


def _seen(one: SeenType, *, is_known: bool) -> SeenRow:
    name, day = visible(one.name, limit=120), one.last_day.isoformat()
    if is_known:
        return SeenRow(name, day, "described", "")
    if one.name.startswith(_FAMILIES):
        return SeenRow(name, day, "made by Tidings", "")
    return SeenRow(name, day, "not described", link(f"{NEW}/type", {"name": one.name}))


def _type(one: EventType) -> TypeView:
    return TypeView(
        visible(one.name, limit=120),
        visible(one.description or "No words yet."),
        document(one.schema) if one.schema else None,
        document(one.example) if one.example else None,
        "" if one.is_built_in else type_path(one.name),
    )

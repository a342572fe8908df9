"""The page that asks before something is deleted."""

import msgspec

from tidings.portal.views.lists import Field
from tidings.portal.views.sections import SOURCES, Section, sections
from tidings.portal.views.text import Shown, visible


class GoneView(msgspec.Struct, frozen=True):
    """What is asked before something is deleted.

    Attributes:
        what: `collection`, say.
        said: What goes with it, and what stays.
        hidden: Further fields of the form.
        confirm: The field that its name is written into; None: a button is enough.
        error: Why it cannot go.
    """

    sections: tuple[Section, ...]
    what: str
    name: Shown
    said: str
    path: str
    cancel: str
    hidden: dict[str, str]
    confirm: Field | None
    error: str


def gone_view(
    what: str,
    name: str,
    said: str,
    *,
    section: str,
    path: str,
    cancel: str,
    hidden: dict[str, str] | None = None,
    error: str = "",
    typed: str | None = None,
) -> GoneView:
    """Return what is asked before something is deleted.

    Args:
        section: Path of the page that lists such things.
        typed: What was written as its name; None: it need not be written.
    """
    confirm = None
    if typed is not None:
        confirm = Field(
            "confirm", f"Write {visible(name, limit=80).plain} to confirm", value=typed, is_required=True, error=error,
            max_length=200,
        )  # fmt: skip
    shown = visible(name, limit=80)
    return GoneView(
        sections(SOURCES, section), what, shown, said, path, cancel, hidden or {}, confirm, "" if confirm else error
    )

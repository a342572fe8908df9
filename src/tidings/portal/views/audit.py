"""Who did what, as a page shows it."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from tidings.core.audit import Action, Who
from tidings.portal.views.lists import Column, Pager, Row, Table
from tidings.portal.views.sections import SETTINGS, Section, sections
from tidings.portal.views.small import Empty, Id, When, ident, when
from tidings.portal.views.text import Shown, visible
from tidings.store.audit import Entry

PATH = "/settings/audit"
_SAID = {
    Action.SESSION_BEGAN: "A session began",
    Action.SESSION_ENDED: "A session ended",
    Action.LINK_MADE: "A portal link was made",
    Action.LINK_ENDED: "A portal link was ended",
    Action.SECRET_SHOWN: "A secret was shown",
    Action.SECRET_ROTATED: "A secret was rotated",
    Action.KEYS_ROTATED: "The signing keys were rotated",
    Action.API_KEY_MADE: "A key was made",
    Action.API_KEY_ROTATED: "A key was rotated",
    Action.API_KEY_REVOKED: "A key was revoked",
    Action.MEMBER_INVITED: "A member was invited",
    Action.MEMBER_JOINED: "A member came for the first time",
    Action.MEMBER_CHANGED: "A member's roles were changed",
    Action.MEMBER_REMOVED: "A member was removed",
    Action.WEBHOOK_CREATED: "A webhook was created",
    Action.WEBHOOK_CHANGED: "A webhook was changed",
    Action.WEBHOOK_DELETED: "A webhook was deleted",
    Action.GROUP_CREATED: "A group was made",
    Action.GROUP_DELETED: "A group was deleted",
    Action.JOB_CREATED: "A job was created",
    Action.JOB_CHANGED: "A job was changed",
    Action.JOB_DELETED: "A job was deleted",
    Action.JOB_FIRED: "A job was run out of turn",
    Action.INTEGRATION_CREATED: "An integration was created",
    Action.INTEGRATION_CHANGED: "An integration was changed",
    Action.INTEGRATION_DELETED: "An integration was deleted",
    Action.COLLECTION_CREATED: "A collection was created",
    Action.COLLECTION_CHANGED: "A collection was changed",
    Action.COLLECTION_DELETED: "A collection was deleted",
    Action.TABLE_CHANGED: "How a table is captured was changed",
    Action.TABLE_RESET: "A table is captured like any other again",
    Action.TYPE_CHANGED: "An event type was written in the catalogue",
    Action.TYPE_DELETED: "An event type was taken out of the catalogue",
    Action.BACKFILL_BEGAN: "A backfill was begun",
    Action.BACKFILL_CANCELLED: "A backfill was cancelled",
    Action.RECOVERY_BEGAN: "A recovery was begun",
    Action.RECOVERY_CANCELLED: "A recovery was cancelled",
    Action.DELIVERY_RETRIED: "A delivery was sent again",
    Action.ROUTED_AGAIN: "Something set aside was routed again",
    Action.DISCARDED: "Something set aside was discarded",
    Action.LISTENER_SKIPPED: "What waited for a listener was cancelled",
    Action.SETTING_RETRIED: "A setting that was set aside was read again",
    Action.BIN_CREATED: "A request bin was made",
    Action.BIN_CHANGED: "A request bin was changed",
    Action.BIN_EMPTIED: "A request bin was emptied",
    Action.BIN_DELETED: "A request bin was deleted",
}
_WHO = {
    Who.KEY: "the API",
    Who.SESSION: "a session",
    Who.MEMBER: "a member",
    Who.LINK: "a customer, by a portal link",
    Who.SYSTEM: "Tidings",
}


class AuditRow(msgspec.Struct, frozen=True):
    """What somebody did."""

    at: When
    what: str
    subject: Shown
    subject_id: Id | None
    who: str
    who_id: Id | None
    address: Shown
    group: Shown
    key: Shown | None


class AuditView(msgspec.Struct, frozen=True):
    """Who did what, newest first."""

    sections: tuple[Section, ...]
    table: Table
    pager: Pager
    empty: Empty | None


def audit_view(found: Sequence[Entry], pager: Pager, now: datetime) -> AuditView:
    """Return who did what."""
    columns = (
        Column("When"),
        Column("What", "wide"),
        Column("Who", "wide"),
        Column("From", is_minor=True),
        Column("Group", is_minor=True),
    )
    rows = tuple(Row(str(one.number), "", f"number {one.number}", _row(one, now)) for one in found)
    empty = None if rows else Empty(
        "Nothing is on record yet",
        "Sign-ins, keys, portal links, secrets that are shown or rotated, and whatever is made, changed, deleted or sent "
        "again are put on record here.",
        icon="clock",
    )  # fmt: skip
    return AuditView(sections(SETTINGS, PATH), Table("audit", "Who did what", columns, rows), pager, empty)


def _row(one: Entry, now: datetime) -> AuditRow:
    return AuditRow(
        when(one.at, now),
        next((said for action, said in _SAID.items() if action.value == one.action), one.action),
        visible(one.subject, limit=80),
        None if one.subject_id is None else ident(one.subject_id),
        _WHO[one.who],
        None if one.who_id is None else ident(one.who_id),
        visible(one.address or "–", limit=60),
        visible(one.group_id or "–", limit=60),
        visible(one.key_name, limit=100) if one.key_name else None,
    )

"""Who did what, as pages show it: searched, with what was changed, and whether it is as it was written."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import quote
from uuid import UUID

import msgspec

from tidings.core.audit import Action, Sought, Who, sought
from tidings.core.audit_chain import Seal
from tidings.operations.audit import Page, Verified
from tidings.portal.views.documents import Diff, diff
from tidings.portal.views.lists import Column, Filter, FilterBar, Option, Pager, Row, Table, filter_bar, link
from tidings.portal.views.questions import time_named
from tidings.portal.views.sections import SETTINGS, Section, sections
from tidings.portal.views.small import Empty, Id, State, When, ident, when
from tidings.portal.views.text import Shown, count, number, visible
from tidings.store.audit import Entry

PATH = "/settings/audit"
VERIFY_PATH = f"{PATH}/verification"
FILTERS = ("action", "subject", "with_key", "who", "by", "of_group", "address", "since", "until")
# By the name of an action; an entry of a newer release can have one that is not here.
SAID: Final[Mapping[str, str]] = {
    Action.SESSION_BEGAN: "A session began",
    Action.SESSION_ENDED: "A session ended",
    Action.LINK_MADE: "A portal link was made",
    Action.LINK_ENDED: "A portal link was ended",
    Action.SECRET_SHOWN: "A secret was shown",
    Action.SECRET_ROTATED: "A secret was rotated",
    Action.CREDENTIALS_CHANGED: "A webhook's credentials were changed",
    Action.KEYS_ROTATED: "The signing keys were rotated",
    Action.SECRET_KEY_CHANGED: "SECRET_KEY was changed",
    Action.INSTALLATION_ADOPTED: "This database was adopted",
    Action.INSTALLATION_HELD: "This database was held",
    Action.LIMITS_CHANGED: "Limits were changed",
    Action.LIMITS_RESET: "A group's own limits were taken away",
    Action.EGRESS_NARROWED: "What a group may call was changed",
    Action.API_KEY_MADE: "A key was made",
    Action.API_KEY_CHANGED: "A key was renamed",
    Action.API_KEY_ROTATED: "A key was rotated",
    Action.API_KEY_REVOKED: "A key was revoked",
    Action.MEMBER_INVITED: "A member was invited",
    Action.MEMBER_JOINED: "A member came for the first time",
    Action.MEMBER_CHANGED: "A member's roles were changed",
    Action.MEMBER_REMOVED: "A member was removed",
    Action.WEBHOOK_CREATED: "A webhook was created",
    Action.WEBHOOK_CHANGED: "A webhook was changed",
    Action.WEBHOOK_DELETED: "A webhook was deleted",
    Action.WEBHOOK_TESTED: "A test was sent to a webhook",
    Action.WEBHOOK_DIAGNOSED: "A webhook's receiver was examined",
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
    Action.RULE_CREATED: "A redaction rule was made",
    Action.RULE_CHANGED: "A redaction rule was changed",
    Action.RULE_DELETED: "A redaction rule was deleted",
    Action.ERASURE_BEGAN: "An erasure was begun",
    Action.ERASURE_CANCELLED: "An erasure was cancelled",
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


_FAMILIES = tuple(sorted({f"{action.value.partition('.')[0]}.*" for action in Action}))
_OFFERED = (
    Filter(
        "action", "What", options=tuple(Option(name, name) for name in (*_FAMILIES, *Action)), hint="webhook.deleted, secret.*"
    ),
    Filter("subject", "To what", hint="an id, or a name of then"),
    Filter("with_key", "With key", hint="an id, or a name of then"),
    Filter("since", "Since", hint="1h, 7d, 2026-11-21"),
    Filter("until", "Until", hint="1h, 2026-11-21 14:00"),
    Filter("who", "By", "choice", tuple(Option(who.value, said) for who, said in _WHO.items()), is_minor=True),
    Filter("by", "By the id", hint="of a key, a session, a member or a link", is_minor=True),
    Filter("of_group", "About group", is_minor=True),
    Filter("address", "From", hint="203.0.113.7", is_minor=True),
)


# Where the pages are of what entries are about: by its id, or by its name.
_BY_ID = {
    **dict.fromkeys(("webhook", "secret", "credentials"), "/webhooks"),
    "job": "/sources/jobs",
    "delivery": "/deliveries",
    "recovery": "/recoveries",
    "api_key": "/settings/api-keys",
    "member": "/settings/members",
    "bin": "/settings/bins",
    "redaction": "/settings/redaction",
    "erasure": "/settings/erasures",
}
_BY_NAME = {"integration": "/sources/integrations", "collection": "/sources/collections"}
_AS_A_WHOLE = {"link": "/settings/links", "limits": "/settings/limits", "egress": "/settings/egress", "keys": "/settings/keys"}
_OF_PEOPLE = {Who.KEY: "/settings/api-keys", Who.MEMBER: "/settings/members"}


def page_of(entry: Entry, group_id: str) -> str:
    """Return the page of what an entry is about; empty: there is none, or it was deleted.

    Args:
        group_id: The group that is shown. What is of another one is shown with it.
    """
    family, _, end = entry.action.partition(".")
    if end in {"deleted", "removed"}:
        return ""
    path = _AS_A_WHOLE.get(family, "")
    if family in _BY_ID and entry.subject_id is not None:
        path = f"{_BY_ID[family]}/{entry.subject_id}"
    elif family in _BY_NAME and entry.subject:
        path = f"{_BY_NAME[family]}/{quote(entry.subject, safe='')}"
    return link(path, {"group": entry.group_id if entry.group_id and entry.group_id != group_id else ""}) if path else ""


class AuditRow(msgspec.Struct, frozen=True):
    """What somebody did.

    Attributes:
        by: What stands before the key.
        href: The page of what it was done to; empty: there is none.
        changes: What was changed by it; None: nothing is kept of that.
    """

    at: When
    what: str
    subject: Shown
    subject_id: Id | None
    who: str
    who_id: Id | None
    address: Shown
    group: Shown
    key: Shown | None
    href: str
    by: str
    changes: Diff | None


class AuditView(msgspec.Struct, frozen=True):
    """Who did what, newest first.

    Attributes:
        sealed: Up to when entries are sealed; None: none is.
        waiting: How many are not sealed yet; empty: none.
        verify: Where that is verified; empty: whoever looks may not.
    """

    sections: tuple[Section, ...]
    filters: FilterBar
    table: Table
    pager: Pager
    empty: Empty | None
    sealed: When | None
    waiting: str
    verify: str


class VerificationView(msgspec.Struct, frozen=True):
    """What came of verifying a stretch of the audit.

    Attributes:
        onward: Where the next stretch is verified; empty: there is none.
        head: Where the chain ends, to be noted elsewhere.
    """

    sections: tuple[Section, ...]
    state: State
    sentence: str
    verified: When | None
    checked: str
    waiting: str
    head: str
    onward: str


def asked_of_audit(asked: Mapping[str, str], now: datetime) -> Sought:
    """Return what the query string of the page asks for.

    Raises:
        InvalidInputError: With the field and the remedy.
    """
    subject, by = asked.get("subject"), asked.get("by")
    subject_id, by_id = _id(subject), _id(by)
    return sought(
        group_id=asked.get("of_group"),
        who=asked.get("who"),
        who_id=by_id if by is None or by_id is not None else UUID(int=0),  # a part of an id is nobody's
        with_key=asked.get("with_key"),
        actions=[asked["action"]] if "action" in asked else (),
        subject_id=subject_id,
        subject=subject if subject_id is None else None,
        address=asked.get("address"),
        since=time_named("since", asked.get("since", ""), now),
        until=time_named("until", asked.get("until", ""), now),
    )


def _id(text: str | None) -> UUID | None:
    try:
        return None if text is None else UUID(text)
    except ValueError:
        return None


def audit_view(
    page: Page,
    asked: Mapping[str, str],
    now: datetime,
    *,
    question: Sought | None = None,
    sealed: Seal | None = None,
    waiting: int = 0,
    may_verify: bool = False,
    error: str = "",
    group_id: str = "",
) -> AuditView:
    """Return who did what.

    Args:
        asked: The query string.
        question: What that asks for.
        sealed: The last seal.
        error: What cannot be asked for.
        group_id: The group that is shown.
    """
    columns = (
        Column("When"),
        Column("What", "wide"),
        Column("Who", "wide"),
        Column("From", is_minor=True),
        Column("Group", is_minor=True),
    )
    rows = tuple(Row(str(one.number), "", f"number {one.number}", _row(one, now, group_id)) for one in page.entries)
    kept = {name: asked[name] for name in FILTERS if name in asked}
    fixed = {**kept, **_moments(question)}  # an hour ago is another time on the next page
    older = link(PATH, {**fixed, "cursor": page.cursor}) if page.cursor else ""
    looked = "" if page.searched_to is None else f"Looked back to {when(page.searched_to, now).exact}; go on for older ones."
    return AuditView(
        sections(SETTINGS, PATH),
        filter_bar(PATH, "entries", _OFFERED, asked, error=error),
        Table("audit", "Who did what", columns, rows),
        Pager(link(PATH, kept) if "cursor" in asked else "", older, looked),
        None if rows or older or error else _empty(is_searched=bool(kept)),
        None if sealed is None else when(sealed.sealed_at, now),
        count(waiting, "entry", "entries") if waiting else "",
        VERIFY_PATH if may_verify else "",
    )


def _moments(question: Sought | None) -> dict[str, str]:
    times = {} if question is None else {"since": question.since, "until": question.until}
    return {name: at.isoformat() for name, at in times.items() if at is not None}


def _empty(*, is_searched: bool) -> Empty:
    if is_searched:
        return Empty("Nothing fits", "Nobody did such a thing as far as entries are kept. Take filters away.", icon="search")
    return Empty(
        "Nothing is on record yet",
        "Sign-ins, keys, portal links, secrets that are shown or rotated, and whatever is made, changed, deleted or sent "
        "again are put on record here.",
        icon="clock",
    )


def verification_view(found: Verified, now: datetime) -> VerificationView:
    """Return what came of verifying a stretch of the audit."""
    if found.fault is not None:
        state, sentence = State("bad", "x", "tampered with"), found.fault.sentence
    elif found.next is not None:
        state, sentence = State("busy", "clock", "as it was written so far"), "There is more: go on."
    else:
        state = State("good", "check", "as it was written")
        sentence = "Nothing was changed, removed, inserted or reordered."
    return VerificationView(
        sections(SETTINGS, PATH),
        state,
        sentence,
        None if found.verified_at is None else when(found.verified_at, now),
        f"{count(found.checked, 'entry', 'entries')}, up to place {number(found.verified_to)}",
        count(found.waiting, "entry", "entries") if found.waiting else "",
        found.head,
        link(VERIFY_PATH, {"after": str(found.next)}) if found.next is not None else "",
    )


def changes_diff(entry: Entry) -> Diff | None:
    """Return what an entry says was changed."""
    if not entry.changes:
        return None
    before, after = ({name: sides[at] for name, sides in entry.changes.items() if sides[at] is not None} for at in (0, 1))
    return diff(*(json.dumps(said, indent=2, ensure_ascii=False) if said else "" for said in (before, after)))


def _row(one: Entry, now: datetime, group_id: str) -> AuditRow:
    people = _OF_PEOPLE.get(one.who)
    return AuditRow(
        when(one.at, now),
        SAID.get(one.action, one.action),
        visible(one.subject, limit=80),
        None if one.subject_id is None else ident(one.subject_id),
        _WHO[one.who],
        None if one.who_id is None else ident(one.who_id, f"{people}/{one.who_id}" if people else None),
        visible(one.address or "–", limit=60),
        visible(one.group_id or "–", limit=60),
        visible(one.key_name, limit=100) if one.key_name else None,
        page_of(one, group_id),
        "with key" if one.who is not Who.MEMBER else "",  # the name is the address then
        changes_diff(one),
    )

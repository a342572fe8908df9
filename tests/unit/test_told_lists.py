"""What other homes tell as their part of a list: taken as what was asked for, or not at all."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tidings.core.differences import MAX_DEPTH
from tidings.core.homes import UNREAD
from tidings.core.positions import MAX_POSITION
from tidings.operations import told_lists
from tidings.operations.groups import Group
from tidings.operations.set_aside import MAX_NUMBER

AT = "2026-11-22T12:00:00+01:00"
DEEP = b"[" * 100_000 + b"]" * 100_000


def group(id_: str, **more: Any) -> dict[str, Any]:
    return {"id": id_, "created_at": AT} | more


def entry(number: int, **more: Any) -> dict[str, Any]:
    told = {"number": number, "at": AT, "group": None, "action": "webhook.created", "who": "key", "who_id": None}
    return told | {"address": "", "subject_id": None, "subject": "", "key_id": None, "key_name": "", "changes": {}} | more


def row(number: int, **more: Any) -> dict[str, Any]:
    return {"number": number, "reason": "no", "created_at": AT, "kind": "event"} | more


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def said(*items: Any) -> bytes:
    return json.dumps(items).encode()


def test_what_was_asked_for_is_read() -> None:
    read = told_lists.groups((said(group("a", fault="busy"), group("b")), None), behind="Z", limit=2)
    assert read[0] == Group("a", datetime(2026, 11, 22, 11, tzinfo=UTC), None, "busy")
    entries, next_ = told_lists.entries((said(entry(MAX_NUMBER), entry(1)), "1"), before=None, limit=2)
    assert ([one.number for one in entries], next_) == ([MAX_NUMBER, 1], 1)
    assert told_lists.entries((b"[]", "6"), before=7, limit=2) == ([], 6), "it has looked so far, and found nothing"
    deepest = entry(3, changes={"filter": (None, nested(MAX_DEPTH))})
    assert len(told_lists.entries((said(deepest), None), before=4, limit=1)[0]) == 1
    assert [one.number for one in told_lists.rows((said(row(6), row(2)), None), before=7, limit=2)] == [6, 2]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b"null", b"[7]", b"[[]]", b'[{"id": 7}]', b'[{"id": "a"}]', DEEP, b'[{"zz": ' + DEEP + b"}]",
        b'[{"id": "\xff", "created_at": "' + AT.encode() + b'"}]',
        b'[{"id": "\\ud800", "created_at": "' + AT.encode() + b'"}]',
        said(group("")), said(group("x" * (MAX_POSITION + 1))),
        said(group("a", created_at="2026-11-22T12:00:00")), said(group("a", created_at="0001-01-01T00:00:00+14:00")),
        said(group("a", deleting_at="9999-12-31T23:59:59-14:00")), said(group("a", fault={})),
        said(group("b"), group("a")), said(group("a"), group("a")), said(group("Z")), said(*(group(f"{n}") for n in range(4))),
    ],
)  # fmt: skip
def test_groups_that_are_not_what_was_asked_for_are_not_taken(body: bytes) -> None:
    with pytest.raises(UNREAD):
        told_lists.groups((body, None), behind="Z" if b'"Z"' in body else "", limit=3)


@pytest.mark.parametrize(
    ("body", "next_"),
    [
        (said(entry(10)), None), (said(entry(11)), None), (said(entry(0)), None), (said(entry(-1)), None),
        (said(entry(10**30)), None), (said(entry(3), entry(4)), None), (said(entry(4), entry(4)), None),
        (said(entry(5), entry(4), entry(3), entry(2)), None),
        (said(entry(3)), "4"), (said(entry(3)), "-1"), (said(entry(3)), "nine"), (said(entry(3)), "9" * 5_000),
        (said(), "10"), (said(), str(10**40)),
        (said(entry(3, who="nobody")), None), (said(entry(3, changes=[1])), None), (said(entry(3, at=7)), None),
        (said(entry(3, changes={"filter": (None, nested(MAX_DEPTH + 2))})), None),
        (said(entry(3, changes={"filter": 0})).replace(b"0}}", b"[" + DEEP + b", 1]}}"), None),
        (said(entry(3, changes={"filter": (0, 0)})).replace(b"[0, 0]", b"[1e999, 0]"), None),
    ],
)  # fmt: skip
def test_entries_that_are_not_what_was_asked_for_are_not_taken(body: bytes, next_: str | None) -> None:
    with pytest.raises(UNREAD):
        told_lists.entries((body, next_), before=10, limit=3)


@pytest.mark.parametrize(
    "items",
    [
        [row(10)], [row(0)], [row(2**63)], [row(3), row(4)], [row(4), row(4)], [row(5), row(4), row(3), row(2)],
        [row(3, created_at=AT[:-6])], [row(3, kind=None)],
    ],
)  # fmt: skip
def test_rows_that_are_not_what_was_asked_for_are_not_taken(items: list[dict[str, Any]]) -> None:
    with pytest.raises(UNREAD):
        told_lists.rows((said(*items), None), before=10, limit=3)

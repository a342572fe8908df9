"""Profiles `vivreal` (seeds 000 and 001) and `vivreal-content` (seed 002): two generations of one system.

Both send `x-vivreal-event`, an id of the delivery and `x-vivreal-signature`; the first as bare hex, the second with `sha256=`
before it, which the first one's receivers answer with a 500. The names of events differ too (`core.vocabulary`).
"""

import json
from uuid import UUID

from tidings.core.event import Event
from tidings.core.retry import Delays
from tidings.core.vocabulary import VIVREAL, VIVREAL_CONTENT
from tidings.core.webhook import Webhook
from tidings.profiles.parts import (
    changed,
    current,
    document,
    encode,
    event_time,
    header_text,
    instant,
    joined,
    members,
    text_member,
    with_member,
)
from tidings.profiles.profile import Profile
from tidings.profiles.request import Attempt
from tidings.profiles.signing import bare_signature

# What every record of a collection has beside its fields.
STANDING = ("id", "created", "updated", "publishDate", "archived", "author")

# Seed 001, "Retry Policy".
RETRY = Delays(delays=(60, 300, 1800, 7200, 43_200))


def body(event: Event, _: Webhook) -> bytes:
    """Return the body of the first generation: `id, event, timestamp, groupId, data`.

    Raises:
        RenderError: The record cannot be written as JSON.
    """
    return b'{"id":"evt_%s","event":%s,"timestamp":"%s","groupId":%s,"data":%s}' % (
        event.id.hex.encode(),
        encode(VIVREAL.name_of(event)),
        event_time(event),
        encode(event.group_id),
        _plain(event) if event.operation is None else _object(event),
    )


def _plain(event: Event) -> bytes:
    """Return what was published, or a collection with the names that system's data has."""
    data = document(event.record)
    if event.source != "collections":
        return data
    return with_member(with_member(data, "collectionId", encode(event.subject)), "collectionName", encode(event.table_name))


def _object(event: Event) -> bytes:
    """Return a row as that system describes an object of a collection."""
    row = current(event)
    said = {
        "objectId": encode(text_member(row, "id", "_id")),
        "collectionId": encode(event.subject),
        "collectionName": encode(event.table_name),
    }
    if event.source == "collections":
        fields, standing = _record(row)
        said |= {
            "fields": joined(fields),
            "author": standing["author"],
            "publishDate": instant(standing["publishDate"]),
            "archived": standing["archived"],
        }
    else:
        said["fields"] = document(row)
    if event.operation == "UPDATE":
        said["changed"] = changed(event)
    return joined(said)


def _record(row: str | None) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the members of a record that are fields, and those that every record has."""
    fields = members(row)
    standing = {name: fields.pop(name, b"null") for name in STANDING}
    return fields, standing


def sign(attempt: Attempt, content: bytes) -> str:
    """Return the headers of the first generation."""
    return (
        f"{bare_signature('X-Vivreal-Signature', attempt, content)}"
        f"X-Vivreal-Event: {header_text(VIVREAL.name_of(attempt.event))}\r\n"
        f"X-Vivreal-Delivery-Id: {attempt.delivery_id}\r\n"
    )


def content_id(event: Event) -> UUID:
    """Return the event's id in the form of a UUIDv4, which is what the second generation's receivers may check.

    It says the same as the event's own: only the version differs.
    """
    return UUID(int=event.id.int, version=4)


def content_body(event: Event, _: Webhook) -> bytes:
    """Return the body of the second generation: `id, event, timestamp, data`, where data is the whole document.

    Raises:
        RenderError: The record cannot be written as JSON.
    """
    data = _resource(event) if event.operation is None else _content(event)
    return b'{"id":"%s","event":%s,"timestamp":"%s","data":%s}' % (
        str(content_id(event)).encode(),
        encode(VIVREAL_CONTENT.name_of(event)),
        event_time(event),
        with_member(data, "groupID", encode(event.group_id)),
    )


def _resource(event: Event) -> bytes:
    """Return what was published; a collection, or an object of an integration, as the document it is there."""
    if event.source == "collections":
        return with_member(document(event.record), "_id", encode(event.subject))
    said = members(event.record)
    if event.source != "integrations" or "object" not in said:
        return document(event.record)
    return joined(
        {
            "_id": encode(":".join(json.loads(said[name]) for name in ("integration", "object_type", "object_id"))),
            "id": said["object_id"],
            "platform": said["platform"],
            "type": said["object_type"],
            "objectValue": said["object"],
        }
    )


def _content(event: Event) -> bytes:
    """Return a row as a document of that system's content."""
    row = current(event)
    said = {
        "_id": encode(text_member(row, "_id", "id")),
        "collectionObj": joined({"name": encode(event.table_name), "refID": encode(event.subject)}),
    }
    if event.source != "collections":
        return joined(said | {"objectValue": document(row)})
    fields, standing = _record(row)
    author = standing["author"]
    return joined(
        said
        | {
            "publishDate": instant(standing["publishDate"]),
            "archived": standing["archived"],
            "author": author if author == b"null" else joined({"name": author, "email": author}),
            "objectValue": joined(fields),
            "createdAt": instant(standing["created"]),
            "updatedAt": instant(standing["updated"]),
        }
    )


def sign_content(attempt: Attempt, content: bytes) -> str:
    """Return the headers of the second generation."""
    return (
        f"{bare_signature('X-Vivreal-Signature', attempt, content, 'sha256=')}"
        f"X-Vivreal-Event: {header_text(VIVREAL_CONTENT.name_of(attempt.event))}\r\n"
        f"X-Vivreal-Delivery: {content_id(attempt.event)}\r\n"
    )


PROFILE = Profile(
    body=body,
    sign=sign,
    vocabulary=VIVREAL,
    retry=RETRY,
    owned_headers=("x-vivreal-",),
)
CONTENT = Profile(
    body=content_body,
    sign=sign_content,
    vocabulary=VIVREAL_CONTENT,
    retry=RETRY,
    owned_headers=("x-vivreal-",),
)

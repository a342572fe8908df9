"""What is put on record of what people do: who, what, on what."""

from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

MAX_ADDRESS: Final = 100  # characters
MAX_SUBJECT: Final = 200


class Who(StrEnum):
    """By what somebody acts."""

    KEY = "key"  # a key, in a call of the API
    SESSION = "session"  # a browser that is signed in
    LINK = "link"  # a customer's browser, by a portal link
    SYSTEM = "system"  # the command line, or something that follows from something else


class Action(StrEnum):
    """What is put on record."""

    SESSION_BEGAN = "session.began"
    SESSION_ENDED = "session.ended"
    LINK_MADE = "link.made"
    LINK_ENDED = "link.ended"
    SECRET_SHOWN = "secret.shown"  # noqa: S105 - a name, no secret
    SECRET_ROTATED = "secret.rotated"  # noqa: S105
    KEYS_ROTATED = "keys.rotated"
    API_KEY_MADE = "api_key.made"
    API_KEY_ROTATED = "api_key.rotated"
    API_KEY_REVOKED = "api_key.revoked"
    WEBHOOK_CREATED = "webhook.created"
    WEBHOOK_CHANGED = "webhook.changed"
    WEBHOOK_DELETED = "webhook.deleted"
    GROUP_CREATED = "group.created"
    GROUP_DELETED = "group.deleted"
    JOB_CREATED = "job.created"
    JOB_CHANGED = "job.changed"
    JOB_DELETED = "job.deleted"
    JOB_FIRED = "job.fired"
    INTEGRATION_CREATED = "integration.created"
    INTEGRATION_CHANGED = "integration.changed"
    INTEGRATION_DELETED = "integration.deleted"
    COLLECTION_CREATED = "collection.created"
    COLLECTION_CHANGED = "collection.changed"
    COLLECTION_DELETED = "collection.deleted"
    TABLE_CHANGED = "table.changed"
    TABLE_RESET = "table.reset"
    TYPE_CHANGED = "event_type.changed"
    TYPE_DELETED = "event_type.deleted"
    BACKFILL_BEGAN = "backfill.began"
    BACKFILL_CANCELLED = "backfill.cancelled"
    RECOVERY_BEGAN = "recovery.began"
    RECOVERY_CANCELLED = "recovery.cancelled"
    RULE_CREATED = "redaction.created"
    RULE_CHANGED = "redaction.changed"
    RULE_DELETED = "redaction.deleted"
    ERASURE_BEGAN = "erasure.began"
    ERASURE_CANCELLED = "erasure.cancelled"
    DELIVERY_RETRIED = "delivery.retried"
    LISTENER_SKIPPED = "listener.skipped"
    ROUTED_AGAIN = "set_aside.routed"
    DISCARDED = "set_aside.discarded"
    SETTING_RETRIED = "set_aside.setting_retried"
    BIN_CREATED = "bin.created"
    BIN_CHANGED = "bin.changed"
    BIN_EMPTIED = "bin.emptied"
    BIN_DELETED = "bin.deleted"


class Actor(msgspec.Struct, frozen=True):
    """Who does something.

    Attributes:
        id: Of the key, the session or the portal link.
        address: Where they come from, as far as those whom we believe say.
        key_id: The key that they do it with, or that their session was begun with.
        key_name: What it is called.
    """

    who: Who = Who.SYSTEM
    id: UUID | None = None
    address: str = ""
    key_id: UUID | None = None
    key_name: str = ""

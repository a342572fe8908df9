"""What is put on record of what people do: who, what, on what, and what changed by it; and what the record is searched for."""

from collections.abc import Sequence
from datetime import datetime
from difflib import get_close_matches
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from tidings.core.errors import InvalidInputError

MAX_ADDRESS: Final = 100  # characters
MAX_SUBJECT: Final = 200
MAX_ACTIONS: Final = 20  # of one search
MAX_WORD: Final = 200  # characters that are searched for


class Who(StrEnum):
    """By what somebody acts."""

    KEY = "key"  # a key, in a call of the API
    SESSION = "session"  # a browser that is signed in by a key
    MEMBER = "member"  # a browser that somebody signed in to by the provider
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
    CREDENTIALS_CHANGED = "credentials.changed"
    KEYS_ROTATED = "keys.rotated"
    SECRET_KEY_CHANGED = "secret_key.changed"  # noqa: S105
    INSTALLATION_ADOPTED = "installation.adopted"
    INSTALLATION_HELD = "installation.held"
    API_KEY_MADE = "api_key.made"
    API_KEY_CHANGED = "api_key.changed"
    API_KEY_ROTATED = "api_key.rotated"
    API_KEY_REVOKED = "api_key.revoked"
    MEMBER_INVITED = "member.invited"
    MEMBER_JOINED = "member.joined"
    MEMBER_CHANGED = "member.changed"
    MEMBER_REMOVED = "member.removed"
    WEBHOOK_CREATED = "webhook.created"
    WEBHOOK_CHANGED = "webhook.changed"
    WEBHOOK_DELETED = "webhook.deleted"
    WEBHOOK_TESTED = "webhook.tested"
    WEBHOOK_DIAGNOSED = "webhook.diagnosed"
    GROUP_CREATED = "group.created"
    GROUP_DELETED = "group.deleted"
    LIMITS_CHANGED = "limits.changed"
    LIMITS_RESET = "limits.reset"
    EGRESS_NARROWED = "egress.narrowed"
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
        id: Of the key, the session, the member or the portal link.
        address: Where they come from, as far as those whom we believe say.
        key_id: The key that they do it with, or that their session was begun with.
        key_name: What it is called; of a member the address.
    """

    who: Who = Who.SYSTEM
    id: UUID | None = None
    address: str = ""
    key_id: UUID | None = None
    key_name: str = ""


# Searching -----------------------------------------------------------------------------------------------------------------


class Sought(msgspec.Struct, frozen=True, kw_only=True):
    """What the record is searched for. What is not said holds for everything.

    Attributes:
        group_id: What is about this group.
        who_id: Of the key, the session, the member or the portal link.
        key_id, key_name: The key that it was done with, or that the session was begun with.
        actions, families: Any of these actions, or of those that begin so (`webhook.`).
        subject: What it was called then, exactly.
        since, until: When; the end is not included.
    """

    group_id: str | None = None
    who: Who | None = None
    who_id: UUID | None = None
    key_id: UUID | None = None
    key_name: str | None = None
    actions: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    subject_id: UUID | None = None
    subject: str | None = None
    address: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def drive(self) -> str:
        """The index that a search walks along: of what is asked for, that of which there are fewest entries as a rule."""
        for name in ("subject_id", "who_id", "key_id", "key_name", "subject", "address"):
            if getattr(self, name) is not None:
                return name
        if len(self.actions) == 1 and not self.families:
            return "action"
        return "all" if self.group_id is None else "group_id"


def sought(
    *,
    group_id: str | None = None,
    who: str | None = None,
    who_id: UUID | None = None,
    with_key: str | None = None,
    actions: Sequence[str] = (),
    subject_id: UUID | None = None,
    subject: str | None = None,
    address: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Sought:
    """Return what is searched for, from the words of a query.

    Args:
        with_key: The id of a key, or its name.
        actions: Actions, or families such as `webhook.*`; several of them with commas.

    Raises:
        InvalidInputError: With the field and the remedy.
    """
    for name, text in (("with_key", with_key), ("subject", subject), ("address", address), ("group", group_id)):
        if text is not None and (not 1 <= len(text) <= MAX_WORD or "\0" in text):
            raise InvalidInputError(name, f"{name} has 1 to {MAX_WORD} characters, without U+0000; leave it out for all.")
    for name, at in (("since", since), ("until", until)):
        if at is not None and at.tzinfo is None:
            raise InvalidInputError(name, f"{name} has no zone; write a time such as 2026-11-21T03:42:37Z.")
    if who is not None and who not in set(Who):
        raise InvalidInputError("who", f"who is {who[:40]!r}; write one of {', '.join(Who)}.")
    words = [word.strip() for text in actions for word in text.split(",") if word.strip()]
    if len(words) > MAX_ACTIONS:
        raise InvalidInputError(
            "action", f"action names {len(words)}; write at most {MAX_ACTIONS}, or a family such as webhook.*."
        )
    named = [word for word in words if not word.endswith(".*")]
    families = [word[:-1] for word in words if word.endswith(".*")]
    _check_actions(named, families)
    key_id = None if with_key is None else _id(with_key)
    return Sought(
        group_id=group_id,
        who=None if who is None else Who(who),
        who_id=who_id,
        key_id=key_id,
        key_name=with_key if key_id is None else None,
        actions=tuple(named),
        families=tuple(families),
        subject_id=subject_id,
        subject=subject,
        address=address,
        since=since,
        until=until,
    )


def _check_actions(named: Sequence[str], families: Sequence[str]) -> None:
    known = [action.value for action in Action]
    for word in named:
        if word not in known:
            near = get_close_matches(word, known, 1)
            hint = f" Did you mean {near[0]}?" if near else f" There are {', '.join(known)}, and families such as webhook.*."
            raise InvalidInputError("action", f"{word[:60]!r} is no action of the audit.{hint}")
    for family in families:
        if not any(action.startswith(family) for action in known):
            there_are = ", ".join(sorted({f"{action.partition('.')[0]}.*" for action in known}))
            raise InvalidInputError("action", f"{family[:60] + '*'!r} is no family of actions; there are {there_are}.")


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None

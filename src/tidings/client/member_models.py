"""What `client.members` and `client.sessions` answer."""

from datetime import datetime
from uuid import UUID

import msgspec


class MemberRole(msgspec.Struct, frozen=True):
    """What a member is: `owner`, `developer`, `support` or `viewer`. `bound_to`: of the one group; None: of all."""

    role: str
    bound_to: str | None = None


class Member(msgspec.Struct, frozen=True):
    """Somebody who may sign in to the portal by the provider.

    Attributes:
        email: What they were invited by.
        roles: All of theirs; with a key that is for one group, that of this group.
        issuer: The provider that they came from; None: they have not come yet.
        subject: Who they are there.
    """

    id: UUID
    email: str
    roles: list[MemberRole]
    invited_at: datetime
    name: str = ""
    issuer: str | None = None
    subject: str | None = None
    joined_at: datetime | None = None
    signed_in_at: datetime | None = None


class PortalSession(msgspec.Struct, frozen=True):
    """A browser that is signed in to the portal.

    Attributes:
        by: `key`, or `member`: by the provider.
        seen_at: Its last visit, to within five minutes.
    """

    id: UUID
    by: str
    browser: str
    address: str
    group: str
    began_at: datetime
    seen_at: datetime
    ends_at: datetime
    key_id: UUID | None = None
    key_name: str | None = None
    member_id: UUID | None = None
    member_email: str | None = None

"""Members: invite people to sign in by the provider, say what they are, and take that away.

Whoever may act for one group alone sees the members who have a role of it, and changes that role alone.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID, uuid4

import msgspec

from tidings.core.api_key import check_group
from tidings.core.audit import Action
from tidings.core.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from tidings.core.roles import MAX_ROLES, NO_ROLE, Held, Role, check_count, parse_email, parse_role
from tidings.operations import audit
from tidings.operations.lookups import there
from tidings.operations.services import Services
from tidings.operations.sessions import end_all_of_member
from tidings.store import groups, members
from tidings.store.database import Connection
from tidings.store.members import MAX_MEMBERS, Member

LAST_ROLE: Final = "This is the member's last role. Remove the member instead."


async def list_members(services: Services, *, limit: int, offset: int = 0) -> list[Member]:
    """Return a page of members, in order of their addresses."""
    async with services.wide.connection() as connection:
        return await members.list_members(connection, services.bound_to, limit=limit, offset=offset)


async def read(services: Services, member_id: UUID) -> Member:
    """Return a member.

    Raises:
        NotFoundError: There is none.
    """
    async with services.wide.connection() as connection:
        return there(await members.read(connection, member_id, services.bound_to), f"There is no member {member_id}.")


async def invite(services: Services, *, email: str, role: str, group_ids: Sequence[str] | None) -> Member:
    """Let somebody sign in by the provider with this address. Nothing is sent: tell them where the portal is.

    Args:
        group_ids: The groups that the role is for; None: all.

    Raises:
        ConflictError: There are too many; or they have a role for that already.
        ForbiddenError: A group is not for whoever asks.
        InvalidInputError: With the field and the reason.
        NotFoundError: There is no such group.
    """
    email, wanted = parse_email(email), _wanted(services, parse_role(role), group_ids)
    async with services.wide.transaction() as connection:
        await _check_groups(connection, wanted)
        member_id, now = uuid4(), services.clock.now()
        await members.add(connection, member_id, email, now)
        known = await members.lock_address(connection, email)
        if known is None:
            raise ConflictError(f"There are {MAX_MEMBERS:,} members. Remove those who are gone.")
        taken = {held.group_id for held in known.held} & {held.group_id for held in wanted}
        if taken:
            where = ", ".join(sorted(group_id or "all groups" for group_id in taken))
            raise ConflictError(f"{email} is a member already ({where}). Change the role instead.")
        check_count([*known.held, *wanted])
        for held in wanted:
            await members.put_role(connection, known.id, held)
        await _noted(services, connection, Action.MEMBER_INVITED, known, wanted)
        return there(await members.read(connection, known.id, services.bound_to), f"There is no member {known.id}.")


async def set_role(services: Services, member_id: UUID, *, role: str, group_ids: Sequence[str] | None) -> Member:
    """Say what a member is, from their next page on. Where a role is taken away, their sessions end, and the portal links that
    they made and may make no more.

    Args:
        role: `none` takes away the one they have.
        group_ids: The groups that it is for; None: all.

    Raises:
        ConflictError: It would be their last.
        ForbiddenError: A group is not for whoever asks.
        InvalidInputError: With the field and the reason.
        NotFoundError: There is no such member or group.
    """
    parsed = None if role == NO_ROLE else parse_role(role)
    wanted = _wanted(services, parsed or Role.VIEWER, group_ids)
    async with services.wide.transaction() as connection:
        await _check_groups(connection, wanted)
        await _locked(services, connection, member_id)
        known = there(await members.read(connection, member_id, None), f"There is no member {member_id}.")
        places = {held.group_id for held in wanted}
        left = [held for held in known.held if held.group_id not in places]
        if parsed is None and not left:
            raise ConflictError(LAST_ROLE)
        check_count([*left, *wanted])
        for held in wanted:
            if parsed is None:
                await members.drop_role(connection, member_id, held.group_id)
            else:
                await members.put_role(connection, member_id, held)
        if parsed is None:
            await end_all_of_member(services, connection, member_id)
        await members.end_links(connection, member_id)
        await _noted(services, connection, Action.MEMBER_CHANGED, known, wanted, taken=parsed is None)
        found = await members.read(connection, member_id, services.bound_to)
        return found if found is not None else msgspec.structs.replace(known, held=())


async def remove(services: Services, member_id: UUID) -> None:
    """Take a member away, with their sessions and the portal links that they made. Whoever may act for one group alone takes
    their role of it away; the member goes when it is the last.

    Raises:
        NotFoundError: There is none.
    """
    async with services.wide.transaction() as connection:
        known = await _locked(services, connection, member_id)
        every = there(await members.read(connection, member_id, None), f"There is no member {member_id}.")
        await end_all_of_member(services, connection, member_id)
        if len(known.held) < len(every.held):
            await members.drop_role(connection, member_id, services.bound_to)
            await members.end_links(connection, member_id)
        else:
            await members.remove(connection, member_id)
        await _noted(services, connection, Action.MEMBER_REMOVED, known, known.held, taken=True)


def _wanted(services: Services, role: Role, group_ids: Sequence[str] | None) -> tuple[Held, ...]:
    if group_ids is None:
        if services.bound_to is not None:
            raise ForbiddenError("You act for one group, and this is a role for all of them. Name the group as groups.")
        return (Held(role, None),)
    if not 1 <= len(group_ids) <= MAX_ROLES:
        raise InvalidInputError("groups", f"groups names 1 to {MAX_ROLES} groups; leave it out for a role for all of them.")
    for group_id in group_ids:
        check_group(services.bound_to, group_id)
    return tuple(Held(role, group_id) for group_id in dict.fromkeys(group_ids))


async def _check_groups(connection: Connection, wanted: Sequence[Held]) -> None:
    for held in wanted:
        if held.group_id is not None and await groups.get(connection, held.group_id) is None:
            raise NotFoundError(f"There is no group {held.group_id!r}. Make the group first.")


async def _locked(services: Services, connection: Connection, member_id: UUID) -> Member:
    return there(await members.lock(connection, member_id, services.bound_to), f"There is no member {member_id}.")


async def _noted(
    services: Services, connection: Connection, action: Action, member: Member, about: Sequence[Held], *, taken: bool = False
) -> None:
    """Put it on record: of the group when it is about one, else of the installation."""
    places = [held.group_id for held in about]
    only = places[0] if len(places) == 1 else None
    acting = services if only is None else msgspec.structs.replace(services, group_id=only)
    said = ", ".join(_in_words(about) if not taken else [f"{NO_ROLE} of {group_id or 'all groups'}" for group_id in places])
    was, is_ = [held for held in member.held if held.group_id in places], [] if taken else about
    await audit.note(
        acting,
        connection,
        action,
        member.id,
        f"{member.email}: {said}",
        is_of_group=only is not None,
        before={"roles": _in_words(was)},
        after={"roles": _in_words(is_)},
    )


def _in_words(roles: Sequence[Held]) -> list[str]:
    return [f"{held.role} of {held.group_id or 'all groups'}" for held in roles]

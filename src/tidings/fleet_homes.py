"""Which homes a fleet has, and where groups live by their names or by what was said (docs/fleet.md)."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Final

import msgspec

from tidings.app import database_of, opened
from tidings.clock import Clock
from tidings.config import Config
from tidings.core.errors import StartupError
from tidings.core.fleet import SHOWN, Fleet, check_name, sender_of, spread, with_groups, without_home
from tidings.core.group import check_group_id
from tidings.fleet import administering, directory_version
from tidings.store import placing
from tidings.store.database import Database
from tidings.transport.stream import Stream
from tidings.transport.stream_making import has_stream, take_away
from tidings.transport.stream_standing import look

GROUPS_AT_ONCE: Final = 1000
HEARD_LOOKS: Final = 60  # whether all members have heard of a directory
HEARD_INTERVAL: Final = 0.5  # seconds between them


async def remove_home(config: Config, home: str, *, besides: Collection[str] = ()) -> bool:
    """Have a fleet be without a home where no group lives; False: flights are in its stream still, which stays.

    Args:
        besides: Senders that are gone for good, and are not waited for; the home's own, where its database is lost.

    Raises:
        StartupError: Groups live there, somebody may send there still, or something waits there.
    """
    check_name(home, "A home's name")
    async with administering(config) as way:
        for member in besides:
            await way.bucket.forget(member)
        followed = await way.bucket.fleet()
        if home in followed.homes or not await has_stream(way, home):  # else who took it away was broken off
            await expect_followed(way, followed)
            if home in followed.homes and sender_of(home) not in besides:
                await _expect_empty(way, home)
            await way.bucket.change(lambda fleet: without_home(fleet, home, directory_version(), followed=followed.version))
        await way.bucket.forget(sender_of(home))
        return await take_away(way, home)


async def _expect_empty(way: Stream, home: str) -> None:
    """Return when a home has landed what came, and has sent on what is of others: it does neither once it is taken away.

    Raises:
        StartupError: It has not.
    """
    seen = await look(way, [home], Clock().now())
    waits = [f"{one.flights:,} flights in the stream" for one in seen.homes if one.flights]
    if (report := seen.sources.get(sender_of(home))) is not None:
        waits += [f"{report.outbox_rows:,} rows in its outbox"] if report.outbox_rows else []
        waits += [f"{one.flights:,} flights for {one.home}" for one in report.waits if one.flights]
    if waits:
        raise StartupError(
            f"{home} has {', '.join(waits)}, which it lands or sends on while serve runs there. Try again in some seconds; "
            f"if its database is lost, say so: --without {sender_of(home)}."
        )


async def expect_followed(way: Stream, fleet: Fleet) -> None:
    """Return when all who send have heard of the directory as it is.

    Raises:
        StartupError: Some have not.
        StreamAwayError: The stream did not answer.
    """
    behind = sorted(member for member, version in (await way.bucket.settled()).items() if version < fleet.version)
    if behind:
        raise StartupError(
            f"{', '.join(behind[:SHOWN])} did not say yet that nothing by an older directory is on its way. Try again in some "
            "seconds; start what is not running; name what is gone for good with --without."
        )


async def place(config: Config, groups: Sequence[str], home: str) -> Fleet:
    """Say that groups live at a home, whatever their names; without any, those that have webhooks in this database.

    Raises:
        StartupError: The fleet has no such home, or cannot remember so many.
    """
    if not groups:
        async with opened(config) as services:
            groups = [group_id async for group_id in _groups(services.wide, are_owned=True)]
    for group_id in groups:
        check_group_id(group_id)
    async with administering(config) as way:
        return await way.bucket.change(lambda fleet: with_groups(fleet, dict.fromkeys(groups, home), directory_version()))


async def spread_names(
    config: Config, homes: Sequence[str], databases: Mapping[str, str], *, is_plan: bool
) -> tuple[Fleet, int]:
    """Have groups' names lead to these homes. Each group that there is stays where it lives.

    Args:
        databases: The URL of each home's database, where its groups are read.
        is_plan: Change nothing, and tell what would be so.

    Returns:
        The fleet, and how many groups it remembers that are not where their names lead.

    Raises:
        StartupError: A home's database was not said or cannot be read, or too many groups would be remembered.
    """
    async with administering(config) as way:
        there = await way.bucket.fleet()
        if missing := sorted({*there.homes} ^ {*databases}):
            raise StartupError(
                f"The fleet has the homes {', '.join(there.homes)}; say the database of each, and no other: "
                f"--database {missing[0]}=URL."
            )
        groups = {group_id for url in databases.values() for group_id in await _groups_in(config, url)}

        def changed(fleet: Fleet) -> Fleet:
            kept = {group_id: fleet.home_of(group_id) for group_id in groups}
            return spread(fleet, homes, kept, directory_version())

        fleet = changed(there) if is_plan else await way.bucket.change(changed)
        if not is_plan:
            await _heard(way, fleet)
            late = {
                group_id: home
                for home, url in databases.items()
                for group_id in await _groups_in(config, url, are_owned=True)
                if group_id not in groups
            }
            fleet = await way.bucket.change(lambda fleet: _keeping(fleet, late))
    return fleet, len(fleet.moved)


def _keeping(fleet: Fleet, late: Mapping[str, str]) -> Fleet:
    """Return a fleet where groups live that got webhooks while names were spread: elsewhere nobody would hear their events."""
    stay = {group_id: home for group_id, home in late.items() if fleet.home_of(group_id) != home}
    return with_groups(fleet, stay, directory_version()) if stay else fleet


async def _heard(way: Stream, fleet: Fleet) -> None:
    """Return once all members have heard of the directory; those that are not at work are not waited for long."""
    for _ in range(HEARD_LOOKS):
        if all(version >= fleet.version for version in (await way.bucket.settled()).values()):
            return
        await asyncio.sleep(HEARD_INTERVAL)


async def _groups_in(config: Config, url: str, *, are_owned: bool = False) -> set[str]:
    """Return the groups that there are in a database; or those that have webhooks there."""
    async with database_of(msgspec.structs.replace(config, database_url=url)) as database:
        return {group_id async for group_id in _groups(database, are_owned=are_owned)}


async def _groups(database: Database, *, are_owned: bool = False) -> AsyncIterator[str]:
    last = ""
    async with database.connection() as connection:
        while page := await placing.groups_after(connection, last, GROUPS_AT_ONCE):
            last = page[-1]
            for group_id in await placing.owned(connection, page) if are_owned else page:
                yield group_id

"""`tidings set-aside`: what could not go on, on the command line."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import click
import msgspec

from tidings.app import opened
from tidings.cli import asking
from tidings.cli.here import expect_database
from tidings.cli.logs import plain, set_up_logs
from tidings.config import Config
from tidings.core.errors import ConflictError, InvalidInputError, NotFoundError
from tidings.operations import set_aside
from tidings.operations.services import Services
from tidings.store.faults import Fault

T = TypeVar("T")

PAGE = 500  # rows read at a time


def run_list(config: Config, *, as_json: bool) -> None:
    """Print what is set aside, a page at a time: each event and delivery by its number, each setting as kind:id."""
    asking.done(_with(config, _print_json if as_json else _print_lines))


async def _print_lines(services: Services, size: int = PAGE) -> None:
    is_any = False
    async for page in _rows(services, size):
        is_any = True
        for row in page:
            what = row.type or " ".join(part for part in (row.operation, row.schema, row.table) if part) or row.kind
            click.echo(f"{row.number}  {row.kind}  {_plain(what)}  {_plain(row.group_id or '-')}  {_plain(row.reason)}")
    async for faults in _settings(services, size):
        is_any = True
        for one in faults:
            click.echo(f"{one.kind}:{_plain(one.id)}  {_plain(one.name)}  {_plain(one.group_id or '-')}  {_plain(one.reason)}")
    if not is_any:
        click.echo("Nothing is set aside.")


async def _print_json(services: Services, size: int = PAGE) -> None:
    """Print one document, as it is read: there may be millions."""
    for name, pages in (("rows", _rows(services, size)), ("settings", _settings(services, size))):
        click.echo(f'{"{" if name == "rows" else ","}"{name}":[', nl=False)
        comma = b""
        async for page in pages:
            for one in page:
                click.echo(comma + msgspec.json.encode(one), nl=False)
                comma = b","
        click.echo("]", nl=False)
    click.echo("}")


def run_retry(config: Config, what: str, *, as_json: bool) -> None:
    """Try one thing again, or all rows.

    Raises:
        InvalidInputError: It is neither a number, nor kind:id, nor `all`.
    """
    if what == "all":
        _retry_all(config, as_json=as_json)
        return
    asking.done(_with(config, lambda services: _retry(services, what)))
    _say("retried", 1, as_json=as_json)


def _retry_all(config: Config, *, as_json: bool) -> None:
    count, refused = asking.done(_with(config, _retry_rows))
    if as_json:
        click.echo(msgspec.json.encode({"retried": count, "refused": refused}))
    else:
        click.echo(f"{count} retried.")
        for number, reason in refused.items():
            click.echo(f"tidings: {number}: {_plain(reason)}", err=True)
    if refused:
        sys.exit(1)


def run_discard(config: Config, what: str, *, as_json: bool) -> None:
    """Discard one thing for good.

    Raises:
        InvalidInputError: It is neither a number nor kind:id.
    """
    count = asking.done(_with(config, lambda services: _discard(services, what)))
    _say("discarded", count, as_json=as_json)


async def _with(config: Config, work: Callable[[Services], Awaitable[T]]) -> T:
    set_up_logs(config.log_format, "error")
    expect_database(config)
    async with opened(config, is_to_change=False) as services:
        return await work(services)


async def _rows(services: Services, size: int) -> AsyncIterator[list[set_aside.SetAside]]:
    """Give all rows, a page at a time, newest first."""
    before: int | None = None
    while page := await set_aside.list_rows(services, limit=size, before=before):
        yield page
        before = page[-1].number


async def _settings(services: Services, size: int) -> AsyncIterator[list[Fault]]:
    """Give all settings that cannot be read, a page at a time."""
    after = ""
    while page := await set_aside.list_settings(services, limit=size, after=after):
        yield page
        after = page[-1].cursor


async def _retry_rows(services: Services) -> tuple[int, dict[int, str]]:
    """Put back all rows, newest first; return how many, and why others stayed. What is set aside again has a greater number."""
    count, refused = 0, dict[int, str]()
    last: int | None = None
    while len(refused) < PAGE and (page := await set_aside.list_rows(services, limit=PAGE, before=last)):
        for row in page:
            last = row.number
            try:
                await set_aside.route_again(services, row.number)
                count += 1
            except NotFoundError:
                pass  # somebody else did it, or discarded it
            except ConflictError as error:
                refused[row.number] = error.message
    return count, refused


async def _retry(services: Services, what: str) -> None:
    kind, _, id_ = what.partition(":")
    if id_:
        await set_aside.retry_setting(services, kind, id_)
    else:
        await set_aside.route_again(services, _number(what))


async def _discard(services: Services, what: str) -> int:
    kind, _, id_ = what.partition(":")
    if id_:
        await set_aside.discard_setting(services, kind, id_)
    else:
        await set_aside.discard(services, _number(what))
    return 1


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise InvalidInputError(
            "what", f"{text!r} is neither a number of the list nor a setting as kind:id, such as webhook:6c1f…."
        )
    return int(text)


def _say(done: str, count: int, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode({done: count}))
    else:
        click.echo(f"{count} {done}.")


def _plain(text: str) -> str:
    """Return a text of one line: others wrote it."""
    return plain(text, line_feed=" ")

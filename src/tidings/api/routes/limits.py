"""`/api/v1/groups/{group_id}/limits` and `/api/v1/limits`: what groups may have and do, and what is used of it."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Router, delete, get, patch
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType

from tidings.api.http.parameters import group_in_path
from tidings.core.limits import Limits
from tidings.operations import limits
from tidings.operations.limits import GroupLimits
from tidings.operations.services import Services


class LimitsChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits to change. Those that are left out stay as they are; null: no limit."""

    webhooks: int | None | UnsetType = UNSET
    events_per_second: int | None | UnsetType = UNSET
    events_burst: int | None | UnsetType = UNSET
    stored_bytes: int | None | UnsetType = UNSET
    payload_bytes: int | None | UnsetType = UNSET


class LimitsView(msgspec.Struct, frozen=True):
    """Limits as read. Null: none."""

    webhooks: int | None
    events_per_second: int | None
    events_burst: int | None
    stored_bytes: int | None
    payload_bytes: int | None


class UsedView(msgspec.Struct, frozen=True):
    """What a group has and does. `events_left`: how many may be published at once, now."""

    webhooks: int
    events_per_second: float
    events_left: int | None
    stored_bytes: int


class OverrunView(msgspec.Struct, frozen=True):
    """A limit that a group is over, by what nobody refuses."""

    limit: str
    since: datetime


class GroupLimitsView(msgspec.Struct, frozen=True):
    """The limits of a group, and what is used of them. `is_own`: they are not those of all groups."""

    group: str
    is_own: bool
    limits: LimitsView
    used: UsedView
    over: list[OverrunView]


@get("/api/v1/groups/{group_id:str}/limits")
async def get_group_limits(services: NamedDependency[Services], group_id: FromPath[str]) -> GroupLimitsView:
    """Read the limits of a group, and what is used of them. A key that is for one group reads those of its own."""
    return _view(await limits.read(services, group_in_path(group_id)))


@patch("/api/v1/groups/{group_id:str}/limits")
async def set_group_limits(
    services: NamedDependency[Services], group_id: FromPath[str], data: JSONBody[LimitsChange]
) -> GroupLimitsView:
    """Change limits of a group; what is left out stays, and all are its own from now on. They hold everywhere within a second.
    What the group has beyond a limit stays; it gets no more.
    """
    return _view(await limits.change(services, group_in_path(group_id), _asked(data)))


@delete("/api/v1/groups/{group_id:str}/limits", status_code=200)
async def reset_group_limits(services: NamedDependency[Services], group_id: FromPath[str]) -> GroupLimitsView:
    """Take away a group's own limits, so that those of all groups hold for it."""
    return _view(await limits.reset(services, group_in_path(group_id)))


@get("/api/v1/limits")
async def get_default_limits(services: NamedDependency[Services]) -> LimitsView:
    """Read the limits of all groups that have none of their own."""
    return _limits(await limits.read_defaults(services))


@patch("/api/v1/limits")
async def set_default_limits(services: NamedDependency[Services], data: JSONBody[LimitsChange]) -> LimitsView:
    """Change limits of all groups that have none of their own; what is left out stays."""
    return _limits(await limits.change_defaults(services, _asked(data)))


def _asked(data: LimitsChange) -> dict[str, Any]:
    return {name: value for name in data.__struct_fields__ if (value := getattr(data, name)) is not UNSET}


def _limits(found: Limits) -> LimitsView:
    return LimitsView(*msgspec.structs.astuple(found))


def _view(found: GroupLimits) -> GroupLimitsView:
    used = UsedView(*msgspec.structs.astuple(found.used))
    over = [OverrunView(one.limit, one.since) for one in found.over]
    return GroupLimitsView(found.group_id, found.is_own, _limits(found.limits), used, over)


router = Router(
    "/",
    route_handlers=[get_group_limits, set_group_limits, reset_group_limits, get_default_limits, set_default_limits],
    tags=["Limits"],
)

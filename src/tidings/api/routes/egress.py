"""`/api/v1/egress`: what this installation may call; and what a group may not call although it may."""

import msgspec
from litestar import Router, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from tidings.api.http.parameters import group_in_path
from tidings.core.narrowing import NarrowingForm
from tidings.operations import egress
from tidings.operations.egress import JudgedAddress, Judgement, Rules
from tidings.operations.services import Services


class EgressView(msgspec.Struct, frozen=True):
    """What the settings allow. `ports` empty: all but those of other protocols; `http_hosts` null: plain http:// goes to
    `allowed_networks`; `proxy`: the proxy that everything goes out by, which resolves the names.
    """

    allowed_networks: list[str]
    denied_networks: list[str]
    ports: str
    denied_ports: str
    http_hosts: list[str] | None
    allow_http: bool
    proxy: str | None


class UrlToJudge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A URL that may be one of a webhook."""

    url: str


class JudgementView(msgspec.Struct, frozen=True):
    """Whether a URL may be called. `sentence`: what whoever writes it is told when not; `cause`: which rule it is; `addresses`:
    what its name resolves to, each with why it may not be called, or null.
    """

    url: str
    group: str
    is_allowed: bool
    sentence: str | None
    cause: str | None
    addresses: list[JudgedAddress]


class NarrowingBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a group may not call although the installation may. `networks` and `ports`: only these, where there are any."""

    networks: list[str] = []
    denied_networks: list[str] = []
    ports: list[str] = []
    denied_ports: list[str] = []
    https_only: bool = False


@get("/")
async def get_egress(services: NamedDependency[Services]) -> EgressView:
    """Read what the settings allow to be called."""
    return _rules(egress.rules(services))


@post("/judge", status_code=200)
async def judge_url(services: NamedDependency[Services], data: JSONBody[UrlToJudge]) -> JudgementView:
    """Tell whether a URL of the group's may be called. Its name is looked up, and nobody is called."""
    return _judgement(await egress.judge(services, data.url))


@get("/{group_id:str}/egress")
async def get_group_egress(services: NamedDependency[Services], group_id: FromPath[str]) -> NarrowingBody:
    """Read what a group may not call although the installation may."""
    return _narrowing(await egress.read_narrowing(services, group_in_path(group_id)))


@put("/{group_id:str}/egress")
async def narrow_group_egress(
    services: NamedDependency[Services], group_id: FromPath[str], data: JSONBody[NarrowingBody]
) -> NarrowingBody:
    """Narrow what a group may call; what is claimed from now on is sent by it. It widens nothing; empty lists allow all."""
    form = NarrowingForm(
        networks=tuple(data.networks),
        denied_networks=tuple(data.denied_networks),
        ports=tuple(data.ports),
        denied_ports=tuple(data.denied_ports),
        https_only=data.https_only,
    )
    return _narrowing(await egress.narrow(services, group_in_path(group_id), form))


def _rules(found: Rules) -> EgressView:
    return EgressView(**msgspec.structs.asdict(found))


def _judgement(found: Judgement) -> JudgementView:
    return JudgementView(**msgspec.structs.asdict(found))


def _narrowing(form: NarrowingForm) -> NarrowingBody:
    return NarrowingBody(
        networks=list(form.networks),
        denied_networks=list(form.denied_networks),
        ports=list(form.ports),
        denied_ports=list(form.denied_ports),
        https_only=form.https_only,
    )


routers = (
    Router("/api/v1/egress", route_handlers=[get_egress, judge_url], tags=["Installation"]),
    Router("/api/v1/groups", route_handlers=[get_group_egress, narrow_group_egress], tags=["Groups"]),
)

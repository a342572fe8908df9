"""The portal as a part of the application that serves the API: its routes, and whose mistakes it answers."""

from collections.abc import Callable
from importlib.resources.abc import Traversable
from typing import Any

from litestar import Request, Response, Router
from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.exceptions import HTTPException, NotFoundException
from litestar.plugins import InitPlugin

from tidings.core.attempts import CALLS_SECONDS, MAX_LINKS, Attempts
from tidings.core.errors import TidingsError
from tidings.portal import assets
from tidings.portal.access import refuse_customers, refuse_unknown, require_own_form, visit_of
from tidings.portal.answers import SECURITY_HEADERS, secured, show_broken, show_http_fault, show_refusal
from tidings.portal.pages import (
    api_docs,
    api_keys,
    audit,
    bins,
    catalogue,
    collection_edit,
    collections,
    deliveries,
    delivery,
    dry_run,
    egress,
    erasures,
    event_type_edit,
    events,
    explain,
    fleet,
    gallery,
    groups,
    guide,
    integration_edit,
    integrations,
    job_edit,
    jobs,
    limits,
    listeners,
    live,
    members,
    overview,
    portal_links,
    recover,
    recoveries,
    redaction,
    search,
    set_aside,
    settings,
    sign_in,
    table_edit,
    tables,
    webhook,
    webhook_diagnosis,
    webhook_edit,
    webhook_new,
    webhook_testing,
    webhooks,
)
from tidings.portal.streams import Watch
from tidings.portal.views.frame import asks_for_html

MAX_FORM_BYTES = 1_000_000  # the largest field is a body to send as a test

PAGES = (
    sign_in.router,
    portal_links.router,
    overview.router,
    deliveries.router,
    delivery.router,
    events.router,
    explain.router,
    recover.router,
    recoveries.router,
    search.router,
    live.router,
    groups.router,
    settings.router,
    tables.router,
    table_edit.router,
    collections.router,
    collection_edit.router,
    jobs.router,
    job_edit.router,
    integrations.router,
    integration_edit.router,
    catalogue.router,
    event_type_edit.router,
    set_aside.router,
    redaction.router,
    erasures.router,
    audit.router,
    api_keys.router,
    limits.router,
    egress.router,
    fleet.router,
    members.router,
    bins.router,
    listeners.router,
    gallery.router,
    api_docs.router,
    webhooks.router,
    webhook_new.router,
    webhook_edit.router,
    webhook.router,
    webhook_testing.router,
    webhook_diagnosis.router,
    dry_run.router,
)

Answer = Callable[[Request[Any, Any, Any], Any], Any]


class Portal(InitPlugin):
    """Puts the portal's pages beside the API's routes."""

    def __init__(self, shown: Traversable | None = None) -> None:
        """Args: shown: Where the guide is; None: where the package has it."""
        self._watch = Watch()
        self._guide = guide.Guide(shown or guide.packaged())

    def close(self) -> None:
        """End what is live, so that the server can stop: a stream of events has no end of its own."""
        self._watch.close()

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add the pages. What no route takes is answered by a page when a browser asks, and as before when a program does."""
        before: Any = app_config.exception_handlers
        app_config.route_handlers = [*app_config.route_handlers, _router(before[HTTPException])]
        app_config.exception_handlers = {**before, NotFoundException: _for_browsers(before[HTTPException])}
        app_config.state["sign_in_attempts"] = Attempts()
        app_config.state["link_guesses"] = Attempts(MAX_LINKS)
        app_config.state["customer_calls"] = Attempts(seconds=CALLS_SECONDS)
        app_config.state["watch"] = self._watch
        app_config.state["guide"] = self._guide
        return app_config


def _router(answer_program: Answer) -> Router:
    return Router(
        "/",
        route_handlers=[assets.serve, guide.router, *PAGES],
        guards=[refuse_customers, refuse_unknown, require_own_form],
        dependencies={"visit": Provide(visit_of)},
        middleware=[secured],
        request_max_body_size=MAX_FORM_BYTES,
        include_in_schema=False,
        exception_handlers={
            TidingsError: show_refusal,
            HTTPException: show_http_fault,
            overview.NotForProgramsError: _index,
            Exception: show_broken,
        },
    )


def _index(_: Request[Any, Any, Any], __: Exception) -> Response[dict[str, str]]:
    """Tell a program that asks for the first page where the rest is; nothing of how this installation is."""
    places = {"api": "/api/v1", "document": "/openapi.json", "docs": "/docs", "health": "/healthz"}
    return Response({"name": "Tidings", **places})


def _for_browsers(answer_program: Answer) -> Answer:
    def answer(request: Request[Any, Any, Any], error: HTTPException) -> Any:
        if request.method not in {"GET", "HEAD"} or not is_for_people(request):
            return answer_program(request, error)
        response = show_http_fault(request, error)
        response.headers.update(SECURITY_HEADERS)
        return response

    return answer


_PROGRAMS = ("/api", "/in", "/bin", "/.well-known", "/openapi.json", "/metrics", "/healthz", "/readyz")


def is_for_people(request: Request[Any, Any, Any]) -> bool:
    """Whether a page is asked for: by a browser, and not below what belongs to programs."""
    path = request.url.path
    is_api = any(path == one or path.startswith(f"{one}/") for one in _PROGRAMS)
    return not is_api and asks_for_html(request.headers.get("accept", ""))

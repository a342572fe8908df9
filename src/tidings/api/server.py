"""The API as one ASGI application.

Its document is not at the root, where the framework would take every path of one segment.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from litestar import Litestar, Request, Response, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.plugins import InitPlugin

from tidings.api.dialects.vski import collections, cron, records
from tidings.api.dialects.vski import webhooks as vski_webhooks
from tidings.api.http import errors
from tidings.api.http.access import require_key, require_reader, services_of
from tidings.api.http.parameters import refuse_unknown
from tidings.api.openapi.document import document_text
from tidings.api.openapi.operation_ids import operation_id
from tidings.api.routes import (
    attempts,
    audit,
    bins,
    deliveries,
    diagnosis,
    egress,
    erasures,
    event_types,
    events,
    groups,
    health,
    integrations,
    keys,
    limits,
    listeners,
    members,
    portal_links,
    recoveries,
    redaction,
    set_aside,
    signing_keys,
    statistics,
    tables,
    webhooks,
    wellknown,
)
from tidings.api.tails import Tails
from tidings.core.errors import TidingsError
from tidings.operations.services import Services

_SAID = "A key of `/api/v1/keys`. Each operation names the scope that it needs of it; `admin` has all of them."

# What a key opens. Which scope each route needs is told in `api/http/scopes.py`; a test says what is missing there.
GUARDED = (
    webhooks.router,
    deliveries.router,
    attempts.router,
    events.router,
    recoveries.router,
    redaction.router,
    erasures.router,
    listeners.router,
    statistics.router,
    event_types.router,
    groups.router,
    limits.router,
    *egress.routers,
    *portal_links.routers,
    signing_keys.router,
    set_aside.router,
    audit.router,
    bins.router,
    diagnosis.router,
    keys.router,
    members.router,
    members.sessions_router,
    tables.router,
    tables.backfill_router,
    collections.router,
    collections.v1_router,
    records.router,
    records.v1_router,
    integrations.router,
    cron.router,
    cron.v1_router,
    vski_webhooks.router,
)


class _Described(JsonRenderPlugin):
    """The document of the API with all that is said of it, made when somebody asks: a start has no use for it."""

    def has_path(self, path: str) -> bool:
        """Say that it is the document, though it stands at the root of its own path: then no other is made."""
        return path in {"/", "/openapi.json"}

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return document_text(request.app)


_HANDLERS: dict[type[Exception] | int, Any] = {
    TidingsError: errors.answer,
    ValidationException: errors.answer_invalid,
    HTTPException: errors.answer_http,
    Exception: errors.answer_broken,
}


def create_app(services: Services, *, version: str, plugins: Sequence[InitPlugin] = (), tails: Tails | None = None) -> Litestar:
    """Return the application. It opens and closes nothing: the parts it is given belong to the caller.

    Args:
        plugins: What else is served beside the API.
        tails: The streams of attempts, which whoever stops the server closes; None: nobody does.
    """
    guarded = Router("/", route_handlers=GUARDED, guards=[require_key, refuse_unknown], security=[{"key": []}])
    app = Litestar(
        route_handlers=[guarded, integrations.receive, health.router, wellknown.router],
        dependencies={"services": Provide(services_of)},
        exception_handlers=dict(_HANDLERS),
        state=State({"services": services, "tails": tails or Tails()}),
        request_max_body_size=services.config.max_body_bytes,
        openapi_config=OpenAPIConfig(
            title="Tidings",
            version=version,
            openapi_router=Router("/openapi.json", route_handlers=[], guards=[require_reader], include_in_schema=False),
            use_handler_docstrings=True,
            operation_id_creator=operation_id,
            render_plugins=[_Described(path="/")],
            components=Components(security_schemes={"key": SecurityScheme(type="http", scheme="bearer", description=_SAID)}),
        ),
        signature_namespace={"Request": Request, "Response": Response},
        logging_config=None,
        plugins=plugins,
    )
    app.state["openapi_document"] = partial(document_text, app)  # for the page that shows it, which knows no API
    return app

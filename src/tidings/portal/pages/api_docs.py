"""`/docs`: the API in the browser, from the document that `/openapi.json` is.

Whoever may read that may read this: a browser that is signed in, or everybody where `open_documents` says so. Redoc draws it,
from a file of the package; it puts its styles into the page by itself, so this page alone has a policy with a number for them
that is made for each answer.
"""

import secrets
from typing import Any

from litestar import MediaType, Request, Response, Router, get

from tidings.portal.access import visit_of
from tidings.portal.answers import environment
from tidings.portal.cookies import services_of

PATH = "/docs"

# Two elements that Redoc makes without the number: an empty one, and what its scroll bars need. Another release of it may
# have others; a test of the page says so.
_FIXED = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' 'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='"

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}' {fixed}; img-src 'self' data:; "
    "connect-src 'self'; "
    "worker-src blob:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)


@get(PATH)
async def show_docs(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show the API's own document."""
    if not services_of(request).config.open_documents:
        await visit_of(request)
    nonce = secrets.token_urlsafe(16)
    request.scope["state"]["portal_policy"] = _POLICY.format(nonce=nonce, fixed=_FIXED)
    text = environment.get_template("docs.html").render(nonce=nonce, document=f"{PATH}/openapi.json")
    return Response(text, media_type=MediaType.HTML, headers={"Cache-Control": "no-store"})


@get(f"{PATH}/openapi.json")
async def show_document(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Answer with the document, to a browser that is signed in: it has no key to send."""
    if not services_of(request).config.open_documents:
        await visit_of(request)
    return Response(request.app.state.openapi_document(), media_type=MediaType.JSON, headers={"Cache-Control": "no-store"})


router = Router("/", route_handlers=[show_docs, show_document])

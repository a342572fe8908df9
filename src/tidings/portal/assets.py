"""What pages load: files of the package, served under names that hold a hash of their content, so that a browser keeps them
for good and an upgrade never meets an old one. Nothing is loaded from elsewhere.
"""

import asyncio
import gzip
import hashlib
from functools import cache
from importlib.resources import files

import msgspec
from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

_KINDS = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
_FOREVER = "public, max-age=31536000, immutable"


class Asset(msgspec.Struct, frozen=True):
    """A file as it is served. `address`: its path, with the hash of its content."""

    address: str
    media_type: str
    content: bytes


@cache
def _every() -> dict[str, Asset]:
    found: dict[str, Asset] = {}
    folder = files("tidings.portal") / "assets"
    for path in (*folder.iterdir(), *(folder / "vendor").iterdir()):
        stem, _, ending = path.name.rpartition(".")
        if path.is_file() and ending in _KINDS:
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:12]
            found[path.name] = Asset(f"/assets/{stem}.{digest}.{ending}", _KINDS[ending], content)
    return found


@cache
def _by_address() -> dict[str, Asset]:
    return {asset.address: asset for asset in _every().values()}


@cache
def _packed(address: str) -> bytes:
    return gzip.compress(_by_address()[address].content, mtime=0)


def address(name: str) -> str:
    """Return the path that a file of `assets/` is served at."""
    return _every()[name].address


@get("/assets/{name:str}", include_in_schema=False, opt={"is_public": True})
async def serve(name: FromPath[str], request: Request) -> Response[bytes]:  # type: ignore[type-arg]
    """Answer with a file of the package."""
    asset = _by_address().get(f"/assets/{name}")
    if asset is None:
        raise NotFoundException
    headers = {"Cache-Control": _FOREVER, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        packed = await asyncio.to_thread(_packed, asset.address)  # the largest takes tens of milliseconds, the first time
        return Response(packed, media_type=asset.media_type, headers={**headers, "Content-Encoding": "gzip"})
    return Response(asset.content, media_type=asset.media_type, headers=headers)

"""`/docs/guide`: the documentation of this version, as `make site` puts it into the package.

It holds nothing of an installation, so it needs no key.
"""

import asyncio
import gzip
import hashlib
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable

import msgspec
from litestar import Request, Response, Router, get
from litestar.params import FromPath
from litestar.response import Redirect

from tidings.core.errors import NotFoundError

PATH = "/docs/guide"
_FIRST = "index.html"
_QUERY = ("v", "q", "check_keywords", "area", "highlight")  # of files, and of the search's page
_KINDS = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "json": "application/json",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
    "webp": "image/webp",
}


class File(msgspec.Struct, frozen=True):
    """A file of the guide as it is served. `tag`: a hash of its content, by which a browser asks whether there is another."""

    media_type: str
    content: bytes
    packed: bytes
    tag: str


class Guide:
    """The guide in a folder. What was read once is kept; there is no more of it than there are files."""

    def __init__(self, folder: Traversable) -> None:
        self._folder = folder
        self._read: dict[str, File] = {}

    @cached_property
    def names(self) -> frozenset[str]:
        """The paths of all files there are. None: the package was made without the guide."""
        found: set[str] = set()
        waiting = [(self._folder, "")]
        while waiting:
            folder, before = waiting.pop()
            for entry in folder.iterdir() if folder.is_dir() else ():
                if entry.is_dir():
                    waiting.append((entry, f"{before}{entry.name}/"))
                elif entry.name.rpartition(".")[2] in _KINDS:
                    found.add(before + entry.name)
        return frozenset(found)

    def file(self, name: str) -> File:
        """Return a file.

        Raises:
            NotFoundError: There is none of that name, or no guide at all.
        """
        if not self.names:
            raise NotFoundError(
                "This package was made without the guide. In the repository, make site makes it; docs/ has the same text."
            )
        if name not in self.names:
            raise NotFoundError(f"The guide has no page {name!r}. It begins at {PATH}.")
        if name not in self._read:
            content = self._folder.joinpath(*name.split("/")).read_bytes()
            tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            self._read[name] = File(_KINDS[name.rpartition(".")[2]], content, gzip.compress(content, mtime=0), tag)
        return self._read[name]


def packaged() -> Traversable:
    """Return the folder of the package that `make site` fills."""
    return files("tidings.portal") / "guide"


@get(PATH, opt={"is_public": True})
async def begin() -> Redirect:
    """Lead to the first page: links of pages are relative to it."""
    return Redirect(f"{PATH}/{_FIRST}")


@get(f"{PATH}/{{path:path}}", opt={"is_public": True, "query": _QUERY})
async def show_guide(path: FromPath[str], request: Request) -> Response[bytes]:  # type: ignore[type-arg]
    """Answer with a file of the guide.

    Raises:
        NotFoundError: There is none of that name, or no guide at all.
    """
    guide: Guide = request.app.state["guide"]
    file = await asyncio.to_thread(guide.file, path.strip("/"))  # read and packed the first time
    headers = {"Cache-Control": "no-cache", "ETag": file.tag, "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match", "").removeprefix("W/") == file.tag:
        return Response(b"", status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(file.packed, media_type=file.media_type, headers={**headers, "Content-Encoding": "gzip"})
    return Response(file.content, media_type=file.media_type, headers=headers)


router = Router("/", route_handlers=[begin, show_guide])

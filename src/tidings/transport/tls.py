"""How TLS is made: 1.2 at least, the authorities of system and installation, and what single webhooks have of their own."""

import asyncio
import os
import ssl
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tidings.core.errors import StartupError
from tidings.core.target import Identity

MAX_CONTEXTS = 256  # of webhooks with certificates of their own, a megabyte each where they trust the system's authorities
MAX_CA_BYTES = 10_000_000  # of ca_file; the system's own authorities are 200,000


class Contexts:
    """The contexts of webhooks, made as they are needed.

    `ca_file` is read once, when this is made: all webhooks believe the same authorities for as long as the process lives,
    whatever becomes of the file, and whenever their contexts are made.

    Attributes:
        for_all: What holds for webhooks that have nothing of their own.
    """

    def __init__(self, ca_file: Path | None = None, *, for_all: ssl.SSLContext | None = None) -> None:
        """Make it.

        Args:
            ca_file: Authorities that are believed beside the system's, in PEM form.
            for_all: In place of what is made of them.

        Raises:
            StartupError: The file cannot be read.
        """
        self._authorities = b"" if ca_file is None else _authorities_in(ca_file)
        self.for_all = for_all or _context_for_all(self._authorities)
        self._made: OrderedDict[bytes, ssl.SSLContext] = OrderedDict()  # the one used last at the end
        self._making = asyncio.Lock()

    async def of(self, identity: Identity | None) -> ssl.SSLContext:
        """Return the context of a webhook.

        Raises:
            ssl.SSLError: Its certificate or key cannot be used.
        """
        if identity is None:
            return self.for_all
        context = self._made.get(identity.digest)
        if context is None:
            async with self._making:  # reading the system's authorities takes some 20 ms: once, and in a thread
                context = self._made.get(identity.digest)
                if context is None:
                    context = await asyncio.to_thread(_context_of, identity, self._authorities)
                    self._made[identity.digest] = context
                    if len(self._made) > MAX_CONTEXTS:
                        self._made.popitem(last=False)
        self._made.move_to_end(identity.digest)
        return context


def _authorities_in(ca_file: Path) -> bytes:
    """Return a file of authorities, once it was seen that they can be read."""
    try:
        with ca_file.open("rb") as file:
            pem = file.read(MAX_CA_BYTES + 1)
        if len(pem) > MAX_CA_BYTES:
            raise StartupError(f"The authorities in ca_file {ca_file} have more than {MAX_CA_BYTES:,} bytes; leave some out.")
        _context_for_all(pem or b"\n")  # an empty file has none either
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None)
        if reason is None or isinstance(error, ssl.SSLError):
            reason = "it has no certificates in PEM form"
        raise StartupError(f"The authorities in ca_file {ca_file} cannot be read: {reason}.") from error
    return pem


def _context_for_all(authorities: bytes) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if authorities:
        with _as_file(authorities) as path:
            context.load_verify_locations(cafile=path)
    return context


def _context_of(identity: Identity, authorities: bytes) -> ssl.SSLContext:
    if identity.authorities:
        context = ssl.create_default_context(cadata=identity.authorities)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    else:
        context = _context_for_all(authorities)
    if identity.certificate:
        with _as_file(f"{identity.certificate}\n{identity.key}\n".encode()) as path:
            context.load_cert_chain(path)
    return context


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """Lend a file, in memory where the system can: keys, and authorities in all their forms, are read from files alone."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("tidings", os.MFD_CLOEXEC)
        try:
            with open(descriptor, "wb", closefd=False) as whole:
                whole.write(content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.NamedTemporaryFile() as file:  # readable by its owner alone, and gone with the block
        file.write(content)
        file.flush()
        yield file.name

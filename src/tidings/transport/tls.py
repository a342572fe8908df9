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


def context_for_all(ca_file: Path | None = None) -> ssl.SSLContext:
    """Return what holds for webhooks that have nothing of their own.

    Args:
        ca_file: Authorities that are believed beside the system's, in PEM form.

    Raises:
        StartupError: The file cannot be read.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            reason = getattr(error, "strerror", None) or "it has no certificates in PEM form"
            raise StartupError(f"The authorities in ca_file {ca_file} cannot be read: {reason}.") from error
    return context


class Contexts:
    """The contexts of webhooks, made as they are needed."""

    def __init__(self, for_all: ssl.SSLContext, ca_file: Path | None = None) -> None:
        self.for_all = for_all
        self._ca_file = ca_file
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
                    context = await asyncio.to_thread(_context_of, identity, self._ca_file)
                    self._made[identity.digest] = context
                    if len(self._made) > MAX_CONTEXTS:
                        self._made.popitem(last=False)
        self._made.move_to_end(identity.digest)
        return context


def _context_of(identity: Identity, ca_file: Path | None) -> ssl.SSLContext:
    if identity.authorities:
        context = ssl.create_default_context(cadata=identity.authorities)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    else:
        context = context_for_all(ca_file)
    if identity.certificate:
        with _as_file(f"{identity.certificate}\n{identity.key}\n") as path:
            context.load_cert_chain(path)
    return context


@contextmanager
def _as_file(text: str) -> Iterator[str]:
    """Lend a file that holds a text: Python's TLS reads keys from files alone. In memory where the system can."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("tidings", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, text.encode())
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.NamedTemporaryFile() as file:  # readable by its owner alone, and gone with the block
        file.write(text.encode())
        file.flush()
        yield file.name

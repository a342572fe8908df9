"""A proxy that ends TLS, as nginx or Caddy do, and pages of other hosts: real servers with certificates of a test's own."""

import asyncio
import base64
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

MAX_HEAD = 65_536
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Certificates:
    """One certificate for several names, and how a browser is told to take it."""

    def __init__(self, *names: str) -> None:
        issued = trustme.CA().issue_cert(*names)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issued.configure_cert(self.context)
        leaf = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes())
        key = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.flags = (
            f"--ignore-certificate-errors-spki-list={base64.b64encode(hashlib.sha256(key).digest()).decode()}",
            f"--host-resolver-rules={', '.join(f'MAP {name} 127.0.0.1' for name in names)}",
        )


@asynccontextmanager
async def _listening(handle: Handler, certificates: Certificates) -> AsyncIterator[int]:
    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=certificates.context, limit=MAX_HEAD)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def tls_proxy(certificates: Certificates, upstream: Callable[[], str]) -> AsyncIterator[int]:
    """Pass requests on to `http://127.0.0.1:port`, one a connection, with who asked and how; lends the port it listens on."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind: asyncio.StreamWriter | None = None
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
            mine = (b"connection:", b"x-forwarded-for:", b"x-forwarded-proto:")
            lines = [line for line in lines if not line.lower().startswith(mine)]
            lines += [b"Connection: close", b"X-Forwarded-For: 192.0.2.77", b"X-Forwarded-Proto: https"]
            host, _, port = upstream().rpartition("//")[2].partition(":")
            answers, behind = await asyncio.open_connection(host, int(port))
            behind.write(b"\r\n".join([first, *lines, b"", b""]))
            sending = asyncio.create_task(_pump(reader, behind))
            await _pump(answers, writer)
            sending.cancel()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the browser went away
        finally:
            for one in (writer, behind):
                if one is not None:
                    one.close()

    async with _listening(handle, certificates) as port:
        yield port


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def tls_page(certificates: Certificates, page: Callable[[], str]) -> AsyncIterator[int]:
    """Answer every request with a page; lends the port it listens on."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            body = page().encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
                % (len(body), body)
            )
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async with _listening(handle, certificates) as port:
        yield port

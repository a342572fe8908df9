"""Looks for a value in everything: every column of every table, decoded and decrypted-looking or not, logs and answers."""

import gzip
import re
import zlib
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from contextlib import suppress
from typing import Any

_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{8,}={0,2}")
_HEX = re.compile(rb"(?:[0-9a-fA-F]{2}){8,}")


def holds(data: bytes, value: str) -> bool:
    """Tell whether bytes hold a value or a telling piece of it, in whatever of the common ways it is written."""
    needle = value.encode().lower()
    pieces = {needle, needle[: len(needle) * 2 // 3], needle[len(needle) // 3 :]}
    return any(any(piece in layer.lower() for piece in pieces) for layer in _layers(data))


def _layers(data: bytes) -> list[bytes]:
    layers = [data]
    with suppress(OSError, EOFError, zlib.error):
        layers.append(gzip.decompress(data))
    layers.append(re.sub(rb"\\u00([0-9a-fA-F]{2})", lambda found: bytes([int(found[1], 16)]), data))
    layers.append(re.sub(rb"%([0-9a-fA-F]{2})", lambda found: bytes([int(found[1], 16)]), data))
    layers += [bytes.fromhex(found.decode()) for found in _HEX.findall(data)]
    for found in _BASE64.findall(data):
        for start in range(4):
            piece = found[start:].rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
            with suppress(Base64Error, ValueError):
                layers.append(b64decode(piece[: len(piece) // 4 * 4]))
    return layers


def written(value: str) -> list[bytes]:
    """Return a value as answers write it."""
    data = value.encode()
    return [data, b64encode(data), b64encode(b"x" + data), data.hex().encode(), value.upper().encode()]


async def places_with(connection: Any, value: str, *, schema: str = "tidings", but: tuple[str, ...] = ()) -> list[str]:
    """Return which columns hold a value: of all tables of the schema, by the catalogue, whatever their types."""
    columns = await connection.fetch(
        """select c.relname as table, a.attname as column from pg_class c join pg_namespace n on n.oid = c.relnamespace
           join pg_attribute a on a.attrelid = c.oid
           where n.nspname = $1 and c.relkind in ('r', 'm') and a.attnum > 0 and not a.attisdropped""",
        schema,
    )
    assert len(columns) > 200  # it is all of them that are looked at
    found: list[str] = []
    for row in columns:
        name = f"{row['table']}.{row['column']}"
        if name in but:
            continue
        table, column = row["table"], row["column"]
        rows = await connection.fetch(f'select "{column}"::text as text from {schema}."{table}"')
        if any(each["text"] is not None and _holds_text(each["text"], value) for each in rows):
            found.append(name)
    return found


def _holds_text(text: str, value: str) -> bool:
    if text.startswith("\\x"):  # bytea
        with suppress(ValueError):
            return holds(bytes.fromhex(text[2:]), value)
    return holds(text.encode(), value)

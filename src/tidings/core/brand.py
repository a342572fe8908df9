"""How a customer's portal looks, and where it may be framed: checked, so that what an operator gives cannot make a page that
nobody can read, or that anybody may frame.

Contrast is that of WCAG 2: 4.5 between a text and its ground. An accent is text on the lightest grey of our pages, and a ground
under white text. In the dark the same colour is made lighter until it can be read there.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

from tidings.core.errors import InvalidInputError
from tidings.core.text import check_text

MAX_NAME_LENGTH = 60
MAX_LOGO_LENGTH = 48_000  # characters of the data: URL, which stands in every page
MAX_ORIGINS = 10
LEAST_CONTRAST = 4.5
LIGHT_GROUND = (241, 243, 247)  # the darkest ground that an accent is text on: of rows under the pointer
DARK_GROUND = (38, 42, 51)
LOGO_TYPES: Final = ("image/png", "image/jpeg", "image/webp", "image/svg+xml")

Colour = tuple[int, int, int]
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_LOGO = re.compile(r"data:([a-z/+]+);base64,([A-Za-z0-9+/]+={0,2})")


class Brand(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How a customer's portal looks.

    Attributes:
        name: Stands where ours would; None: ours does.
        logo: A picture as a `data:` URL.
        accent: A colour as `#rrggbb`.
    """

    name: str | None = None
    logo: str | None = None
    accent: str | None = None


def check_brand(brand: Brand) -> Brand:
    """Return a brand that can be shown.

    Raises:
        InvalidInputError: With the field and the reason.
    """
    name = brand.name.strip() if brand.name is not None else None
    if name is not None and (not 1 <= len(name) <= MAX_NAME_LENGTH or not name.isprintable()):
        raise InvalidInputError("brand.name", f"brand.name must have 1 to {MAX_NAME_LENGTH} characters that can be seen.")
    if brand.logo is not None:
        _check_logo(brand.logo)
    if brand.accent is not None:
        if not _COLOUR.fullmatch(brand.accent):
            raise InvalidInputError("brand.accent", f"brand.accent is {brand.accent[:40]!r}; write it as #2f6b4f.")
        found = contrast(colour(brand.accent), LIGHT_GROUND)
        if found < LEAST_CONTRAST:
            raise InvalidInputError(
                "brand.accent",
                f"brand.accent {brand.accent} has a contrast of {found:.1f} to 1 with the pages; {LEAST_CONTRAST} is needed to "
                "read it. Choose a darker one.",
            )
    return msgspec.structs.replace(brand, name=name)


def _check_logo(logo: str) -> None:
    if len(logo) > MAX_LOGO_LENGTH:
        raise InvalidInputError("brand.logo", f"brand.logo has {len(logo)} characters; at most {MAX_LOGO_LENGTH} are taken.")
    found = _LOGO.fullmatch(logo)
    try:
        is_read = found is not None and found[1] in LOGO_TYPES and bool(base64.b64decode(found[2], validate=True))
    except binascii.Error:
        is_read = False
    if not is_read:
        raise InvalidInputError(
            "brand.logo",
            f"brand.logo must be data:<type>;base64,… with the type {', '.join(LOGO_TYPES[:-1])} or {LOGO_TYPES[-1]}.",
        )


def check_origins(origins: Sequence[str]) -> tuple[str, ...]:
    """Return the origins that may frame a portal, as browsers write them.

    Raises:
        InvalidInputError: One is none, or they are too many.
    """
    if len(origins) > MAX_ORIGINS:
        raise InvalidInputError("origins", f"origins has {len(origins)} entries; write at most {MAX_ORIGINS}.")
    return tuple(dict.fromkeys(_origin(text, f"origins[{place}]") for place, text in enumerate(origins)))


def _origin(text: str, field: str) -> str:
    check_text(text, field)  # which the reader of URLs passes over in silence
    try:
        parts = urlsplit(text.strip().lower())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    is_bare = parts.path in {"", "/"} and not parts.query and not parts.fragment and "@" not in parts.netloc
    if parts.scheme not in {"https", "http"} or not is_bare or len(host) > 253 or not _HOST.fullmatch(host):
        raise InvalidInputError(field, f"{field} is {text[:80]!r}; write a scheme and a host, such as https://app.example.com.")
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")


# Colours -----------------------------------------------------------------------------------------------------------------


def colour(text: str) -> Colour:
    """Return a colour that is written as `#rrggbb`."""
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def contrast(one: Colour, other: Colour) -> float:
    """Return how far two colours are apart, from 1 to 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(rgb: Colour) -> float:
    linear = [part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def lighter(rgb: Colour) -> Colour:
    """Return a colour that can be read in the dark: the same, mixed with as little white as that takes."""
    for share in range(0, 101, 4):
        red, green, blue = (round(part + (255 - part) * share / 100) for part in rgb)
        if contrast((red, green, blue), DARK_GROUND) >= LEAST_CONTRAST:
            return red, green, blue
    return 255, 255, 255


def stylesheet(brand: Brand) -> str:
    """Return what makes the pages a brand's. It holds nothing that somebody wrote: colours are read and written anew."""
    if brand.accent is None:
        return ""
    light = colour(brand.accent)
    pair = f"light-dark({_css(light)}, {_css(lighter(light))})"
    return (
        f":root {{ --accent: {pair}; --accent-wash: var(--hover); --on-accent: light-dark(#ffffff, {_css((20, 22, 28))}); }}\n"
    )


def _css(rgb: Colour) -> str:
    return f"#{rgb[0]:02x}{rgb[1]:02x}{rgb[2]:02x}"

"""A request as a command for a shell, to be sent again by hand.

What it holds was made up by senders and receivers, and somebody pastes it into a terminal: so nothing in it may end a quote,
run, name a file, or move the cursor. Secrets that the webhook's owner put into headers or the URL stay behind; the signature
that was sent does not, as it is good for this body alone.
"""

import re
import shlex
import unicodedata
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from tidings.operations.history.attempts import SentRequest

MAX_BODY = 32_768  # characters; a longer body is read from a file
LEFT_OUT = "LEFT-OUT"
_MADE_BY_CURL = frozenset({"host", "content-length", "connection", "transfer-encoding", "accept-encoding"})
_WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
_SECRET = re.compile(r"authorization|cookie|token|secret|password|passwd|api-?_?key|access-?_?key|credential", re.IGNORECASE)
_SIGNATURE = re.compile(r"signature", re.IGNORECASE)
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def curl(request: SentRequest) -> str:
    """Return the command that sends a request as it was sent."""
    words = [f"curl --globoff --request {quoted(request.method)} {quoted(_url(request.url))}"]
    words += [
        f"--header {quoted(_header(name, value))}" for name, value in request.headers if name.lower() not in _MADE_BY_CURL
    ]
    if request.body is None or len(request.body) > MAX_BODY:
        words.append("--data-binary @body  # download the body of the request first")
    elif request.body or request.method not in _WITHOUT_BODY:  # without one, curl would not say that its length is 0
        words.append(f"--data-raw {quoted(request.body)}")
    return " \\\n  ".join(words)


def quoted(text: str) -> str:
    """Return a text as one word of a shell: as it is, in quotes, or with what cannot be seen written out."""
    text = text.replace("\x00", "")  # no argument of a program can hold it
    if any(unicodedata.category(character) in _UNSEEN for character in text):
        return f"$'{''.join(map(_escaped, text))}'"
    return shlex.quote(text)


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character == "\n":
        return "\\n"
    if unicodedata.category(character) not in _UNSEEN:
        return character
    # Bytes: every shell that knows this kind of quote knows them, and not all know other escapes.
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "replace"))


def _header(name: str, value: str) -> str:
    if not value:
        return f"{name};"  # a colon and nothing would take the header away
    is_secret = _SECRET.search(name) and not _SIGNATURE.search(name)
    return f"{name}: {LEFT_OUT}" if is_secret else f"{name}: {value}"


def _url(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    user, at, host = parts.netloc.rpartition("@")
    netloc = f"{LEFT_OUT}@{host}" if user and at else parts.netloc
    query = parts.query
    if _SECRET.search(query):
        pairs = [(key, LEFT_OUT if _SECRET.search(key) else value) for key, value in parse_qsl(query, keep_blank_values=True)]
        query = urlencode(pairs, quote_via=quote)
    return urlunsplit((parts.scheme, netloc, parts.path, query, ""))

"""Log lines, as text for people or JSON for machines."""

import json
import logging
import re
import sys
import threading
import time
from types import TracebackType
from typing import Any

import msgspec

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class _Json(logging.Formatter):
    """One JSON object a line: time, level, logger, message, then the line's own fields."""

    converter = staticmethod(time.gmtime)  # machines in several places write into one log

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        } | _own_fields(record)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return msgspec.json.encode(line, enc_hook=str).decode()
        except (UnicodeEncodeError, OverflowError):  # bytes of a path that are no text, a number of many digits
            return json.dumps(line, default=str)


class _Text(logging.Formatter):
    """Time, level, message, then the line's own fields as name=value. What others wrote moves no cursor and begins no line."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{self.formatTime(record, '%H:%M:%S')} {record.levelname.lower():8} {record.getMessage()}"
        fields = " ".join(f"{name}={_marked(value)}" for name, value in _own_fields(record).items() if value is not None)
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return plain(f"{line} {fields}".rstrip() + trace)


def plain(text: str, *, line_feed: str = "\n    ") -> str:
    """Return a text whose control characters are shown and not obeyed, and whose lines after the first are indented."""
    return _CONTROLS.sub(lambda sign: ascii(sign[0])[1:-1], text).replace("\n", line_feed)


def _marked(value: Any) -> str:
    """Return a value so that its end can be seen, and nobody can write a line of his own: in quotes where it needs them."""
    text = str(value)
    is_plain = text.isprintable() and not any(sign in text for sign in ' "=')
    return text if is_plain else json.dumps(text)


def _own_fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def set_up_logs(log_format: str, level: str) -> None:
    """Write this process's log to standard error: warnings of libraries and what nobody caught too, so that all of it has
    one form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if log_format == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("tidings").setLevel(level.upper())
    is_watched = log_format == "text" and sys.stderr.isatty()  # by somebody who wants to see that something happens
    logging.getLogger("tidings.deliveries").setLevel(level.upper() if is_watched else logging.WARNING)
    logging.captureWarnings(True)
    if log_format == "json":
        sys.excepthook = _uncaught
        threading.excepthook = lambda thrown: _uncaught(thrown.exc_type, thrown.exc_value, thrown.exc_traceback)
        sys.unraisablehook = lambda thrown: _uncaught(thrown.exc_type, thrown.exc_value, thrown.exc_traceback)


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if error is not None and not issubclass(kind, KeyboardInterrupt | SystemExit):
        logging.getLogger("tidings").critical("%s: %s", kind.__name__, error, exc_info=(kind, error, trace))


def line(level: str, message: str, **fields: Any) -> str:
    """Return a line of a JSON log, for what is said whatever the level is."""
    record = logging.LogRecord("tidings", logging.getLevelName(level.upper()), "", 0, message, (), None)
    vars(record).update(fields)
    return _Json().format(record)

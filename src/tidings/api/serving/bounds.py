"""How much one connection may send, and how long it may take: what is not a setting."""

MAX_PIPELINED = 16  # requests that are read while one is answered; those behind them wait unread
SHORTEST_HEAD = 18  # bytes: GET / HTTP/1.0 and two ends of lines
READ_AT_LEAST = MAX_PIPELINED * SHORTEST_HEAD  # bytes at a time: a body is not read by the lines it may be made of
READ_AT_MOST = 32_768  # bytes at a time: as many pieces as a body can have in them take the event loop for milliseconds
MAX_SILENT_BYTES = 65_536  # of a body's framing without a byte of it: chunk extensions, trailers
LINGER_SECONDS = 5.0  # that a client is given to read why it was refused, or to end a body that nobody reads
LINGER_BYTES = 67_108_864  # read and dropped meanwhile: closing a socket with unread bytes takes the answer back
STALL_SECONDS = 30.0  # that a client may leave its answer unread
CLOSING_SECONDS = 5.0  # that a connection has to be over after it was closed
NEVER = float("inf")
FRAMING = frozenset({b"content-length", b"transfer-encoding"})

# What was asked before is answered first. All else is want of time or room, and ends at once.
ABOUT_ITSELF = frozenset({"malformed", "host", "large_head", "large_body", "pipelined"})

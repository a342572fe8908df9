"""What a connection does at a time, and whether it is read."""

from enum import IntEnum

from uvicorn.protocols.http.flow_control import FlowControl


class Phase(IntEnum):
    """What a connection waits for."""

    REST = 0  # for the next request to begin
    HEAD = 1
    BODY = 2
    ANSWER = 3  # for us
    OVER = 4  # for its end: what comes is dropped


class Flow(FlowControl):
    """Whether more is read. `is_held`: it is not, although the application waits: what would come is another request's."""

    is_held = False

    def resume_reading(self) -> None:
        """Read on, unless it is held."""
        if not self.is_held:
            super().resume_reading()

"""Who this worker is."""

from uuid import UUID, uuid4


class Identity:
    """The name this worker leases under, and the counters that only it writes.

    Written by the heart, when the worker begins and when it was declared dead, and by the recorder, when it begins new rows.
    Read by whoever leases or counts.
    """

    def __init__(self) -> None:
        self.worker_id: UUID = uuid4()
        self.part = 0

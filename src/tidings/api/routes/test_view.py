"""What came of a test delivery, as it is shown."""

from uuid import UUID

import msgspec

from tidings.operations.webhooks.testing import Ending, Tested


class TestResult(msgspec.Struct, frozen=True):
    """What came of a test delivery. `success` is null while no attempt is on record."""

    outcome: Ending
    success: bool | None
    message: str
    event_id: UUID
    delivery_id: UUID
    response_status: int | None = None
    response_body: str | None = None
    error: str | None = None
    total_ms: float | None = None


def view(tested: Tested) -> TestResult:
    """Return what came of a test as the API shows it."""
    fields = {name: getattr(tested, name) for name in Tested.__struct_fields__ if name != "profile"}
    return TestResult(message=_message(tested), **fields)


def _message(tested: Tested) -> str:
    match tested.outcome:
        case Ending.NO_WORKER:
            return "No worker runs, so nothing was sent yet. Start one: tidings worker. The test goes out then."
        case Ending.WAITING:
            return "A worker runs, but no attempt is on record yet; look at the delivery later."
        case Ending.TIMED_OUT:
            return f"The receiver did not answer in time: {tested.error}"
        case Ending.REFUSED:
            return f"The receiver could not be reached: {tested.error}"
        case _ if tested.success:
            return "Test webhook sent successfully"
        case _:
            return f"The test failed: {tested.error}"

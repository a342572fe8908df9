"""What is said of a batch of events of which nothing was accepted: one error, as for a call that could not be done."""

from collections.abc import Sequence

from tidings.core.errors import InvalidInputError, LimitReachedError, TidingsError


def refusal_of_all(results: Sequence[tuple[int, object]], form: str | None = None) -> TidingsError | None:
    """Return the error that stands for a batch; None: something of it was accepted.

    Whoever only came too soon is to come again with all of it. Otherwise the first line that cannot be accepted is told: coming
    again would be of no use. It is the error that this line alone would have been answered with, and names the line.

    Args:
        results: What came of each line, with its number.
        form: What the whole is, if it is not a batch; it explains more than a line does.
    """
    refused = [(number, result) for number, result in results if isinstance(result, TidingsError)]
    if len(refused) < len(results):
        return None
    unfit = [(number, error) for number, error in refused if not isinstance(error, LimitReachedError)]
    if not unfit:
        return refused[0][1]
    if form is not None:
        return InvalidInputError("body", form)
    number, first = unfit[0]
    more = f" None of the {len(refused)} lines was accepted." if len(refused) > 1 else ""
    message = f"Line {number}: {first.message}{more}"
    if isinstance(first, InvalidInputError):
        return InvalidInputError(first.field, message)
    told = type(first)(message, **first.details)
    told.left = first.left
    return told

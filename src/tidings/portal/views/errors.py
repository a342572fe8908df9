"""What a page says when it cannot be what was asked for: what is wrong, and what to do."""

import msgspec


class ErrorView(msgspec.Struct, frozen=True):
    """A page for what went wrong. `remedy`: what to do now."""

    status: int
    title: str
    said: str
    remedy: str


NOT_FOR_CUSTOMERS = "This page is not a part of what your link shows."

_KNOWN = {
    401: ("Not signed in", "Sign in, then try again."),
    403: ("Not allowed", "Go back, load the page again and repeat what you did."),
    404: ("Not found", "It may be past retention, in another group, or mistyped. Search for it, or begin at the overview."),
    405: ("Not possible", "Go back and use the buttons of the page."),
    409: ("Not now", "Look at its present state, then try again."),
    413: ("Too large", "Send less."),
    422: ("Not understood", "Correct it and try again."),
    503: ("Not available", "Nothing is lost: what is committed waits. Try again in a moment."),
}
_OURS = (
    "Our fault",
    "Nothing you did. The server's log has the cause. Try again; if it stays, report it with that line.",
)


_OF_SCOPES = "What you may do stands under your name at the top of the page."
_OF_LINKS = "Whoever gave you the link can give you one that shows more; what this one shows begins at the overview."


_NOT_THERE = "It may be too long ago, or the address is mistyped. Look for it in the lists, or begin at the overview."


def error_view(status: int, said: str, *, is_customer: bool = False, is_of_rights: bool = False) -> ErrorView:
    """Return what to say. Customers know nothing of groups and retention.

    Args:
        is_of_rights: Whoever is signed in may not do this, so that to do it again changes nothing.
    """
    if is_of_rights and not is_customer:
        return ErrorView(status, _KNOWN[403][0], said, _OF_SCOPES)
    if is_customer and status == 401:
        return ErrorView(status, "This link is over", said, "Or ask whoever gave it to you for another.")
    if is_customer and status == 404:
        return ErrorView(status, _KNOWN[status][0], said, _NOT_THERE)
    if said == NOT_FOR_CUSTOMERS:
        return ErrorView(status, _KNOWN[status][0], said, _OF_LINKS)
    if status in _KNOWN:
        return ErrorView(status, _KNOWN[status][0], said, _KNOWN[status][1])
    title, remedy = ("Not understood", "Go back and try again.") if status < 500 else _OURS
    return ErrorView(status, title, said, remedy)

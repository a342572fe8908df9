"""The pages below an entry of the navigation: what stands in a row above each of them."""

import msgspec


class Section(msgspec.Struct, frozen=True):
    """A page below an entry of the navigation."""

    path: str
    label: str
    icon: str
    said: str
    is_here: bool = False


NEW = "/sources/new"  # below it: forms of what is made. Things have names, and could be named "new".

SOURCES = (
    Section("/sources/tables", "Tables", "database", "Which tables are captured, for whom, and backfills of them."),
    Section("/sources/collections", "Collections", "layers", "Content items: look at records, write them, take them away."),
    Section("/sources/jobs", "Jobs", "clock", "What is done by the clock: when next, what came of it, run one now."),
    Section("/sources/integrations", "Integrations", "link", "Systems that send notices here: what came, what was refused."),
    Section("/sources/catalogue", "Catalogue", "code", "Every type of event that can be heard, and those that were seen."),
)

SETTINGS = (
    Section("/settings", "General", "settings", "What holds for this installation, and who is signed in."),
    Section("/settings/groups", "Groups", "layers", "The tenants: each has its own webhooks and events."),
    Section("/settings/limits", "Limits", "activity", "How much the group may have and do, and how much of it is used."),
    Section("/settings/members", "Members", "user", "People who sign in by the provider, and what they may do."),
    Section("/settings/links", "Portal links", "external-link", "Links that show a customer their own webhooks."),
    Section("/settings/bins", "Request bins", "radio", "Addresses that take any request, for trying, and what came."),
    Section("/settings/listeners", "Listeners", "radio", "Who receives by tidings listen, and what waits for them."),
    Section("/settings/api-keys", "API keys", "key-round", "What opens the API: made, rotated, revoked, last used."),
    Section("/settings/keys", "Signing keys", "key-round", "The public keys that receivers verify with."),
    Section("/settings/egress", "Egress", "external-link", "What may be called from here, and what the shown group may not."),
    Section("/settings/set-aside", "Set aside", "triangle-alert", "What could not go on, with the reason."),
    Section("/settings/fleet", "Fleet", "layers", "What comes from other databases: what waits, where and why."),
    Section("/settings/redaction", "Redaction", "eye-off", "What of events and of answers is neither kept nor shown."),
    Section("/settings/erasures", "Erasures", "trash-2", "What is kept of somebody, taken out of all places."),
    Section("/settings/audit", "Audit", "clock", "Who did what: sign-ins, portal links, secrets, webhooks."),
    Section("/settings/about", "About", "info", "Version, database, workers, and what waits."),
)


def sections(every: tuple[Section, ...], path: str) -> tuple[Section, ...]:
    """Return the pages as seen from one of them: the longest path that it is at or below is here."""
    within = [one.path for one in every if path == one.path or path.startswith(f"{one.path}/")]
    here = max(within, key=len, default="")
    return tuple(msgspec.structs.replace(one, is_here=one.path == here) for one in every)

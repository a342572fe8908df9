"""Who may ask with our own rights, and why: everybody else sees the rows of one group."""

import re
from pathlib import Path

import tidings

ROOT = Path(tidings.__file__).parent

WIDE = {
    "app.py": "joins the parts: workers act for all groups",
    "running.py": "runs the parts: workers act for all groups",
    "fleet.py": "what a relay sends is of all groups",
    "fleet_homes.py": "where all groups live",
    "api/routes/integrations.py": "the share of connections that notices have",
    "operations/services.py": "what it is",
    "operations/sessions.py": "who somebody is, before it is known for which group",
    "operations/sign_in.py": "who somebody is, before it is known for which group",
    "operations/members.py": "members are people, of one group or of all, and out of every group's reach",
    "operations/portal_links.py": "links are tokens of people; the oldest of all groups end",
    "operations/api_keys.py": "keys are of all groups or one, and out of every group's reach",
    "operations/signing_keys.py": "the installation's",
    "operations/groups.py": "the list of groups, and those that are looked up to act for",
    "operations/audit.py": "of all groups, for those who may read all; the chain is of all groups",
    "operations/limits.py": "limits and what is used of them, of the group that is named, whichever it is acted for",
    "operations/egress.py": "what the group that is named may call, whichever it is acted for",
    "operations/installation.py": "the installation's",
    "operations/fleet.py": "how the installation stands in its fleet",
    "operations/readings.py": "the installation's figures",
    "operations/diagnosis.py": "the installation's health",
    "operations/set_aside.py": "what could not be read, of all groups, for operators",
    "operations/live.py": "one look for all who watch, of whatever groups; each is told of its own",
    "operations/bins.py": "one look for all who follow bins, of whatever groups; each is told of its own",
    "operations/bin_intake.py": "what strangers send, whose group the bin says",
    "operations/history/following.py": "one connection hears of the attempts of all groups; each is told of its own",
    "operations/listening/leasing.py": "leases deliveries as a worker does, of flights that have no group",
    "operations/listening/results.py": "writes results as a worker does",
    "operations/sources/tables.py": "settings of the user's tables, which are of all groups",
    "operations/sources/integrations.py": "notices, before the integration says whose they are; refusals of all of them at once",
}

OWNER = {
    "store/request_role.py": "what it is",
    "store/collections.py": "makes and alters tables of the user's",
    "store/outbox.py": "PostgreSQL copies nothing into a table with policies",
    "sources/tables.py": "makes triggers on the user's tables, by what webhooks of all groups want of them",
    "operations/audit.py": "whether the group was moved to another home, which is the fleet's matter",
    "operations/attention.py": "counts over all groups, and lanes that are found among all",
    "operations/history/attempts.py": "the installation's keys, to make a request again as it was signed",
    "operations/sources/backfills.py": "looks at the user's table",
    "operations/sources/captures.py": "which of the user's tables are captured, by webhooks of all groups",
    "operations/webhooks/warnings.py": "how the user's tables are captured that a webhook names",
    "operations/webhooks/choices.py": "which tables of the user's there are, and how they are captured",
}

BESIDE = ("bench/", "cli/")  # they run on the machine of the server, with its URL


def _users(pattern: str) -> set[str]:
    every = {path.relative_to(ROOT).as_posix(): path.read_text() for path in ROOT.rglob("*.py")}
    return {name for name, text in every.items() if re.search(pattern, text) and not name.startswith(BESIDE)}


def test_who_asks_with_our_own_rights_is_listed_with_the_reason() -> None:
    hint = "ask over services.database, or put the module here with the reason"
    assert _users(r"(?<!\w)(services|self)\.wide\b") == set(WIDE), hint


def test_who_lends_our_own_rights_for_a_passage_is_listed_with_the_reason() -> None:
    assert _users(r"\bas_owner\(") == set(OWNER)

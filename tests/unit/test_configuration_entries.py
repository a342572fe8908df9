"""What a file of configuration can say of a thing is what the API takes of it: no field more or less, of the same kinds."""

from typing import Any

import msgspec
import pytest

from tests.support.sdk import document
from tidings.cli.remote.configuration import entries
from tidings.cli.remote.configuration.kinds import KINDS, Kind

SCHEMAS = document()["components"]["schemas"]

# What makes a thing of each section, by its name in the API's document.
MADE_BY = {
    "installation.groups": "GroupCreate", "installation.limits": "LimitsUpdate", "installation.tables": "TableSettings",
    "limits": "LimitsUpdate", "egress": "EgressNarrowing", "event_types": "EventTypePut", "collections": "CollectionCreate",
    "integrations": "IntegrationCreate", "webhooks": "WebhookCreate", "jobs": "CronJobCreate", "redaction": "RedactionRuleCreate",
}  # fmt: skip

# What the API takes and a file has in another way, and why.
OTHERWISE = {
    "installation.groups": {"id": "its name in the file"},
    "collections": {"name": "its name in the file", "author": "who made it, as another system's clients say"},
    "integrations": {"name": "its name in the file"},
    "webhooks": {
        "name": "its name in the file",
        "max_retries": "the same as retry, as other systems say it",
        "retry_backoff_seconds": "the same as retry, as other systems say it",
    },
    "jobs": {
        "name": "its name in the file",
        "type": "it has url, or sql",
        "database": "taken of clients that send it, and means nothing",
    },
    "redaction": {"name": "its name in the file", "webhook_id": "webhook, by its name"},
}
ONLY_IN_FILES = {"redaction": {"webhook"}}
# What a file cannot say although the API takes it, and why: the kinds of JSON, by section and field.
NARROWER = {
    ("integrations", "secret"): {"null": "it would make the server invent one that nobody knows"},
    ("webhooks", "secret"): {"null": "it is left out instead"},
    ("webhooks", "ca_certificates"): {"array": "what the API shows of them, which may be sent back"},
    ("jobs", "headers"): {"string": "as another system sends them"},
    ("collections", "options"): {"string": "as another system sends them"},
}
# What the API takes as well, and does not tell those who make clients of its document.
WIDER = {("webhooks", "events"): {"string"}}


def kinds_of(schema: dict[str, Any], others: dict[str, Any]) -> set[str]:
    """The kinds of JSON that a schema takes."""
    if "$ref" in schema:
        return kinds_of(others[schema["$ref"].rpartition("/")[2]], others)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return set().union(*(kinds_of(one, others) for one in schema[several]))
    told = schema.get("type")
    if told is None:
        return {"string"} if "enum" in schema else {"any"}
    return set(told) if isinstance(told, list) else {told}


@pytest.mark.parametrize("kind", KINDS, ids=[kind.section for kind in KINDS])
def test_an_entry_has_the_fields_that_the_api_takes(kind: Kind) -> None:
    taken = set(SCHEMAS[MADE_BY[kind.section]]["properties"])
    otherwise = set(OTHERWISE.get(kind.section, ()))
    assert otherwise <= taken, "what is said to be otherwise is not taken at all"
    assert set(entries.fields_of(kind.entry)) - ONLY_IN_FILES.get(kind.section, set()) == taken - otherwise


@pytest.mark.parametrize("kind", KINDS, ids=[kind.section for kind in KINDS])
def test_a_field_of_an_entry_is_of_the_kinds_that_the_api_takes(kind: Kind) -> None:
    _, own = msgspec.json.schema_components([kind.entry])
    taken = SCHEMAS[MADE_BY[kind.section]]["properties"]
    for name, schema in own[kind.entry.__name__].get("properties", {}).items():
        if name in ONLY_IN_FILES.get(kind.section, set()):
            continue
        there, here = kinds_of(taken[name], SCHEMAS), kinds_of(schema, own)
        if "any" in here:  # whatever it is, the server's own function reads it
            continue
        place = (kind.section, name)
        assert here - WIDER.get(place, set()) == there - set(NARROWER.get(place, ())), place


@pytest.mark.parametrize("kind", KINDS, ids=[kind.section for kind in KINDS])
def test_an_entry_needs_what_the_api_needs(kind: Kind) -> None:
    needed = set(SCHEMAS[MADE_BY[kind.section]].get("required", ()))
    assert set(entries.needed(kind.entry)) == needed - set(OTHERWISE.get(kind.section, ()))

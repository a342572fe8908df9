"""What a running role is given is what the statements do: neither less nor more."""

import re
from collections import defaultdict
from importlib.resources import files

from tidings.store.request_rights import RIGHTS as OF_REQUESTS
from tidings.store.running_rights import FUNCTIONS, RIGHTS
from tidings.store.statements import load

OWNERS = {"migrations", "uninstall", "request_role"}  # run by whoever owns the schema

# What functions and triggers of ours do that have the rights of whoever calls them, and whose rights no statement needs by itself.
BY_FUNCTIONS = {
    ("group_rates", "insert"): "take_events", ("group_rates", "update"): "take_events", ("api_key_changes", "update"): "api_keys_changed",
    ("outbox_id_seq", "usage"): "numbers of deliveries that are set aside", ("statistics_part", "usage"): "a worker's own counters",
}  # fmt: skip


def _used() -> set[tuple[str, str]]:
    """Return which table each statement reads or writes."""
    used: set[tuple[str, str]] = set()
    for path in (files("tidings.store") / "sql").iterdir():
        name = path.name.removesuffix(".sql")
        if name in OWNERS:
            continue
        for sql in load(name).values():
            for table in re.findall(r"insert into tidings\.(\w+)", sql):
                used.add((table, "insert"))
                if re.search(rf"insert into tidings\.{table}\b[^;]*?on conflict[^;]*?do update", sql, re.DOTALL):
                    used |= {(table, "update"), (table, "select")}
            used |= {(table, "update") for table in re.findall(r"\bupdate (?:only )?tidings\.(\w+)", sql)}
            used |= {(table, "delete") for table in re.findall(r"\bdelete from tidings\.(\w+)", sql)}
            used |= {
                (table, "select") for table in re.findall(r"(?:from|join|using|,)\s+(?:only )?tidings\.(\w+)\b(?!\s*\()", sql)
            }
    return used


def test_every_right_is_used_and_every_use_has_its_right() -> None:
    given = {(name, verb) for name, verbs in RIGHTS.items() for verb in verbs}
    used = _used() | set(BY_FUNCTIONS)
    assert sorted(used - given) == []
    # Whoever changes or deletes rows by a condition has to read them.
    assert sorted(pair for pair in given - used if pair[1] != "select") == []


def test_a_running_role_has_what_requests_have_and_is_a_superset() -> None:
    lacking = defaultdict(set)
    for name, rights in OF_REQUESTS.items():
        for verb, _ in rights:
            if verb not in RIGHTS.get(name, ()):
                lacking[name].add(verb)
    assert lacking == {}


def test_functions_that_statements_call_may_be_called() -> None:
    called = set()
    for path in (files("tidings.store") / "sql").iterdir():
        name = path.name.removesuffix(".sql")
        if name not in OWNERS:
            for sql in load(name).values():
                called |= set(re.findall(r"(?<!function )(?<!into )tidings\.([a-z_]+)\(", sql))
    assert sorted(called - set(FUNCTIONS)) == []

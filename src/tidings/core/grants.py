"""What roles of PostgreSQL need, as statements: for one role that owns all, for two, and where nobody is a superuser."""

import re
import shlex
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

Way = Literal["one", "two", "managed"]

_BREAKS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

WAYS: dict[Way, str] = {
    "one": "one role that owns the schema and runs Tidings",
    "two": "one role that owns the schema and migrates it, another that runs Tidings",
    "managed": "a PostgreSQL that somebody else manages: no superuser, and roles are made by an administrator",
}


class Names(msgspec.Struct, frozen=True):
    """Who is to be what.

    Attributes:
        owner: Of the schema `tidings`: it migrates.
        running: The role that runs Tidings; the owner, where that is one role.
        request: The role that queries of requests run under; `none`: there is none.
        version: PostgreSQL's.
    """

    database: str
    database_owner: str
    owner: str
    running: str
    request: str
    version: int


class Found(msgspec.Struct, frozen=True):
    """What is there already.

    Attributes:
        roles: Those of the names that there are.
        may_take_request: Whether the running role may take the role of requests.
        may_create: Whether the owner may make schemas.
        has_schema: Whether `tidings` is there.
        lacking: What the running role lacks in the schema, as statements.
        requests: What the role of requests has too little or too much, as statements.
        on_tables: What the running role lacks on tables of others: who may give it, the statement, and whether it is needed for
            more than backfills.
    """

    roles: frozenset[str]
    may_take_request: bool
    may_create: bool
    has_schema: bool
    lacking: tuple[str, ...]
    requests: tuple[str, ...]
    on_tables: tuple[tuple[str, str, bool], ...]


class Step(msgspec.Struct, frozen=True):
    """One statement.

    Attributes:
        who: May run it.
        why: What it is for.
        is_there: What it gives is there already.
        is_optional: Tidings starts, captures and delivers without it.
    """

    who: str
    statement: str
    why: str
    is_there: bool = False
    is_optional: bool = False

    @property
    def is_missing(self) -> bool:
        """Whether it has to be run."""
        return not self.is_there and not self.is_optional


def way_of(asked: Way | None, *, has_two: bool, is_managed: bool) -> Way:
    """Return the way that was asked for, or that fits what was found."""
    if asked is not None:
        return asked
    return "managed" if is_managed else "two" if has_two else "one"


def steps(way: Way, names: Names, found: Found) -> list[Step]:
    """Return what there is to run, in its order."""
    admin = "an administrator, who may make roles (CREATEROLE)" if way == "managed" else "an administrator"
    is_two = names.running != names.owner
    logins = [(names.owner, "owns schema tidings, and migrates it" if is_two else "owns schema tidings, and runs Tidings")]
    if is_two:
        logins.append((names.running, "runs Tidings, and owns nothing"))
    told = [
        Step(admin, f"CREATE ROLE {quoted(role)} LOGIN;", f"{why}; give it a password", role in found.roles)
        for role, why in logins
    ]
    told.append(
        Step(
            names.database_owner,
            f"GRANT CREATE ON DATABASE {quoted(names.database)} TO {quoted(names.owner)};",
            "makes schema tidings, and a schema for each group's collections",
            found.may_create,
            is_optional=found.has_schema,
        )
    )
    if names.request != "none":
        given = " WITH INHERIT FALSE, SET TRUE" if names.version >= 16 else ""
        told += [
            Step(
                admin,
                f"CREATE ROLE {quoted(names.request)} NOLOGIN;",
                "queries of requests run under it, which sees the rows of one group",
                names.request in found.roles,
            ),
            Step(
                admin,
                f"GRANT {quoted(names.request)} TO {quoted(names.running)}{given};",
                "so that it can be taken",
                found.may_take_request,
            ),
        ]
    if is_two:
        told += [Step(names.owner, one, "running Tidings") for one in found.lacking]
    told += [Step(names.owner, one, "queries of requests") for one in found.requests]
    return told + [
        Step(owner, statement, "capture" if is_needed else "backfills", is_optional=not is_needed)
        for owner, statement, is_needed in found.on_tables
    ]


def script(way: Way, names: Names, told: Iterable[Step]) -> str:
    """Return statements as a script: who runs which, and what each is for."""
    lines = [_comment(f"Tidings in database {names.database} of PostgreSQL {names.version}: {WAYS[way]}.")]
    who = None
    for step in told:
        if step.who != who:
            lines += ["", _comment(f"As {step.who}:")]
            who = step.who
        lines.append(_comment(f"is so: {step.statement}") if step.is_there else f"{step.statement}  -- {step.why}")
    if names.running != names.owner:
        lines += ["", _comment(f"Then, whenever Tidings is upgraded, as {names.owner}: {migration_for(names.running)}")]
    return "\n".join(lines)


def migration_for(running: str) -> str:
    """Return what is to be run in a shell, by the owner, so that a role has what running takes."""
    return f"TIDINGS_RUNNING_ROLE={shlex.quote(running)} tidings migrate"


def _comment(text: str) -> str:
    """Return a comment of one line: a name may hold the end of one, and what stood behind it would be run."""
    return "-- " + _BREAKS.sub(" ", text)


def quoted(name: str) -> str:
    """Return a name as PostgreSQL reads it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'

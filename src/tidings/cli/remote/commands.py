"""The commands of each thing, made from the table."""

from typing import Any, Final

import click

from tidings.cli.remote import auditing
from tidings.cli.remote.doing import argument, do
from tidings.cli.remote.failures import ends_well
from tidings.cli.remote.grammar import Thing, Verb, fields
from tidings.cli.remote.meanings import meaning
from tidings.cli.remote.options import complete, output_options, server_options
from tidings.cli.remote.server import owner_of
from tidings.cli.remote.things import THINGS

LIMIT: Final = 50

_TYPES: Final[dict[str, Any]] = {"int": click.INT, "number": click.FLOAT}


def group_of(name: str) -> click.Group:
    """Return the commands of a thing."""
    thing = THINGS[name]
    group = click.Group(name, help=thing.says)
    for verb in thing.verbs:
        group.add_command(_command_of(thing, verb))
    if name == "audit":
        for command in auditing.commands():
            group.add_command(command)
    return group


def _command_of(thing: Thing, verb: Verb) -> click.Command:
    def run(**given: Any) -> None:
        do(thing, verb, given)

    params: list[click.Parameter] = [_argument(thing, verb, name) for name in verb.arguments]
    if verb.first:
        params.append(click.Argument([argument(verb.first)], metavar=f"[{verb.first.upper()}]", required=False))
    params += _body_options(thing, verb)
    params += _list_options(verb)
    if verb.asks:
        params.append(click.Option(["-y", "--yes"], is_flag=True, help="Do not ask."))
    return click.Command(
        verb.name,
        params=[*params, *server_options(), *output_options(f"the {verb.quiet}" if verb.quiet else "ids")],
        callback=ends_well(run),
        help=_help_of(verb),
    )


def _argument(thing: Thing, verb: Verb, name: str) -> click.Argument:
    owner = owner_of(thing, name)
    # What is made is not there yet.
    is_new = owner is thing and verb.name == "create"
    completes = complete(owner.name) if owner is not None and not is_new else None
    return click.Argument(
        [argument(name)],
        metavar=name.removesuffix("_id").upper(),
        type=click.IntRange(1) if name == "number" else None,
        shell_complete=completes,
    )


def _body_options(thing: Thing, verb: Verb) -> list[click.Parameter]:
    if not verb.body:
        return []
    options: list[click.Parameter] = []
    for field in fields(verb.body):
        says = meaning(thing.name, verb.name, field.name)
        if field.kind == "flag":
            options.append(click.Option([f"{field.flag}/--no-{field.flag[2:]}", field.name], default=None, help=says))
        else:
            is_many = field.kind in {"list", "map"}
            metavar = {"map": "NAME=VALUE", "json": "JSON", "list": "ITEM", "either": "TEXT|JSON"}.get(field.kind)
            options.append(
                click.Option(
                    [field.flag, field.name], type=_TYPES.get(field.kind), multiple=is_many, metavar=metavar, help=says
                )
            )
    options += [
        click.Option(["--set", "set_"], multiple=True, metavar="NAME=JSON", help="Any field; null removes what it says."),
        click.Option(["--input", "input_"], type=click.File("rb"), metavar="FILE", help="The body as JSON; -: standard input."),
    ]
    if verb.edits:
        options.append(click.Option(["--editor"], envvar=["VISUAL", "EDITOR"], hidden=True))
    return options


def _list_options(verb: Verb) -> list[click.Parameter]:
    options: list[click.Parameter] = []
    names = [name for name in verb.query.split() if name not in {"confirm", "everything"}]
    if "everything" in verb.query.split():
        options.append(click.Option(["--everything"], is_flag=True, help="With all that it has."))
    if names:
        options.append(
            click.Option(
                ["-w", "--where"],
                multiple=True,
                metavar="NAME=VALUE",
                help=f"Only these; may be given again. Names: {', '.join(names)}.",
            )
        )
    if verb.shows == "many" and verb.pages != "whole":
        options += [
            click.Option(["-n", "--limit"], type=click.IntRange(1), default=LIMIT, show_default=True, help="How many at most."),
            click.Option(["--all", "all_"], is_flag=True, help="To the end of the list."),
        ]
    return options


def _help_of(verb: Verb) -> str:
    if not verb.edits:
        return verb.says
    return f"{verb.says}\n\nWithout options it opens your $EDITOR with what can be changed, as JSON; what you change is sent."

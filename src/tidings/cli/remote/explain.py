"""`tidings explain`: why an event goes to a webhook, condition by condition."""

from typing import Any, Final

import click

from tidings.cli.remote.cells import Cell
from tidings.cli.remote.failures import NOT_FOUND, CommandError, ends_well
from tidings.cli.remote.grammar import UUID
from tidings.cli.remote.inert import inert
from tidings.cli.remote.options import complete, output_options, server_options
from tidings.cli.remote.paper import Paper
from tidings.cli.remote.server import Server, chosen
from tidings.cli.remote.things import WEBHOOKS
from tidings.client.errors import ApiError

PAGE: Final = 20  # webhooks that are explained at once


def command() -> click.Command:
    """Return the command."""

    def run(event: str, webhook: str | None, limit: int, **given: Any) -> None:
        paper = Paper(as_json=given["as_json"], quiet=given["quiet"])
        if not UUID.fullmatch(event):
            raise CommandError(f"{event!r} is no id of an event; tidings events list shows them.", NOT_FOUND)
        server = chosen(given["server"], given["key"], given["group"], given["home"])
        id_ = None if webhook is None else server.id_of(WEBHOOKS, webhook)
        try:
            said = _explained(server, event, id_, limit)
        except ApiError as error:
            delivery = _delivery(server, event) if error.status == 404 else None
            if delivery is None:
                raise
            said = _explained(server, delivery["event_id"], id_ or delivery["webhook_id"], limit)
        _show(paper, said)

    return click.Command(
        "explain",
        params=[
            click.Argument(["event"], shell_complete=complete("events")),
            click.Argument(["webhook"], required=False, shell_complete=complete("webhooks")),
            click.Option(
                ["-n", "--limit"], type=click.IntRange(1, 500), default=PAGE, help="Webhooks at most; 20, unless told."
            ),
            *server_options(),
            *output_options(),
        ],
        callback=ends_well(run),
        help="Say why an event went to a webhook, or did not: each condition, and whether it holds.\n\n"
        "Without a webhook: those it goes to, then those it nearly goes to. The id of a delivery, as tail shows it, stands\n"
        "for its event and its webhook.",
    )


def _explained(server: Server, event: str, webhook: str | None, limit: int) -> dict[str, Any]:
    query: dict[str, Any] = {} if webhook is None else {"webhook_id": webhook}
    said: dict[str, Any] = {}
    while True:
        query["limit"] = min(PAGE, limit - len(said.get("webhooks", ())))
        page: dict[str, Any] = server.ask("GET", f"/api/v1/events/{event}/explain", query=query)
        page["webhooks"] = said.get("webhooks", []) + page["webhooks"]
        said = page
        if page["cursor"] is None or len(page["webhooks"]) >= limit:
            return said
        query["cursor"] = page["cursor"]


def _delivery(server: Server, id_: str) -> Any:
    """Return the delivery with an id, which is what `tail` and lists of deliveries show; None: there is none."""
    try:
        return server.ask("GET", f"/api/v1/deliveries/{id_}")
    except ApiError as error:
        if error.status != 404:
            raise
        return None


def _show(paper: Paper, said: dict[str, Any]) -> None:
    if paper.as_json:
        paper.document(said)
        return
    if paper.quiet:
        for webhook in said["webhooks"]:
            if webhook["is_sent"]:
                click.echo(webhook["webhook_id"])
        return
    paper.write((Cell(inert(said["type"]), "bold"), Cell(f"  {said['event_id']}", "dim")))
    if not said["webhooks"]:
        paper.say("There are no webhooks.")
    for webhook in said["webhooks"]:
        sign = _sign(webhook["is_sent"])
        paper.write((sign, Cell(f" {inert(webhook['name'])}", "bold"), Cell(f"  {inert(webhook['url'])}", "dim")))
        paper.write((Cell(f"    {inert(webhook['sentence'])}"),))
        for condition in webhook["conditions"]:
            paper.write((Cell("    "), _sign(condition["holds"]), Cell(f" {inert(condition['sentence'])}")))
        for filter_ in webhook["filters"]:
            for condition in filter_["conditions"]:
                paper.write((Cell("      "), _sign(condition["holds"]), Cell(f" {inert(condition['sentence'])}")))
        for note in webhook["notes"]:
            paper.write((Cell(f"    {inert(note)}", "dim"),))
        if webhook["delivery_id"]:
            paper.write((Cell(f"    delivery {webhook['delivery_id']}  {inert(str(webhook['status']))}", "dim"),))


def _sign(holds: bool) -> Cell:
    return Cell("✓", "green") if holds else Cell("✗", "red")

"""Run a fleet in virtual time, and print what was found as JSON."""

from pathlib import Path

import click
import msgspec

from tidings.bench.simulation.drawing import keep
from tidings.bench.simulation.run import Run
from tidings.bench.simulation.world import SHORT, Plan


@click.command()
@click.option("--seed", type=int, default=1, show_default=True, help="What chance is made of: the same seed, the same run.")
@click.option("--short", is_flag=True, help="A small fleet for a minute, within some ten seconds.")
@click.option(
    "--pictures", type=click.Path(path_type=Path, file_okay=False), help="A folder for the pictures, and the figures."
)
def main(seed: int, short: bool, pictures: Path | None) -> None:
    """Simulate a fleet on the code that decides: some minutes."""
    run = Run(msgspec.structs.replace(SHORT if short else Plan(), seed=seed))
    found = run.run()
    if pictures is not None:
        keep(pictures, run, found)
    click.echo(msgspec.json.format(msgspec.json.encode(found), indent=1))


if __name__ == "__main__":
    main()

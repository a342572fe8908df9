"""Changing SECRET_KEY."""

import click
import msgspec

from tidings.app import opened
from tidings.cli import asking
from tidings.cli.here import expect_database
from tidings.cli.logs import set_up_logs
from tidings.config import Config
from tidings.core.errors import StartupError
from tidings.operations import installation
from tidings.store.secrets import SecretBox, replace_key

MIN_KEY_LENGTH = 16


def run_rekey(config: Config, *, as_json: bool) -> None:
    """Encrypt everything at rest under another key and tell how much that was.

    Raises:
        StartupError: The new key is missing or too short, or cannot be kept.
    """
    set_up_logs(config.log_format, config.log_level)
    new_key = config.new_secret_key
    if new_key is None or len(new_key) < MIN_KEY_LENGTH:
        raise StartupError(f"Set TIDINGS_NEW_SECRET_KEY to the key to change to, at least {MIN_KEY_LENGTH} characters.")
    expect_database(config)
    count = asking.done(_rekey(config, new_key))
    if as_json:
        click.echo(msgspec.json.encode({"encrypted": count}))
        return
    where = f"{config.key_file} has it" if config.secret_key is None else "set TIDINGS_SECRET_KEY to it everywhere"
    click.echo(f"{count} secrets and keys are encrypted under the new key; {where}.")


async def _rekey(config: Config, new_key: str) -> int:
    async with opened(config, is_to_change=False) as services:
        count = await installation.change_secret_key(services, SecretBox(new_key))
        if config.secret_key is None:
            try:
                replace_key(config.key_file, new_key)
            except OSError as error:
                raise StartupError(
                    f"{count} secrets and keys are encrypted under the new key, but {config.key_file} cannot be written "
                    f"({error.strerror}). Put the new key there, or set TIDINGS_SECRET_KEY to it."
                ) from error
        return count

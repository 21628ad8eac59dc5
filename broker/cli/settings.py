"""The server's settings, for commands that work without a running broker."""

from collections.abc import Mapping

import typer

from broker.catalog import CatalogError
from broker.cli.exits import CommandError, Exit
from broker.cli.options import CLIENT_VARIABLES
from broker.cli.plain import plain
from broker.config import Settings, SettingsError, load_settings


def server_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what only the command reads."""
    return {name: value for name, value in environ.items() if name not in CLIENT_VARIABLES}


def settings_or_exit(environ: Mapping[str, str], *, is_to_serve: bool = True) -> Settings:
    """The settings, or every fault of theirs and the exit code for that."""
    try:
        return load_settings(server_variables(environ), is_to_serve=is_to_serve)
    except (SettingsError, CatalogError) as error:
        for fault in error.faults:
            typer.echo(plain(fault), err=True)
        count = len(error.faults)
        wrong, them = ("one setting is", "it") if count == 1 else (f"{count} settings are", "them")
        message = f"{wrong} wrong, as told above; correct {them} and try again"
        raise CommandError(Exit.USAGE, message) from None

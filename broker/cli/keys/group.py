"""The group of commands, and what they share."""

from typing import Annotated, Final

import typer

from broker.cli.framework import new_group

app = new_group("List, add, change and test keys.")

ORDER: Final = (
    *("list", "show", "add", "rotate", "update", "delete"),
    *("disable", "enable", "probe", "import", "export"),
)


def in_order() -> None:
    """Show the commands in ORDER, whichever module was imported first."""
    app.registered_commands.sort(key=lambda command: ORDER.index(command.name or ""))


KEY_ID = Annotated[str, typer.Argument(metavar="KEY_ID", help="The key's id.")]
PROVIDER = Annotated[str, typer.Option("--provider", metavar="NAME", help="Only this provider's.")]
REASON = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever finds it so.")
]

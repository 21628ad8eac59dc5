"""`keybroker completion`: lets a shell complete commands and options."""

from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import shell_complete

from broker.cli.completion_setup import COMPLETE_VARIABLE, set_up_completion
from broker.cli.framework import command, new_app

app = new_app()


class Shell(StrEnum):
    """Shells that can complete."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


@command(
    app,
    "completion",
    examples=(
        "keybroker completion bash > /etc/bash_completion.d/keybroker",
        "source <(keybroker completion bash)      # in this shell only",
        "keybroker completion zsh > ~/.zfunc/_keybroker",
        "keybroker completion fish > ~/.config/fish/completions/keybroker.fish",
    ),
)
def completion(
    ctx: typer.Context,
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh, fish or powershell.")],
) -> None:
    """Print the script that makes a shell complete this command.

    Tab then completes commands and options; no broker is asked.
    """
    set_up_completion()
    root = ctx.find_root()
    shell_complete(root.command, {}, "keybroker", COMPLETE_VARIABLE, f"source_{shell}")

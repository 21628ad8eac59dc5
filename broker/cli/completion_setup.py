"""Completion in shells, as typer makes it."""

from typing import Final

# The one private name of typer that is used: it registers the shells, which typer's public ways do
# only together with options that write to the shell's own files.
from typer._completion_classes import completion_init

COMPLETE_VARIABLE: Final = "_KEYBROKER_COMPLETE"
"""How a shell's script asks for completions."""

set_up_completion = completion_init

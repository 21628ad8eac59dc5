"""Progress of what takes a while: on standard error, and only where a person sees it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from broker.cli.output import Output, console, is_dressed

Count: TypeAlias = Callable[[int, int], None]
"""Told how many of how many are done."""


@contextmanager
def counted(what: str, out: Output) -> Iterator[Count]:
    """A bar while it lasts; nothing of it stays."""
    # JSON lines come as they are ready, and would share the terminal's lines with the bar.
    is_shown = is_dressed(sys.stderr) and not out.is_json
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, console=console(sys.stderr), transient=True, disable=not is_shown
    ) as progress:
        task = progress.add_task(what, total=None)

        def count(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield count

"""What a person sees of a play that goes on for a while: a live view on a terminal, else lines."""

import sys
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Protocol, Self

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from broker.cli.output import console, is_dressed

SHOWN_NEWS = 8


class Scene(Protocol):
    """What is to be shown now."""

    @property
    def alarm(self) -> str:
        """What stands beside the title, in red; "" for nothing."""
        ...

    @property
    def news(self) -> Sequence[str]:
        """What the broker told so far, the oldest first."""
        ...

    @property
    def milestones(self) -> Sequence[str]:
        """What was reached so far; only where there is no terminal."""
        ...

    def pictures(self) -> Iterable[RenderableType]:
        """What stands between the title and the news."""
        ...


class Screen(Protocol):
    """Where a play is shown."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def act(self, title: str, text: str) -> None:
        """A new act begins."""
        ...

    def refresh(self) -> None:
        """Show how things are now."""
        ...


class LiveScreen:
    """A picture that is drawn anew several times a second."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._title, self._text = "", ""
        self._began = time.monotonic()
        self._live = Live(console=console(sys.stderr), auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def act(self, title: str, text: str) -> None:
        """Put up the title of an act."""
        self._title, self._text = title, text
        self.refresh()

    def refresh(self) -> None:
        """Draw the picture."""
        heading = Text(f"{time.monotonic() - self._began:5.1f} s  {self._title}", style="bold")
        if self._scene.alarm:
            heading.append(f"   {self._scene.alarm}", style="bold red")
        parts: list[RenderableType] = [Text(), heading, Text(self._text, style="dim"), Text()]
        for picture in self._scene.pictures():
            parts += [picture, Text()]
        parts.append(Text("What the broker tells", style="bold"))
        parts += (Text(f"  {line}", overflow="ellipsis", no_wrap=True) for line in self._latest())
        self._live.update(Lines(*parts), refresh=True)

    def _latest(self) -> list[str]:
        shown = list(self._scene.news[-SHOWN_NEWS:])
        return shown + [""] * (SHOWN_NEWS - len(shown))


class PlainScreen:
    """Lines, for logs and pipes."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._told = self._reached = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.refresh()

    def act(self, title: str, text: str) -> None:
        """Write the title of an act."""
        self.refresh()
        _say(f"== {title}: {text}")

    def refresh(self) -> None:
        """Write what is new."""
        for line in self._scene.news[self._told :]:
            _say(f"   {line}")
        for line in self._scene.milestones[self._reached :]:
            _say(f"-> {line}")
        self._told, self._reached = len(self._scene.news), len(self._scene.milestones)


def new_screen(scene: Scene) -> Screen:
    """A live view where there is a terminal to draw on."""
    kind = LiveScreen if is_dressed(sys.stderr) else PlainScreen
    return kind(scene)


def table_of(*columns: str) -> Table:
    """A table without lines, as all output of the command."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column.upper(), header_style="bold", no_wrap=True)
    return table


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()

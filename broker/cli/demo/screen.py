"""What a person sees of the demo: a live view on a terminal, lines elsewhere, a summary."""

import sys
import time
from collections import Counter
from types import TracebackType
from typing import Protocol, Self

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from broker.cli.demo.outlook import Outlook
from broker.cli.demo.tally import Tally
from broker.cli.output import STYLES, console, is_dressed
from broker.cli.words import word

SHOWN_EVENTS = 8


class Screen(Protocol):
    """Where the demo is shown."""

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

    def __init__(self, outlook: Outlook, tally: Tally) -> None:
        self._outlook = outlook
        self._tally = tally
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
        is_bad = self._outlook.status.emergency
        heading = Text(f"{time.monotonic() - self._began:5.1f} s  {self._title}", style="bold")
        if is_bad:
            heading.append("   EMERGENCY: no system key can be leased", style="bold red")
        events = (Text(f"  {line}", overflow="ellipsis", no_wrap=True) for line in self._latest())
        parts: list[RenderableType] = [
            Text(),
            heading,
            Text(self._text, style="dim"),
            Text(),
            callers(self._tally),
            Text(),
            _keys(self._outlook),
            Text("\nWhat the broker tells", style="bold"),
            *events,
        ]
        self._live.update(Lines(*parts), refresh=True)

    def _latest(self) -> list[str]:
        shown = self._outlook.events[-SHOWN_EVENTS:]
        return shown + [""] * (SHOWN_EVENTS - len(shown))


class PlainScreen:
    """Lines, for logs and pipes."""

    def __init__(self, outlook: Outlook, tally: Tally) -> None:
        self._outlook = outlook
        self._tally = tally
        self._told_events = self._told_stones = 0

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
        for line in self._outlook.events[self._told_events :]:
            _say(f"   {line}")
        for stone in self._tally.milestones[self._told_stones :]:
            _say(f"-> {stone.label} after {stone.seconds:.2f} s")
        self._told_events = len(self._outlook.events)
        self._told_stones = len(self._tally.milestones)


def new_screen(outlook: Outlook, tally: Tally) -> Screen:
    """A live view where there is a terminal to draw on."""
    kind = LiveScreen if is_dressed(sys.stderr) else PlainScreen
    return kind(outlook, tally)


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def callers(tally: Tally) -> Table:
    """What each group of callers saw; the last denial gives way where the terminal is narrow."""
    table = _table("callers", "asked", "served", "saved", "denied", "failed")
    table.add_column("LAST DENIAL", header_style="bold")
    for group in tally.groups:
        counts = (group.asked, group.served, group.saved, group.denied, group.failed)
        denial = Text(group.denial, style="yellow", overflow="ellipsis", no_wrap=True)
        table.add_row(group.name, *map(str, counts), denial)
    return table


def _keys(outlook: Outlook) -> Table:
    table = _table("system keys", "states")
    by_provider: dict[str, Counter[str]] = {}
    for key in outlook.system_keys():
        by_provider.setdefault(key.provider, Counter())[word(key, "state")] += 1
    for provider, states in sorted(by_provider.items()):
        cell = Text()
        for state, number in sorted(states.items()):
            cell.append(f"{'●' * number} {state}  ", style=STYLES.get(state, ""))
        table.add_row(provider, cell)
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column.upper(), header_style="bold", no_wrap=True)
    return table

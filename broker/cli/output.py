"""What a command answers: tables or JSON on standard output, all else on standard error."""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self, TextIO

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from broker.cli.options import FORMAT, Format
from broker.cli.plain import plain


def is_dressed(stream: TextIO) -> bool:
    """May colours go there? Only to a terminal that wants them."""
    is_wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return is_wanted and stream.isatty()


def console(stream: TextIO) -> Console:
    """A console for a terminal; it interprets nothing in texts."""
    return Console(file=stream, color_system="standard", highlight=False, markup=False, emoji=False)


def as_json(message: Message) -> dict[str, Any]:
    """A message by its proto names, with every field that is not a message, set or not."""
    return MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


class Output:
    """Writes the answer in the form that was asked for."""

    OPTIONS: ClassVar[Mapping[str, Any]] = {"format": FORMAT}

    def __init__(self, form: Format = Format.TABLE) -> None:
        self.is_json = form is Format.JSON
        self._is_dressed = is_dressed(sys.stdout)

    @classmethod
    def from_options(cls, given: Mapping[str, Any]) -> Self:
        """An output in the form asked for."""
        return cls(given["format"] or Format.TABLE)

    def json(self, value: Message | Mapping[str, Any]) -> None:
        """One JSON document: names in order, and escaped to ASCII, so that no terminal obeys it."""
        shown = as_json(value) if isinstance(value, Message) else value
        sys.stdout.write(json.dumps(shown, indent=2, sort_keys=True) + "\n")

    def json_fields(self, message: Message, *names: str) -> None:
        """Some fields of a message as one JSON document."""
        shown = as_json(message)
        self.json({name: shown[name] for name in names if name in shown})

    def json_line(self, value: Message | Mapping[str, Any]) -> None:
        """One JSON document on a line of its own, at once."""
        shown = as_json(value) if isinstance(value, Message) else value
        sys.stdout.write(json.dumps(shown, sort_keys=True) + "\n")
        sys.stdout.flush()

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Rows under their columns, without lines around them."""
        head = [column.upper() for column in columns]
        cells = [[plain(text) for text in row] for row in rows]
        if not self._is_dressed:
            _write_aligned([head, *cells])
            return
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        widest = max(cell_len(first) for first, *_ in (head, *cells))
        for number, column in enumerate(head):
            # What a row is about is copied from there: it gives way last.
            is_whole = number == 0 and widest * 2 <= console(sys.stdout).width
            table.add_column(column, header_style="bold", overflow="fold", no_wrap=is_whole)
        self._print(table, cells)

    def fields(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Names and values, one a line; those without a value are left out."""
        cells = [[name, plain(value)] for name, value in pairs if value]
        if not self._is_dressed:
            _write_aligned(cells)
            return
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        self._print(table, cells)

    def heading(self, text: str) -> None:
        """A line above what follows."""
        sys.stdout.write("\n")
        self._write_line(Text(plain(text), style="bold"))

    def line(self, text: str, style: str = "") -> None:
        """One line of the answer, at once."""
        self._write_line(Text(plain(text), style=style))
        sys.stdout.flush()

    def _write_line(self, text: Text) -> None:
        if self._is_dressed:
            console(sys.stdout).print(text, soft_wrap=True)
        else:
            sys.stdout.write(f"{text.plain}\n")

    @staticmethod
    def _print(table: Table, cells: Iterable[Sequence[str]]) -> None:
        for row in cells:
            table.add_row(*(_styled(text) for text in row))
        console(sys.stdout).print(table)


def _write_aligned(cells: Sequence[Sequence[str]]) -> None:
    """Columns as wide as they need be, whole and one row a line: whoever reads may be a program."""
    widths = [max(cell_len(cell) for cell in column) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = (f"{c}{' ' * (w - cell_len(c))}" for c, w in zip(row, widths, strict=True))
        sys.stdout.write(f"{'  '.join(padded).rstrip()}\n")


def note(text: str) -> None:
    """Tell a person something that is not part of the answer."""
    print(plain(text), file=sys.stderr)  # noqa: T201 - standard error is for people


STYLES: Mapping[str, str] = {
    **dict.fromkeys(("healthy", "closed", "authenticated", "in_use"), "green"),
    **dict.fromkeys(("cooling_down", "half_open", "ramping", "restricted"), "yellow"),
    **dict.fromkeys(("inconclusive", "exhausted", "incoming", "draining"), "yellow"),
    **dict.fromkeys(("quarantined", "open", "rejected"), "red"),
    **dict.fromkeys(("unreadable", "disabled"), "red"),
}
"""How words that say how something stands look on a terminal."""


def _styled(text: str) -> Text:
    return Text(text, style=STYLES.get(text, ""))

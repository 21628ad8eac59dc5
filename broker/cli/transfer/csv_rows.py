"""Keys of a CSV file, whose first line names the columns."""

import csv
from collections.abc import Iterator
from typing import BinaryIO, Final, TypeAlias

from broker.adapters.sources.fault import Fault
from broker.cli.transfer.fields import COLUMNS, put_text
from broker.cli.transfer.lines import MAX_LINE_BYTES, Line, read_lines
from keybroker.v1 import admin_pb2

REQUIRED: Final = ("provider", "secret")

Found: TypeAlias = admin_pb2.ImportedKey | Fault


def read_csv(file: BinaryIO) -> Iterator[Found]:
    """The keys, and the lines that are none. Raises OSError."""
    csv.field_size_limit(MAX_LINE_BYTES)  # a value that is too long is the broker's to tell
    columns: tuple[str, ...] = ()
    for line in read_lines(file):
        cells = _cells(line) if isinstance(line, Line) else line
        if columns:
            yield cells if isinstance(cells, Fault) else _key(line, columns, cells)
            continue
        header = cells if isinstance(cells, Fault) else _header(line, cells)
        if isinstance(header, Fault):
            yield header  # without its columns nothing of it can be read
            return
        columns = header


def _cells(line: Line) -> list[str] | Fault:
    """The values of one line; none of them has a reason to span lines."""
    try:
        (cells,) = csv.reader([line.text], strict=True)
    except csv.Error:
        return Fault(line.number, "has a quote that is not closed, or text after the closing one")
    return [cell.strip() for cell in cells]


def _header(line: Line | Fault, cells: list[str]) -> tuple[str, ...] | Fault:
    known = ", ".join(COLUMNS)
    names = tuple(name.lower() for name in cells)
    unknown = [number for number, name in enumerate(names, 1) if name not in COLUMNS]
    if len(names) == 1 and any(sign in names[0] for sign in ";\t|"):
        return Fault(1, "the columns are not separated by commas")
    if unknown:
        what = f"column {unknown[0]} is none of {known}"
        return Fault(line[0], f"{what}: the first line must name the columns")
    if len(set(names)) < len(names):
        return Fault(line[0], "names a column twice")
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        return Fault(line[0], f"there is no column {' and no column '.join(missing)}")
    return names


def _key(line: Line | Fault, columns: tuple[str, ...], cells: list[str]) -> Found:
    if len(cells) != len(columns):
        values = "1 value" if len(cells) == 1 else f"{len(cells)} values"
        return Fault(line[0], f"has {values} for {len(columns)} columns")
    key = admin_pb2.ImportedKey(line=line[0])
    for name, text in zip(columns, cells, strict=True):
        try:
            put_text(key, name, text)
        except ValueError as error:
            return Fault(line[0], f"{name}: {error}")
    return key

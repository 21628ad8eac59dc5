"""How answers look on a terminal that is too narrow for them."""

import io
import sys

import pytest
from rich.console import Console

from broker.cli.demo.screen import callers
from broker.cli.demo.story import new_groups
from broker.cli.demo.tally import Tally
from broker.cli.output import Output


class Terminal(io.StringIO):
    """A terminal that takes what is written."""

    def isatty(self) -> bool:
        return True


def test_what_a_row_is_about_stays_whole_so_that_it_can_be_copied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    Output().table(("key", "what"), [("anthropic/production-1", "word " * 30)])
    assert "anthropic/production-1" in terminal.getvalue()
    assert len(terminal.getvalue().splitlines()) > 3


def test_the_demo_shows_all_its_numbers_in_80_columns() -> None:
    tally = Tally(new_groups())
    for group in tally.groups:
        group.asked = group.served = 12345
        group.denial = "QUARANTINED, FIX_KEYS; could have anthropic/claude-haiku-4-5, and more"
    out = io.StringIO()
    Console(file=out, width=80).print(callers(tally))
    head, *rows = out.getvalue().splitlines()
    assert head.split()[:6] == ["CALLERS", "ASKED", "SERVED", "SAVED", "DENIED", "FAILED"]
    assert [row.count("12345") for row in rows] == [2, 2, 2]
    assert [row[:11].strip() for row in rows] == [group.name for group in tally.groups]

"""How a `.env` file is read, line by line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.adapters.env.assignment import Assignment
from broker.adapters.env.dotenv import read_dotenv
from broker.adapters.sources.fault import Fault


def values(text: str | bytes) -> dict[str, str]:
    data = text.encode() if isinstance(text, str) else text
    assignments, faults = read_dotenv(data)
    assert faults == []
    return {assignment.name: assignment.value for assignment in assignments}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("  A = b  ", "b"),
        ("export A=b", "b"),
        ("A=b # why", "b"),
        ("A=b#c", "b#c"),
        ("A=", ""),
        ("A= # nothing", ""),
        ("A='b # c'", "b # c"),
        ('A="b # c" # d', "b # c"),
        ("A='b\\n'", "b\\n"),
        ('A="b\\n\\"c\\"\\\\d\\e"', 'b\n"c"\\d\\e'),
        ("A=''", ""),
        ("A=b=c==", "b=c=="),
        ("A=$B${C}", "$B${C}"),
        ("A=it's", "it's"),
    ],
)
def test_a_line_gives_its_value(line: str, value: str) -> None:
    assert values(line) == {"A": value}


def test_blank_lines_and_comments_say_nothing() -> None:
    assert values("\n  \n# A=b\n   # C=d\n") == {}


def test_line_ends_of_every_system_and_a_byte_order_mark_are_no_part_of_values() -> None:
    assert values(b"\xef\xbb\xbfA=b\r\nC=d\r\n") == {"A": "b", "C": "d"}


def test_a_quoted_value_may_span_lines_and_the_next_line_keeps_its_number() -> None:
    text = 'A="-----BEGIN KEY-----\nabc=\n-----END KEY-----"\nB=c\nD'
    assignments, faults = read_dotenv(text.encode())
    assert assignments == [
        Assignment("A", "-----BEGIN KEY-----\nabc=\n-----END KEY-----", 1),
        Assignment("B", "c", 4),
    ]
    assert faults == [Fault(5, "is not NAME=value")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"sk-canary", "is not NAME=value"),
        (b"=sk-canary", "is not NAME=value"),
        (b"A B=sk-canary", "is not NAME=value"),
        (b"A=sk\xff", "is not UTF-8"),
        (b"A=sk\x00", "has a NUL byte"),
        (b'A="sk-canary', "has a quote that is not closed, or text after the closing one"),
        (b"A='sk' canary", "has a quote that is not closed, or text after the closing one"),
    ],
)
def test_a_bad_line_is_told_by_number_and_spoils_no_other(line: bytes, message: str) -> None:
    assignments, faults = read_dotenv(b"X=1\n" + line + b"\nY=2\n")
    assert [(a.name, a.value, a.line) for a in assignments] == [("X", "1", 1), ("Y", "2", 3)]
    assert faults == [Fault(2, message)]


def test_a_comment_in_another_encoding_is_no_fault() -> None:
    assert values(b"# caf\xe9\nA=b") == {"A": "b"}


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_a_file_in_utf_16_is_one_fault(codec: str) -> None:
    """As PowerShell writes it when asked for nothing else."""
    assignments, faults = read_dotenv("\ufeffA=b\nC=d".encode(codec))
    assert (assignments, len(faults)) == ([], 1)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_raising(data: bytes) -> None:
    assignments, faults = read_dotenv(data)
    lines = data.count(b"\n") + 1
    numbers = [a.line for a in assignments] + [fault.line for fault in faults]
    assert all(1 <= number <= lines for number in numbers)

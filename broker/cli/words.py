"""Enums as a person writes and reads them."""

import re
from typing import Final, cast

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.message import Message

from broker.cli.exits import CommandError, Exit

_HUMP: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


def word(message: Message, field: str) -> str:
    """The field's value as the lower-case rest of its name, `cooling_down`; "" when not said."""
    number = getattr(message, field)
    return word_of(_enum_of(message, field), number)


def words(message: Message, field: str) -> list[str]:
    """The same for each value of a repeated field."""
    enum = _enum_of(message, field)
    return [word_of(enum, number) for number in getattr(message, field)]


def word_of(enum: EnumDescriptor, number: int) -> str:
    """One value's word; that of a value newer than this command is its number."""
    value = enum.values_by_number.get(number)
    if value is None:
        return str(number)
    return _short(enum, value.name) if number else ""


def all_words(enum: EnumDescriptor) -> list[str]:
    """The words that a person may write."""
    return [word_of(enum, value.number) for value in enum.values if value.number]


def number_of(enum: EnumDescriptor, text: str, where: str) -> int:
    """The value of a word, in any case and with - or _; raises CommandError naming `where`."""
    wanted = text.lower().replace("-", "_")
    for value in enum.values:
        if value.number and _short(enum, value.name) == wanted:
            return value.number
    known = ", ".join(all_words(enum))
    raise CommandError(Exit.USAGE, f"{where}: {text!r} is none of {known}")


def _enum_of(message: Message, field: str) -> EnumDescriptor:
    return cast("EnumDescriptor", message.DESCRIPTOR.fields_by_name[field].enum_type)


def _short(enum: EnumDescriptor, name: str) -> str:
    prefix = _HUMP.sub("_", enum.name).upper()
    return name.removeprefix(f"{prefix}_").lower()

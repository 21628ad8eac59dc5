"""What is wrong with settings: every fault at once, none with a value in it."""

import re
from collections.abc import Iterator
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from broker.config.settings import Settings, variable

_SHOWN: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")


class SettingsError(Exception):
    """Settings that cannot be used; `faults` are `NAME: problem; what to do`."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        """Keep every fault: whoever mends the settings wants the whole list."""
        self.faults = faults
        super().__init__("\n".join(faults))


def read_faults(error: ValidationError) -> Iterator[str]:
    """One line a fault."""
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        setting, *path = fault["loc"]
        name = variable(str(setting))
        where = "".join(_step(step) for step in path)
        yield f"{name}{where}: {_problem(fault)}; {_advice(str(setting))}"


def _step(step: int | str) -> str:
    """A step to the fault: names that may be anything, even a secret gone astray, are not shown."""
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if _SHOWN.fullmatch(step) else ".?"


def _problem(fault: ErrorDetails) -> str:
    if fault["type"] == "extra_forbidden":
        return "is no field here"
    message = fault["msg"].removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _advice(setting: str) -> str:
    field: Any = Settings.model_fields[setting]
    default = field.default
    if default in ((), {}, None, ""):
        return "correct it, or unset it for none"
    return f"correct it, or unset it for the default, {default}"

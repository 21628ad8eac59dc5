"""`keybroker config`: the server's settings, and where each one comes from."""

import asyncio
import io
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, SecretStr

from broker.adapters.env.assignment import Assignment
from broker.adapters.env.dotenv import read_dotenv
from broker.adapters.env.variables import Variables
from broker.adapters.structlog import configure_logging
from broker.app.checking import Checking, Reading
from broker.cli.exits import CommandError, Exit
from broker.cli.framework import command, new_group
from broker.cli.output import Output, note
from broker.cli.settings import server_variables, settings_or_exit
from broker.config import PREFIX, Settings
from broker.config.loading import MAY_BE_EMPTY
from broker.config.settings import variable

HIDDEN: Final = "(hidden)"
_KEY: Final = re.compile(r"[A-Z0-9_]{1,40}_API_KEY(_[0-9]{1,4})?")
_USER: Final = re.compile(r"(?<=://)[^/@\s]+(?=@)")

app = new_group("Check the server's settings, or print them with their origins.")


@command(app, "check", examples=("keybroker config check && systemctl restart keybroker",))
def check(out: Output) -> None:
    """Check the settings and the sources of keys.

    Every fault is told at once, also of another system's table of tenants' keys. No provider is
    called: 'keybroker check' tests the keys.
    """
    settings = settings_or_exit(os.environ)
    configure_logging("error", stream=io.StringIO())  # each fault is told below, once
    checking = Checking(settings, server_variables(os.environ))
    reading = asyncio.run(_read(checking))
    for name in _unread(settings.env_file, checking.providers):
        note(f"{name} is of no provider that is configured, and is not read")
    faults = [f"{fault.place}: {fault.message}" for fault in reading.faults]
    if out.is_json:
        out.json({"keys": [key.key_id for key in reading.keys], "faults": faults})
    for fault in faults:
        note(fault)
    if faults:
        count = len(faults)
        faulty = "one fault" if count == 1 else f"{count} faults"
        message = f"{faulty} in the sources of keys, as told above; correct them"
        raise CommandError(Exit.USAGE, message)
    if not out.is_json:
        number = len(reading.keys)
        keys = "is one system key" if number == 1 else f"are {number} system keys"
        out.line(f"The settings are right, and there {keys}.")


async def _read(checking: Checking) -> Reading:
    try:
        return await checking.read()
    finally:
        await checking.close()


@command(app, "print", examples=("keybroker config print", "keybroker config print --format json"))
def print_settings(out: Output) -> None:
    """Print every setting with its value and its origin.

    Secrets are not shown. The origin is the environment, the .env file with its line, or the
    default.
    """
    environ = server_variables(os.environ)
    settings = settings_or_exit(environ)
    origins = _origins(settings, environ)
    rows = [
        {
            "setting": variable(name),
            "value": _shown(getattr(settings, name)),
            "origin": origins.get(name, "default"),
            "meaning": field.description or "",
        }
        for name, field in Settings.model_fields.items()
    ]
    if out.is_json:
        out.json({"settings": rows})
    else:
        texts = ((row["setting"], _text(row["value"]), row["origin"]) for row in rows)
        out.table(("setting", "value", "origin"), texts)


def _origins(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Where each setting that is not a default comes from."""
    origins = _in_file(settings.env_file)
    for name, value in environ.items():
        setting = name.removeprefix(PREFIX).lower()
        if name.startswith(PREFIX) and (value.strip() or setting in MAY_BE_EMPTY):
            origins[setting] = "environment"
    if "tokens_file" in origins:
        origins["tokens"] = f"{settings.tokens_file}"
    return origins


def _unread(path: Path, providers: Collection[str]) -> list[str]:
    """Names in the file that look like keys, perhaps of a provider that is written wrongly."""
    variables = Variables(providers)
    return [
        f"{path}:{item.line}: {item.name}"
        for item in _assignments(path)
        if _KEY.fullmatch(item.name) and variables.read(item.name) is None
    ]


def _assignments(path: Path) -> list[Assignment]:
    try:
        return read_dotenv(path.read_bytes())[0]
    except OSError:
        return []


def _in_file(path: Path) -> dict[str, str]:
    return {
        item.name.removeprefix(PREFIX).lower(): f"{path}:{item.line}"
        for item in _assignments(path)
        if item.name.startswith(PREFIX)
        and (item.value.strip() or item.name.removeprefix(PREFIX).lower() in MAY_BE_EMPTY)
    }


def _shown(value: Any) -> Any:  # noqa: ANN401 - a setting may be anything
    """A setting's value as JSON, without anything secret in it."""
    if isinstance(value, SecretStr):
        return HIDDEN
    if isinstance(value, BaseModel):
        return {
            name: HIDDEN if "token" in name and part is not None else _shown(part)
            for name, part in value
            if part is not None
        }
    if isinstance(value, Mapping):
        return {str(name): _shown(part) for name, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        parts = [_shown(part) for part in value]
        return sorted(parts) if isinstance(value, set | frozenset) else parts
    if value is None or isinstance(value, bool | int | float):
        return value
    return _USER.sub(HIDDEN, str(value))


def _text(value: Any) -> str:  # noqa: ANN401 - as _shown
    """A value for the table."""
    if value in (None, "", [], {}):
        return "–"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_text(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(
            f"[{_text(part)}]" if isinstance(part, dict) else _text(part) for part in value
        )
    return str(value)

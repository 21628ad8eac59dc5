"""Reads the settings from the environment, and under it from the `.env` file."""

import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError

from broker.adapters.env.dotenv import read_dotenv
from broker.adapters.sources.watched_file import read_regular
from broker.config.checks import cross_faults
from broker.config.faults import SettingsError, read_faults
from broker.config.settings import PREFIX, Settings, variable

MAY_BE_EMPTY = frozenset({"http_listen", "daily_report"})
"""Settings for which an empty value means something; for all others it means unset."""


def load_settings(environ: Mapping[str, str], *, is_to_serve: bool = True) -> Settings:
    """The settings; raises SettingsError with everything that is wrong with them.

    Without `is_to_serve` the secrets that brokers on one database share may be missing.
    """
    env_file = environ.get(variable("env_file"), "")
    faults: list[str] = []
    given = _in_file(env_file, faults) | _own(environ)
    known = set(Settings.model_fields)
    faults += [_unknown(name, known) for name in sorted(given.keys() - known)]
    values: dict[str, object] = {name: given[name] for name in known & given.keys()}
    broken = _take_tokens_file(values, faults)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        faults += read_faults(error)
        broken |= {str(fault["loc"][0]) for fault in error.errors()}
        rest = {name: value for name, value in values.items() if name not in broken}
        settings = Settings.model_validate(rest)
    faults += cross_faults(settings, broken, is_to_serve=is_to_serve)
    if faults:
        raise SettingsError(tuple(faults))
    return settings


def _own(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables that are settings, by the setting's name."""
    given = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in variables.items()
        if name.startswith(PREFIX)
    }
    return {
        name: value.strip()
        for name, value in given.items()
        if value.strip() or name in MAY_BE_EMPTY
    }


def _in_file(named: str, faults: list[str]) -> dict[str, str]:
    """The settings in the `.env` file; one that was named must be there."""
    path = Path(named) if named else Settings.model_fields["env_file"].default
    if str(path) == os.devnull:
        return {}
    try:
        data = read_regular(path)
    except OSError as error:
        if named:
            name, problem = variable("env_file"), error.strerror or error
            faults.append(f"{name}: cannot be read ({problem}); correct the path")
        return {}
    return _own({item.name: item.value for item in read_dotenv(data)[0]})


def _take_tokens_file(values: dict[str, object], faults: list[str]) -> set[str]:
    """Put the file's text in place of the setting; returns what is broken by a fault."""
    path = values.get("tokens_file")
    if path is None:
        return set()
    name = variable("tokens_file")
    if "tokens" in values:
        faults.append(f"{name}: {variable('tokens')} is set as well; unset one of them")
        return set()
    try:
        values["tokens"] = Path(str(path)).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        faults.append(f"{name}: is not UTF-8; save it as a JSON list in UTF-8")
    except OSError as error:
        faults.append(f"{name}: cannot be read ({error.strerror}); correct the path")
    else:
        return set()
    return {"tokens"}


def _unknown(name: str, known: set[str]) -> str:
    shown = variable(name)[:80]
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {variable(near[0])}?" if near else "unset it, or see the README's table"
    return f"{shown}: is no setting; {hint}"

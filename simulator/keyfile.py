"""The keys a simulator starts with, from a TOML file.

```toml
[[keys]]
dialect = "openai"
secret = "sk-alpha"
label = "alpha"              # optional, as are the next two
account = "acme"
models = ["gpt-4o"]
```
"""

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from simulator.dialects import DIALECTS
from simulator.keys import DuplicateKeyError
from simulator.switchboard import Switchboard


class KeyFileError(Exception):
    """A key file that cannot be used; the message has a line for every fault, and no secret."""


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid")

    dialect: str
    secret: SecretStr = Field(min_length=1)
    label: str = ""
    account: str = ""
    models: tuple[str, ...] = ()


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: tuple[_Row, ...] = ()


def issue_keys(board: Switchboard, path: Path) -> None:
    """Issue every key of the file; raises KeyFileError, which names all faults at once."""
    try:
        rows = _File.model_validate(tomllib.loads(path.read_text("utf-8"))).keys
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        message = f"{path}: {error}"
        raise KeyFileError(message) from None
    except ValidationError as error:
        lines = [
            f"{path}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            for fault in error.errors(include_input=False)
        ]
        raise KeyFileError("\n".join(lines)) from None
    faults = [
        f"{path}: keys.{number}.dialect: {row.dialect!r} is none of {', '.join(DIALECTS)}"
        for number, row in enumerate(rows)
        if row.dialect not in DIALECTS
    ]
    for number, row in enumerate(rows if not faults else ()):
        try:
            board.add_key(
                row.dialect,
                row.secret.get_secret_value(),
                label=row.label,
                account=row.account,
                models=row.models,
            )
        except DuplicateKeyError as error:
            faults.append(f"{path}: keys.{number}: {error}")
    if faults:
        raise KeyFileError("\n".join(faults))

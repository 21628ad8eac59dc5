"""The forms that settings take: addresses, secrets, tokens and providers."""

import json
import re
from datetime import time
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    model_validator,
)

from broker.core.base_url import checked_base_url
from broker.core.denial import Target
from broker.edge.bearer import digest
from broker.edge.listen import Address
from broker.services.principal import Role

MIN_SECRET_BYTES: Final = 32
MIN_TOKEN_CHARS: Final = 16

NAME: Final = r"^[a-z0-9]+(?:[-_][a-z0-9]+)*$"
"""How providers and dialects are named."""


def from_json(value: object) -> object:
    """Text is read as JSON; values made in Python stay as they are."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise ValueError("is not JSON that anybody means: it is nested too deeply") from None


def one_or_json(value: object) -> object:
    """As `from_json`, but a text that is no JSON list stands for a list of itself."""
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return (value,)
    return from_json(value)


def names(value: object) -> object:
    """A JSON list, or names with commas between them."""
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return tuple(name for part in value.split(",") if (name := part.strip()))
    return from_json(value)


def check_hour(text: str) -> str:
    """`HH:MM`, or "" for none."""
    parse_hour(text)
    return text


def parse_hour(text: str) -> time | None:
    """The time of day that `text` writes; raises ValueError."""
    if not text:
        return None
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text):
        raise ValueError("is not HH:MM, such as 08:00")
    return time.fromisoformat(text)


def check_address(text: str) -> str:
    """`host:port`, with an IPv6 host in brackets."""
    parse_address(text)
    return text


def parse_address(text: str) -> Address:
    """The address that `text` writes; raises ValueError."""
    host, colon, port = text.rpartition(":")
    is_bare_v6 = ":" in host and not (host.startswith("[") and host.endswith("]"))
    is_port = port.isascii() and port.isdecimal() and int(port) < 65_536
    if not (host and colon and is_port) or is_bare_v6 or any(c.isspace() for c in host):
        raise ValueError("is not host:port, such as 127.0.0.1:50051 or [::1]:50051")
    return Address(host.strip("[]"), int(port))


def check_secret(secret: SecretStr) -> SecretStr:
    """Long enough that nobody guesses it."""
    if len(secret.get_secret_value().encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"is shorter than {MIN_SECRET_BYTES} bytes")
    return secret


SecretBytes = Annotated[SecretStr, AfterValidator(check_secret)]


def check_target(text: str) -> str:
    """`provider/model`."""
    provider, _, model = text.partition("/")
    if not (provider and model):
        raise ValueError("is not provider/model")
    return text


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class TokenSetting(_Table):
    """One bearer token: whose it is and what it allows."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@:/-]{0,127}$")]
    token: SecretStr | None = None
    token_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    roles: Annotated[frozenset[Role], Field(min_length=1)]
    tenants: tuple[str, ...] = ("*",)
    untenanted: bool = True

    @model_validator(mode="after")
    def _has_one_token(self) -> "TokenSetting":
        if (self.token is None) == (self.token_sha256 is None):
            raise ValueError("needs either token or token_sha256")
        if self.token is not None and len(self.token.get_secret_value()) < MIN_TOKEN_CHARS:
            raise ValueError(f"has a token of less than {MIN_TOKEN_CHARS} characters")
        return self

    @property
    def digest(self) -> bytes:
        """What is kept of the token."""
        if self.token_sha256 is not None:
            return bytes.fromhex(self.token_sha256)
        return digest(self.token.get_secret_value() if self.token else "")


class ProviderSetting(_Table):
    """A provider; what is left out comes from the built-in one of its name, or its dialect."""

    dialect: Annotated[str, StringConstraints(pattern=NAME)] | None = None
    base_url: Annotated[str, AfterValidator(checked_base_url)] | None = None
    models: tuple[Annotated[str, StringConstraints(min_length=1, max_length=256)], ...] = ()
    fallbacks: tuple[Annotated[str, AfterValidator(check_target)], ...] = ()

    @property
    def targets(self) -> tuple[Target, ...]:
        """The fallbacks as the services know them."""
        pairs = (text.partition("/") for text in self.fallbacks)
        return tuple(Target(provider, model) for provider, _, model in pairs)

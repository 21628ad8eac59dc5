"""The forms of settings that say where keys and all else are kept."""

import re
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    model_validator,
)

from broker.config.forms import from_json

MEMORY: Final = "memory"
"""The database of a broker that keeps nothing."""

_SQLITE: Final = "sqlite:///"
_POSTGRES: Final = ("postgresql://", "postgres://")
_KMS_KEY: Final = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d+:key/[A-Za-z0-9-]{1,64}")
_TAG: Final = re.compile(r"[^=]{1,128}=.{0,256}")
_HAS_SCHEME: Final = re.compile(r"[a-z+]+://")


def check_database(text: str) -> str:
    """`memory`, `sqlite:///` and the path of a file, or `postgresql://` and where it is."""
    if text == MEMORY or database_path(text) is not None:
        return text
    if not is_postgres(text):
        raise ValueError(
            "is neither memory, nor sqlite:/// and the path of a file, nor a postgresql:// URL"
        )
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        raise ValueError("is no URL") from None
    if not url.path.strip("/"):
        raise ValueError("names no database, as in postgresql://user@host:5432/keybroker")
    if url.fragment:
        raise ValueError("has a fragment: write # as %23")
    if any(name == "password" for name, _ in parse_qsl(url.query)):
        raise ValueError("has a password as a parameter: put it into KEYBROKER_DATABASE_PASSWORD")
    return text


def database_path(text: str) -> Path | None:
    """The file that `sqlite:///` names, relative unless a fourth slash follows."""
    path = text.removeprefix(_SQLITE)
    return Path(path) if path and path != text and not path.endswith("/") else None


def is_postgres(text: str) -> bool:
    """Is it the URL of a PostgreSQL database, which several brokers may share?"""
    return text.startswith(_POSTGRES)


def check_kms_key(text: str) -> str:
    """The ARN of a KMS key; an alias could point to another key tomorrow."""
    if not _KMS_KEY.fullmatch(text):
        raise ValueError(
            "is no ARN of a KMS key, as arn:aws:kms:eu-central-1:111122223333:key/1234abcd is; an"
            " alias does not do"
        )
    return text


def _check_tag(text: str) -> str:
    if not _TAG.fullmatch(text):
        raise ValueError("is no tag: write it as key=value")
    return text


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


ProviderName = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class SecretSetting(_Table):
    """Which secrets of AWS Secrets Manager hold provider keys: one, or all that match.

    `tag` is `key=value`. `provider` says whose keys they are where the secrets do not.
    """

    name: Annotated[str, StringConstraints(min_length=1, max_length=2048)] | None = None
    prefix: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = None
    tag: Annotated[str, AfterValidator(_check_tag)] | None = None
    provider: ProviderName | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        """A text is a name, or with a `*` at its end a prefix."""
        if isinstance(value, str):
            return {"prefix": value[:-1]} if value.endswith("*") else {"name": value}
        return value

    @model_validator(mode="after")
    def _says_which(self) -> "SecretSetting":
        if sum(each is not None for each in (self.name, self.prefix, self.tag)) != 1:
            raise ValueError("needs exactly one of name, prefix and tag")
        return self


def secret_selectors(value: object) -> object:
    """A JSON list, or names and prefixes with commas between them."""
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return tuple(name for part in value.split(",") if (name := part.strip()))
    return from_json(value)


KEY_COLUMNS: Final = frozenset(
    {
        "tenant",
        "provider",
        "secret",
        "key_id",
        "models",
        "weight",
        "priority",
        "account",
        "expires_at",
        "base_url",
        "enabled",
        "updated_at",
    }
)
"""What a column of another system's table may stand for."""

_NEEDED: Final = ("tenant", "provider", "secret")
_NAME: Final = r"^[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*){0,2}$"


class TenantTableSetting(_Table):
    """Another system's table of tenants' keys, which is read and never written.

    `columns` maps what the broker wants to know to columns of the table, or of the query, which
    takes the tenant as `:tenant`; `providers` maps their words for providers to the broker's.
    """

    url: SecretStr | None = None
    table: Annotated[str, StringConstraints(pattern=_NAME)] | None = None
    query: Annotated[str, StringConstraints(min_length=1, max_length=8192)] | None = None
    columns: dict[str, Annotated[str, StringConstraints(min_length=1, max_length=128)]] = Field(
        default_factory=dict
    )
    providers: dict[str, ProviderName] = Field(default_factory=dict)
    cipher: Literal["none", "fernet"] = "none"
    cipher_key_file: Path | None = None
    poll_seconds: Annotated[float, Field(ge=1, le=3600, allow_inf_nan=False)] = 60.0

    @model_validator(mode="after")
    def _fits(self) -> "TenantTableSetting":
        if (self.table is None) == (self.query is None):
            raise ValueError("needs either table or query")
        if self.query is not None and ":tenant" not in self.query:
            raise ValueError("has a query without :tenant, which stands for the tenant asked for")
        unknown = sorted(set(self.columns) - KEY_COLUMNS)
        if unknown:
            raise ValueError(
                f"maps columns to what no key has; use {', '.join(sorted(KEY_COLUMNS))}"
            )
        if (self.cipher == "fernet") != (self.cipher_key_file is not None):
            raise ValueError("needs cipher_key_file with cipher fernet, and only then")
        if self.url is not None and not _HAS_SCHEME.match(self.url.get_secret_value()):
            raise ValueError("has a url that is none; use postgresql:// or sqlite:///")
        return self

    def column(self, name: str) -> str | None:
        """The column that stands for what a key has; the needed ones are named alike by default."""
        return self.columns.get(name, name if name in _NEEDED else None)


TenantTable = Annotated[TenantTableSetting | None, BeforeValidator(from_json)]

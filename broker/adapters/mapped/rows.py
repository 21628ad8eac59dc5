"""From rows of another system's table to keys; a row that makes no sense harms no other."""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from broker.adapters.mapped.cells import (
    SETTINGS,
    bytes_of,
    is_empty,
    is_enabled,
    text_of,
    time_of,
)
from broker.adapters.mapped.ciphers import Decrypt
from broker.adapters.mapped.shape import Shape
from broker.adapters.mapped.statements import MAX_ROWS
from broker.adapters.sources.building import MAX_SECRET_CHARS
from broker.core.key import KeySettings
from broker.core.secret import Secret

Row = Mapping[str, Any]
"""One row, by the broker's words for its columns."""

PREFIX: Final = "table."
"""What ids begin with that the broker makes of a tenant and a provider."""

_OTHERS: Final = (
    "is found with rows of another name, which are not used: see that the column holds the name"
    " alone, without spaces behind it, and that a query asks for :tenant"
)

_KEY_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECRET: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class TheirKey:
    """A key as their table has it; without a secret where that, or the row, cannot be used."""

    key_id: str
    provider: str
    settings: KeySettings = field(default_factory=KeySettings)
    secret: Secret | None = None
    updated_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Found:
    """What the table has of a tenant: `providers` are those that any row of it is about.

    `faults` are pairs of a row's name and what is wrong with it.
    """

    keys: tuple[TheirKey, ...] = ()
    providers: frozenset[str] = frozenset()
    faults: tuple[tuple[str, str], ...] = ()


def made_id(tenant: str, provider: str, row_id: str = "") -> str:
    """An id for a key that has none here, the same for all brokers and at all times."""
    plain = f"{PREFIX}{provider}.{tenant}"
    if not row_id and "." not in provider and _KEY_ID.fullmatch(plain):
        return plain
    parts = "".join(f"{len(part)}:{part}" for part in (tenant, provider, row_id))
    return f"{PREFIX}{hashlib.sha256(parts.encode()).hexdigest()[:32]}"


def tenant_in(key_id: str, known: Collection[str]) -> str | None:
    """The tenant that a made id names, if it does so in plain text."""
    for provider in known:
        head = f"{PREFIX}{provider}."
        if "." not in provider and key_id.startswith(head):
            return key_id.removeprefix(head)
    return None


class RowReader:
    """Reads the rows of one tenant at a time."""

    def __init__(self, shape: Shape, decrypt: Decrypt) -> None:
        self._shape = shape
        self._decrypt = decrypt

    def read(self, tenant: str, rows: Sequence[Row]) -> Found:
        """The keys among `rows`; those that are another tenant's are never used.

        A database may compare names more loosely than the broker does, or a query forget to. What
        such rows are about is served from nowhere else either: nobody can tell what was meant.
        """
        if len(rows) > MAX_ROWS:
            return self._too_many(tenant)
        keys: list[TheirKey] = []
        providers: set[str] = set()
        doubtful: set[str] = set()
        faults: list[tuple[str, str]] = []
        for row in rows:
            provider = self._shape.provider(row["provider"])
            if not _is_of(row, tenant):
                doubtful |= {provider} if provider is not None else set()
                continue
            if provider is None:
                faults.append((_named(tenant, row), "names a provider that is not configured"))
                continue
            providers.add(provider)
            key, fault = self._key(tenant, provider, row)
            if key is not None:
                keys.append(key)
            if fault:
                faults.append((key.key_id if key is not None else _named(tenant, row), fault))
        unique, doubles = _unique(keys)
        if doubtful:
            faults.append((f"tenant {tenant!r}", _OTHERS))
        closed = _closed(tenant, doubtful - providers)
        return Found((*unique, *closed), frozenset(providers | doubtful), (*faults, *doubles))

    def _key(self, tenant: str, provider: str, row: Row) -> tuple[TheirKey | None, str]:
        """A row's key, None where it is not in use, and what is wrong with it."""
        key_id = _id_of(tenant, provider, row)
        try:
            if "enabled" in row and not _told("enabled", is_enabled, row["enabled"]):
                return None, ""
            settings = KeySettings(
                **{
                    name: _told(name, read, row[name])
                    for name, read in SETTINGS.items()
                    if not is_empty(row.get(name))
                }
            )
            secret = self._secret(row["secret"], {key_id, tenant, settings.account})
        except ValueError as error:
            return TheirKey(key_id, provider), str(error)
        at = row.get("updated_at")
        try:
            updated_at = 0.0 if is_empty(at) else max(time_of(at).timestamp(), 0.0)
        except ValueError:
            updated_at = 0.0
        return TheirKey(key_id, provider, settings, secret, updated_at), ""

    def _secret(self, cell: object, names: Collection[str]) -> Secret:
        if is_empty(cell):
            raise ValueError("has no secret")
        text = _told("secret", lambda it: self._decrypt(bytes_of(it)).decode(), cell)
        if len(text) > MAX_SECRET_CHARS:
            raise ValueError(f"has a secret of more than {MAX_SECRET_CHARS} characters")
        if not _SECRET.fullmatch(text):
            raise ValueError("has a secret with characters that cannot travel in a header")
        if text in names:
            raise ValueError("has a secret that is also its id, tenant or account")
        return Secret(text)

    def _too_many(self, tenant: str) -> Found:
        """None is believed, and nothing served from elsewhere: what was not read may be of any."""
        known = frozenset(self._shape.known)
        many = f"has more than {MAX_ROWS} rows"
        return Found(_closed(tenant, known), known, ((f"tenant {tenant!r}", many),))


def _closed(tenant: str, providers: Collection[str]) -> tuple[TheirKey, ...]:
    """A key without a secret for each provider."""
    return tuple(TheirKey(made_id(tenant, name), name) for name in sorted(providers))


def _told(column: str, read: Any, cell: object) -> Any:  # noqa: ANN401 - a cell's value, of any type
    """What a cell holds; the error names the column."""
    try:
        return read(cell)
    except UnicodeError:
        raise ValueError(f"{column} is no text in UTF-8") from None
    except ValueError as error:
        raise ValueError(f"{column} {error}") from None


def _is_of(row: Row, tenant: str) -> bool:
    try:
        return text_of(row["tenant"]) == tenant
    except ValueError:
        return False


def _id_of(tenant: str, provider: str, row: Row) -> str:
    """The row's own id, if it is fit for one, else one that is made."""
    if is_empty(row.get("key_id")):
        return made_id(tenant, provider)
    try:
        own = text_of(row["key_id"])
    except ValueError:
        return made_id(tenant, provider, "?")
    is_fit = _KEY_ID.fullmatch(own) and not own.startswith(PREFIX)
    return own if is_fit else made_id(tenant, provider, own)


def _named(tenant: str, row: Row) -> str:
    """A row that gives no key."""
    try:
        own = "" if is_empty(row.get("key_id")) else text_of(row["key_id"])
    except ValueError:
        own = ""
    return own if _KEY_ID.fullmatch(own) else f"a row of tenant {tenant!r}"


def _unique(keys: Sequence[TheirKey]) -> tuple[tuple[TheirKey, ...], list[tuple[str, str]]]:
    """Of several rows for one key none can be used; of one secret in two keys the first stays."""
    counts = Counter(key.key_id for key in keys)
    unique: dict[str, TheirKey] = {}
    faults: list[tuple[str, str]] = []
    holders: dict[tuple[str, Secret], str] = {}
    for key in sorted(keys, key=_place):
        if counts[key.key_id] > 1:
            if key.key_id not in unique:
                many = f"stands in {counts[key.key_id]} rows: map key_id to a column that differs"
                faults.append((key.key_id, many))
            unique[key.key_id] = TheirKey(key.key_id, key.provider)
            continue
        if key.secret is not None:
            holder = holders.setdefault((key.provider, key.secret), key.key_id)
            if holder != key.key_id:
                faults.append((key.key_id, f"has the same secret as {holder}, which stays"))
                continue
        unique[key.key_id] = key
    return tuple(unique.values()), faults


def _place(key: TheirKey) -> tuple[str, str]:
    return key.provider, key.key_id

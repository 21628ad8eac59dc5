"""The keys a provider has issued, and what it thinks of each."""

import math
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from simulator.case import Allowance

WHOLE_KEY: Final = ""
"""The model name under which a limit on the whole key is kept."""


class UnknownKeyError(LookupError):
    """A command named a key that was never added; the message does not repeat the name."""

    def __init__(self) -> None:
        super().__init__("no key has this secret or label; add it first")


class DuplicateKeyError(ValueError):
    """A key was added whose secret or label another key already has."""


@dataclass(slots=True)
class Meter:
    """Admits `requests` per window of `per_s` seconds; windows start with their first request.

    A meter that is `once` stops limiting when its window is over.
    """

    requests: int
    per_s: float
    daily: bool = False
    once: bool = False
    started: float = -math.inf
    used: int = 0

    def admits(self, now: float) -> bool:
        """Whether there is room for one more request."""
        return self._is_over(now) if self.used >= self.requests else True

    def count(self, now: float) -> None:
        """Count an admitted request in."""
        if self._is_over(now):
            if self.once:
                return
            self.started, self.used = now, 0
        self.used += 1

    def left_s(self, now: float) -> float:
        """Seconds until the window ends."""
        return max(0.0, self.started + self.per_s - now)

    def _is_over(self, now: float) -> bool:
        return now - self.started >= self.per_s

    def allowance(self, now: float) -> Allowance:
        """What is left of the window; a limit that admits nothing shows the usual limit."""
        limit = self.requests or Allowance().limit
        return Allowance(limit, max(0, self.requests - self.used), self.left_s(now))


@dataclass(slots=True)
class Key:
    """One issued key; `models` empty means all, `max_in_flight` None means no cap.

    `answers` counts the HTTP statuses it was answered with; answers without one are not in it.
    """

    dialect: str
    label: str
    secret: str = field(repr=False)
    account: str
    models: tuple[str, ...] = ()
    revoked: bool = False
    forbidden: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    meters: dict[str, Meter] = field(default_factory=dict)
    max_in_flight: int | None = None
    in_flight: int = 0
    calls: int = 0
    answers: Counter[int] = field(default_factory=Counter)

    @property
    def is_crowded(self) -> bool:
        """Whether more requests are in flight than the key may have."""
        return self.max_in_flight is not None and self.in_flight > self.max_in_flight

    def serves(self, model: str) -> bool:
        """Whether the key's owner may know that `model` exists."""
        return model not in self.unknown and (not self.models or model in self.models)

    def meters_over(self, model: str) -> list[Meter]:
        """The limits that a request for `model` counts against."""
        return [self.meters[name] for name in (WHOLE_KEY, model) if name in self.meters]


class Keyring:
    """Every key of every dialect, and the accounts whose money is gone."""

    def __init__(self) -> None:
        self._by_secret: dict[str, Key] = {}
        self._by_label: dict[str, Key] = {}
        self._broke: set[tuple[str, str]] = set()

    def add(
        self, dialect: str, secret: str, label: str, account: str, models: tuple[str, ...]
    ) -> Key:
        """Issue a key; raises DuplicateKeyError."""
        label = label or self._free_label(dialect)
        if secret in self._by_secret or label in self._by_label:
            message = f"{label}: another key has the same secret or label"
            raise DuplicateKeyError(message)
        key = Key(dialect, label, secret, account or label, models)
        self._by_secret[secret] = self._by_label[label] = key
        return key

    def find(self, name: str) -> Key:
        """The key with this secret or label; raises UnknownKeyError."""
        key = self._by_secret.get(name) or self._by_label.get(name)
        if key is None:
            raise UnknownKeyError
        return key

    def presented(self, dialect: str, secret: str) -> Key | None:
        """The key that `dialect` issued with this secret; another provider's key is unknown."""
        key = self._by_secret.get(secret)
        return key if key is not None and key.dialect == dialect else None

    def label_of(self, secret: str) -> str:
        """A name for a secret that is safe to record, also for one that was never issued."""
        if not secret:
            return "none"
        key = self._by_secret.get(secret)
        return key.label if key else f"unissued-{sha256(secret.encode()).hexdigest()[:8]}"

    def all(self) -> list[Key]:
        """Every key in the order of issue."""
        return list(self._by_label.values())

    def empty(self, key: Key) -> None:
        """Take the money of the key's account, which all keys of the account share."""
        self._broke.add((key.dialect, key.account))

    def refill(self, key: Key) -> None:
        """Give the key's account money again."""
        self._broke.discard((key.dialect, key.account))

    def is_broke(self, key: Key) -> bool:
        """Whether the key's account has no money left."""
        return (key.dialect, key.account) in self._broke

    def _free_label(self, dialect: str) -> str:
        number = sum(key.dialect == dialect for key in self.all()) + 1
        while f"{dialect}-{number}" in self._by_label:
            number += 1
        return f"{dialect}-{number}"

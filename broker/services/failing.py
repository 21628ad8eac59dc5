"""Whether anything of a provider can be used right now, and why not."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from broker.core.circuit import Circuit
from broker.core.incident import IN_USE_S
from broker.core.key import Key
from broker.core.scope import (
    Scope,
    Upstream,
    account_model_scope,
    account_scope,
    key_model_scope,
    key_scope,
    upstream_scope,
)
from broker.core.words import Family, Kind, State
from broker.services.health import HealthBook
from broker.services.keyring import Keyring
from broker.services.marks import Marks
from broker.services.model_names import is_glob
from broker.services.usage import Usage


class Cause(StrEnum):
    """What keeps a key from being used, the one that needs a person first."""

    DISABLED = "disabled"
    CREDENTIAL = "credential"
    QUOTA = "quota"
    ACCESS = "access"
    PROVIDER = "provider"
    NETWORK = "network"
    LIMIT = "limit"


_CAUSES: Mapping[Family, Cause] = {
    Family.CREDENTIAL: Cause.CREDENTIAL,
    Family.QUOTA: Cause.QUOTA,
    Family.ACCESS: Cause.ACCESS,
    Family.HEALTH: Cause.PROVIDER,
    Family.LIMIT: Cause.LIMIT,
}
_RANKS = {cause: rank for rank, cause in enumerate(Cause)}
_KEEPS_AWAY = frozenset({State.OPEN, State.HALF_OPEN})


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why no key of a provider can be used: how many keys for which cause."""

    keys_by_cause: Mapping[Cause, int]

    @property
    def cause(self) -> Cause:
        """The root cause: that of most keys; of equals, the one that needs a person."""
        return min(
            self.keys_by_cause, key=lambda cause: (-self.keys_by_cause[cause], _RANKS[cause])
        )

    @property
    def in_words(self) -> str:
        """How many keys for which cause: `2 credential, 1 quota`."""
        parts = sorted(self.keys_by_cause.items(), key=lambda item: -item[1])
        return ", ".join(f"{count} {cause}" for cause, count in parts)


@dataclass(frozen=True, slots=True)
class Failing:
    """Looks at all system keys of a provider, for the models that are in use.

    A circuit that is half-open keeps away as an open one does: a key fails until it serves again,
    not until it may be tried.
    """

    keyring: Keyring
    health: HealthBook
    marks: Marks
    usage: Usage

    def diagnose(self, provider: str, now: float, *, is_under_way: bool) -> Diagnosis | None:
        """Why all keys fail; None when one serves, or when there is none.

        What `is_under_way` is not over only because nobody calls any more.
        """
        used = self._known_models_in_use(provider, now)
        if is_under_way and not used:
            used = self._models_kept_away(provider, now)
        causes: Counter[Cause] = Counter()
        for key in self.keyring.keys(provider):
            cause = self._cause(key, used, now)
            if cause is None:
                return None
            causes[cause] += 1
        return Diagnosis(causes) if causes else None

    def _known_models_in_use(self, provider: str, now: float) -> set[str]:
        """What callers made up tells nothing about a provider."""
        if self.health.is_calm(provider):
            return set()
        used = self.usage.models_in_use(provider, now - IN_USE_S)
        return {model for model in used if self.health.is_known_model(provider, model)}

    def _models_kept_away(self, provider: str, now: float) -> set[str]:
        return {
            record.scope.model
            for record in self.health.circuits(provider)
            if record.standing(now).state in _KEEPS_AWAY
            and self.health.is_known_model(provider, record.scope.model)
        }

    def _cause(self, key: Key, used: set[str], now: float) -> Cause | None:
        """Why a key cannot be used: as a whole, or for each model that it is wanted for."""
        if self.marks.disabled_key(key.key_id) or self.marks.disabled_upstream(key.provider, ""):
            return Cause.DISABLED
        whole = self._kept_away(key, _whole(key), now)
        if whole is not None:
            return whole
        models = [model for model in used if key.provider_model(model) is not None]
        if not models and not any(is_glob(model) for model in key.models):
            models = list(key.models)
        causes = {self._cause_on(key, model, now) for model in models}
        found = {cause for cause in causes if cause is not None}
        return min(found, key=_RANKS.__getitem__) if found and None not in causes else None

    def _cause_on(self, key: Key, model: str, now: float) -> Cause | None:
        if self.marks.disabled_upstream(key.provider, model):
            return Cause.DISABLED
        return self._kept_away(key, _on_model(key, model), now)

    def _kept_away(self, key: Key, scopes: Iterable[Scope], now: float) -> Cause | None:
        """The gravest cause among the circuits of these scopes."""
        causes = [
            _cause_of(record)
            for view in self.health.of(key.provider).views
            for scope in scopes
            for record in view.families(scope).values()
            if not record.is_spent(now) and record.standing(now).state in _KEEPS_AWAY
        ]
        return min(causes, key=_RANKS.__getitem__, default=None)


def _cause_of(record: Circuit) -> Cause:
    if record.family is Family.HEALTH and record.kind is Kind.UNREACHABLE:
        return Cause.NETWORK
    return _CAUSES[record.family]


def _whole(key: Key) -> tuple[Scope, ...]:
    own = key_scope(key.provider, key.key_id, key.revision)
    if not key.account:
        return (own,)
    return own, account_scope(key.provider, key.owner, key.account)


def _on_model(key: Key, model: str) -> tuple[Scope, ...]:
    scopes = (
        key_model_scope(key.provider, key.key_id, key.revision, model),
        upstream_scope(Upstream(key.provider, key.base_url, model)),
    )
    if not key.account:
        return scopes
    return (*scopes, account_model_scope(key.provider, key.owner, key.account, model))

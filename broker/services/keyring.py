"""The keys there are, and the pools they form; what operators marked is kept beside."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from broker.core.fold import Change
from broker.core.key import Key
from broker.core.load import KeyLoad
from broker.core.pool import Candidate, Pool
from broker.core.provider import Provider
from broker.core.replica import Logged
from broker.core.scope import Scope, Upstream
from broker.core.words import ScopeKind
from broker.ports.key_source import SourceFault, SourceSnapshot
from broker.services.errors import KeyUnknownError, ProviderUnknownError

MAX_POOLS = 1024
MAX_CANDIDATES = 200_000
"""Pools kept, and candidates over all of them: model names come from callers, and a forgotten pool
is built again when it is asked for."""

MAX_GLIMPSED = 8
"""Keys of a large provider that are looked at where no pool has been built."""

MAX_WORKED_MODELS = 10_000
MAX_LISTED_MODELS = 2_000
"""Models remembered per provider: what callers use and providers list is theirs to invent."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a new reading of a source changed."""

    added: tuple[Key, ...]
    changed: tuple[tuple[Key, Key], ...]
    removed: tuple[Key, ...]
    faults: tuple[SourceFault, ...]


class Keyring:
    """All system keys by id, and an index of candidates for every upstream that was asked for."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self.providers = providers
        self._keys: dict[str, Key] = {}
        self._source_of: dict[str, str] = {}
        self._loads: dict[str, KeyLoad] = {}
        self._pools: OrderedDict[tuple[str, str], Pool] = OrderedDict()
        self._candidate_count = 0
        self._worked: dict[str, dict[str, None]] = {name: {} for name in providers}
        self._listed: dict[str, frozenset[str]] = {}
        self._by_provider: dict[str, list[Key]] = {}
        self._named: dict[str, frozenset[str]] = {}
        self._offered: dict[str, tuple[str, ...]] = {}

    def provider(self, name: str) -> Provider:
        """A provider by name; raises ProviderUnknownError."""
        provider = self.providers.get(name)
        if provider is None:
            raise ProviderUnknownError(name, self.providers)
        return provider

    def key(self, key_id: str) -> Key:
        """A key by id; raises KeyUnknownError."""
        key = self._keys.get(key_id)
        if key is None:
            raise KeyUnknownError(key_id)
        return key

    def find(self, key_id: str) -> Key | None:
        """A key by id, or None when it is gone."""
        return self._keys.get(key_id)

    def holds(self, key_id: str, revision: str) -> bool:
        """Is this revision of the key still the one that is leased?"""
        key = self._keys.get(key_id)
        return key is not None and key.revision == revision

    def source_of(self, key_id: str) -> str:
        """The name of the source a key came from."""
        return self._source_of[key_id]

    def keys(self, provider: str = "") -> list[Key]:
        """All keys, or one provider's, by id."""
        keys = self._by_provider.get(provider, []) if provider else self._keys.values()
        return sorted(keys, key=lambda key: key.key_id)

    def pool(self, provider: str, model: str) -> Pool:
        """The pool of system keys for a model; candidates that do not allow the model are out."""
        name = (provider, model)
        pool = self._pools.get(name)
        if pool is not None:
            self._pools.move_to_end(name)
            return pool
        pool = self._pools[name] = Pool(
            self._candidates(self._by_provider.get(provider, []), provider, model)
        )
        self._candidate_count += len(pool) + 1
        while len(self._pools) > MAX_POOLS or (
            self._candidate_count > MAX_CANDIDATES and len(self._pools) > 1
        ):
            _, forgotten = self._pools.popitem(last=False)
            self._candidate_count -= len(forgotten) + 1
        return pool

    def glimpse(self, provider: str, model: str) -> Pool:
        """The pool where it is there or small, else one of a few keys, built for one look."""
        keys = self._by_provider.get(provider, [])
        if (provider, model) in self._pools or len(keys) <= MAX_GLIMPSED:
            return self.pool(provider, model)
        return Pool(self._candidates(keys[:MAX_GLIMPSED], provider, model))

    def load(self, key_id: str) -> KeyLoad:
        """How busy a key is, over all its models."""
        return self._loads.setdefault(key_id, KeyLoad())

    def replace(self, source: str, snapshot: SourceSnapshot) -> Refreshed:
        """Take a new reading of a source; pools are rebuilt when it changed anything."""
        new = {
            key.key_id: key
            for key in snapshot.keys
            if self._source_of.get(key.key_id, source) == source
        }
        old = {key_id: self._keys[key_id] for key_id in self._of_source(source)}
        refreshed = Refreshed(
            added=tuple(new[key_id] for key_id in new.keys() - old.keys()),
            changed=tuple(
                (old[key_id], new[key_id])
                for key_id in new.keys() & old.keys()
                if new[key_id] != old[key_id]
            ),
            removed=tuple(old[key_id] for key_id in old.keys() - new.keys()),
            faults=snapshot.faults,
        )
        for key in refreshed.removed:
            del self._keys[key.key_id], self._source_of[key.key_id]
            self._loads.pop(key.key_id, None)
        self._keys.update(new)
        self._source_of.update(dict.fromkeys(new, source))
        if refreshed.added or refreshed.changed or refreshed.removed:
            self._by_provider = {}
            for key in self._keys.values():
                self._by_provider.setdefault(key.provider, []).append(key)
            self._named.clear()
            self._offered.clear()
            self._pools.clear()
            self._candidate_count = 0
        return refreshed

    def note_worked(self, provider: str, model: str) -> None:
        """Remember that a model gave a success: it exists."""
        worked = self._worked[provider]
        if model not in worked and len(worked) < MAX_WORKED_MODELS:
            worked[model] = None
            self._offered.pop(provider, None)

    def note_listed(self, provider: str, models: Iterable[str]) -> None:
        """Remember the models that an authenticated probe listed."""
        listed = self._listed.get(provider, frozenset()) | frozenset(models)
        self._listed[provider] = frozenset(sorted(listed)[:MAX_LISTED_MODELS])
        self._offered.pop(provider, None)

    def is_known_model(self, provider: str, model: str) -> bool:
        """Is the model configured, or did it ever work: else a caller may have made it up."""
        return model in self._worked[provider] or model in self.named_models(provider)

    def named_models(self, provider: str) -> frozenset[str]:
        """Models configured by name, on the provider or on a key."""
        named = self._named.get(provider)
        if named is None:
            on_keys = (key.models for key in self._by_provider.get(provider, []))
            names = {name for models in on_keys for name in models if not _is_glob(name)}
            named = frozenset(names | set(self.providers[provider].models))
            self._named[provider] = named
        return named

    def listed_models(self, provider: str) -> frozenset[str]:
        """Models configured by name, or listed by a probe that authenticated."""
        return self.named_models(provider) | self._listed.get(provider, frozenset())

    def offered_models(self, provider: str) -> tuple[str, ...]:
        """Models to offer as alternatives: configured, listed by a probe, or known to work."""
        offered = self._offered.get(provider)
        if offered is None:
            names = self.listed_models(provider) | self._worked[provider].keys()
            offered = self._offered[provider] = tuple(sorted(names))
        return offered

    def on_view(self, _provider: str, changes: list[Change], _now: float) -> None:
        """Circuits changed: their candidates may admit now."""
        for change in changes:
            self.touch(change.scope)

    def on_confirmed(self, logged: Logged, changes: list[Change], *, own: bool) -> None:
        """Nothing: choosing reads the view."""

    def touch(self, scope: Scope) -> None:
        """Something about a scope changed: look anew at the candidates it is over."""
        if scope.model:  # callers invent models by the thousand: look at no pool in vain
            named = self._pools.get((scope.provider, scope.model))
            if named is not None:
                _unpark(named, scope)
            return
        for (provider, _model), pool in self._pools.items():
            if provider == scope.provider:
                _unpark(pool, scope)

    def _of_source(self, source: str) -> Iterator[str]:
        return (key_id for key_id, name in self._source_of.items() if name == source)

    def _candidates(self, keys: Iterable[Key], provider: str, model: str) -> Iterator[Candidate]:
        for key in keys:
            provider_model = key.provider_model(model)
            if provider_model is not None:
                upstream = Upstream(provider, key.base_url, model)
                yield Candidate(key, upstream, provider_model, self.load(key.key_id))


def _unpark(pool: Pool, scope: Scope) -> None:
    if not scope.key_id:
        if scope.kind not in {ScopeKind.UPSTREAM, ScopeKind.UPSTREAM_PRINCIPAL}:
            pool.unpark_all()
        return
    candidate = pool.find(scope.key_id)
    if candidate is not None:
        pool.unpark(candidate)


def _is_glob(name: str) -> bool:
    return any(sign in name for sign in "*?[")

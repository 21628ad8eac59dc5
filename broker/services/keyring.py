"""The keys there are, and the pools they form; what operators marked is kept beside.

System keys are here as long as their source gives them; a tenant's while the tenant is in use.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping

from broker.core.fold import Change
from broker.core.key import Key
from broker.core.load import KeyLoad
from broker.core.pool import Candidate, Pool
from broker.core.provider import Provider
from broker.core.replica import Logged
from broker.core.revisions import HeldKey, IsRejected, Revision
from broker.core.scope import Scope, Upstream
from broker.ports.key_source import SourceSnapshot
from broker.services.errors import KeyUnknownError, ProviderUnknownError
from broker.services.model_names import ModelNames, is_glob
from broker.services.pools import Pools
from broker.services.readings import Refreshed, believed, compared

MAX_GLIMPSED = 8
"""Keys of a large provider that are looked at where no pool has been built."""


class Keyring:
    """Keys by id with their revisions, and an index of candidates for what was asked for."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self.providers = providers
        self.models = ModelNames(providers)
        self._held: dict[str, HeldKey] = {}
        self._source_of: dict[str, str] = {}
        self._several: set[str] = set()
        self._unproven: set[tuple[str, str]] = set()
        self._loads: dict[str, KeyLoad] = {}
        self._pools = Pools()
        self._by_place: dict[tuple[str, str], dict[str, Key]] = {}
        self._used = {name for name, provider in providers.items() if provider.is_named}
        self._unreadable: dict[str, Mapping[str, Collection[str]]] = {}
        self._stale: frozenset[str] = frozenset()

    def provider(self, name: str) -> Provider:
        """A provider by name; raises ProviderUnknownError."""
        provider = self.providers.get(name)
        if provider is None:
            raise ProviderUnknownError(name, self.providers)
        return provider

    def key(self, key_id: str) -> Key:
        """The revision in use of a key; raises KeyUnknownError."""
        held = self._held.get(key_id)
        if held is None:
            raise KeyUnknownError(key_id)
        return held.key

    def find(self, key_id: str) -> Key | None:
        """The revision in use of a key, or None when it is not here."""
        held = self._held.get(key_id)
        return held.key if held else None

    def held(self, key_id: str) -> HeldKey | None:
        """A key with all its revisions, or None when it is not here."""
        return self._held.get(key_id)

    def revision(self, key_id: str, revision: str) -> Key | None:
        """A revision of a key, in use or not."""
        held = self._held.get(key_id)
        found = held.find(revision) if held else None
        return found.key if found else None

    def holds(self, key_id: str, revision: str) -> bool:
        """Is this revision of the key known here: may a lease on it live on?"""
        return self.revision(key_id, revision) is not None

    def leased(self, key_id: str) -> list[str]:
        """The revisions of a key that leases may be out on: the one in use and older ones."""
        held = self._held.get(key_id)
        if held is None:
            return []
        return [
            revision.name
            for revision in held.revisions
            if revision.is_draining or revision.is_previous or revision.name == held.in_use
        ]

    def leases(self, key: Key) -> bool:
        """Is this the very revision, and are these the settings, that leases are granted on?"""
        held = self._held.get(key.key_id)
        return held is not None and held.key == key and key.key_id not in self._stale

    def source_of(self, key_id: str) -> str:
        """The name of the source that a key came from; "" for tenants' keys."""
        return self._source_of.get(key_id, "")

    def keys(self, provider: str = "", owner: str = "") -> list[Key]:
        """An owner's keys ("": system keys) of one provider, or of all, by id."""
        names = [provider] if provider else self.providers
        found = (key for name in names for key in self._by_place.get((owner, name), {}).values())
        return sorted(found, key=lambda key: key.key_id)

    def every(self, provider: str) -> Iterator[Key]:
        """Every key of a provider that is here, whoever owns it."""
        return (held.key for held in self._held.values() if held.key.provider == provider)

    @property
    def used_providers(self) -> list[str]:
        """The providers to tell of: an operator named them, or they had a key since the start."""
        return sorted(self._used)

    def has_keys(self, provider: str, owner: str = "") -> bool:
        """Has an owner any key of the provider?"""
        return bool(self._by_place.get((owner, provider)))

    def unreadable(self, provider: str, owner: str) -> Collection[str]:
        """The owner's keys that cannot be opened, by id."""
        if owner not in self._unreadable:
            return ()
        return self._unreadable[owner].get(provider, ())

    def note_unreadable(self, owner: str, key_ids: Mapping[str, Collection[str]]) -> None:
        """Take the owner's keys that cannot be opened, by provider."""
        self._unreadable.pop(owner, None)
        if key_ids:
            self._unreadable[owner] = key_ids

    def incoming(self) -> list[HeldKey]:
        """The keys that hold more than the revision in use."""
        return [self._held[key_id] for key_id in sorted(self._several)]

    def is_unproven(self, key_id: str, revision: str) -> bool:
        """Is this a revision of which nobody knows that the provider ever accepted it?"""
        return (key_id, revision) in self._unproven

    def pool(self, provider: str, model: str, owner: str = "") -> Pool:
        """An owner's pool for a model; keys that do not allow the model are not in it."""
        keys = self._by_place.get((owner, provider), {})
        return self._pools.build(
            owner, provider, model, lambda: self._candidates(keys.values(), provider, model)
        )

    def glimpse(self, provider: str, model: str, owner: str = "") -> Pool:
        """The pool where it is there or small, else one of a few keys, built for one look."""
        keys = self._by_place.get((owner, provider), {})
        if len(keys) <= MAX_GLIMPSED or self._pools.find(owner, provider, model) is not None:
            return self.pool(provider, model, owner)
        few = sorted(keys.values(), key=lambda key: key.key_id)[:MAX_GLIMPSED]
        return Pool(self._candidates(few, provider, model))

    def load(self, key_id: str) -> KeyLoad:
        """How busy a key is, over all its models."""
        return self._loads.setdefault(key_id, KeyLoad())

    def replace(self, source: str, snapshot: SourceSnapshot) -> Refreshed:
        """Take a new reading of a source; a new secret of a known key waits to be proved."""
        given: dict[str, HeldKey] = {}
        others: dict[str, tuple[str, Key]] = {}
        for key_id, name in self._source_of.items():
            if name == source:
                given[key_id] = self._held[key_id]
            else:
                others[key_id] = name, self._held[key_id].newest
        before = [held.newest for held in given.values()]
        reading = believed(source, snapshot, before, others)
        refreshed = compared(given, reading)
        for held in refreshed.gone:
            del self._source_of[held.key.key_id]
            self._let_go(held.key.key_id)
        for key in refreshed.added:
            self._put(HeldKey.loaded([Revision(key)]))
            self._source_of[key.key_id] = source
        for _, key in refreshed.changed:
            self._put(given[key.key_id].declaring(key))
        for key_id, older in reading.previous.items():  # also where the source tells of it late
            held = self._held[key_id]
            if len(held.revisions) == 1 and not held.revisions[0].is_proven:
                self._put(held.beside(Revision(older, is_previous=True)))
        for provider in {key.provider for key in (*before, *refreshed.added)}:
            self.models.configure(provider, self.keys(provider))
        return refreshed

    def withhold(self, key_ids: frozenset[str]) -> None:
        """Lease these system keys no more, since they are stale, and all others again."""
        for key_id in key_ids ^ self._stale:
            key = self.find(key_id)
            if key is not None:
                self._pools.forget(key.owner, key.provider)
        self._stale = key_ids

    def is_stale(self, key_id: str) -> bool:
        """Is this a system key that its source has not confirmed for too long?"""
        return key_id in self._stale

    def stale_source(self, provider: str, model: str) -> str:
        """The source of a stale system key that would serve a model of the provider; "": none."""
        for key_id in sorted(self._stale):
            key = self.find(key_id)
            if key is not None and key.provider == provider and key.provider_model(model):
                return self.source_of(key_id)
        return ""

    def take(self, held: HeldKey) -> None:
        """Hold a key as it is given: a tenant's that was loaded or changed, or a revision more."""
        self._put(held)

    def let_go(self, key_id: str) -> None:
        """Hold a tenant's key no more: it was deleted, or the tenant is not in use."""
        self._let_go(key_id)

    def note_probed(self, key: Key, *, authenticated_at: float | None) -> None:
        """A probe of a revision, or a call with it, ended; it was accepted, or (None) not."""
        held = self._held.get(key.key_id)
        if held is not None and held.find(key.revision) is not None:
            self._put(held.noting(key.revision, authenticated_at=authenticated_at))

    def choose(self, key_id: str, is_rejected: IsRejected, now: float) -> Key | None:
        """Lease the right revision of a key from now on; it, if that is another than before."""
        held = self._held.get(key_id)
        if held is None:
            return None
        is_probeable = self.providers[held.key.provider].is_probeable
        chosen = held.choosing(is_rejected, now, is_probeable=is_probeable)
        if chosen != held:
            self._put(chosen)
        return chosen.key if chosen.in_use != held.in_use else None

    def drop(self, key: Key) -> None:
        """Know a revision no more; the one in use stays."""
        held = self._held.get(key.key_id)
        if held is not None:
            self._put(held.without(key.revision))

    def on_view(self, _provider: str, changes: list[Change], _now: float) -> None:
        """Circuits changed: their candidates may admit now."""
        for change in changes:
            self.touch(change.scope)

    def on_confirmed(self, logged: Logged, changes: list[Change], *, own: bool) -> None:
        """Nothing: choosing reads the view."""

    def touch(self, scope: Scope) -> None:
        """Something about a scope changed: look anew at the candidates it is over."""
        held = self._held.get(scope.key_id) if scope.key_id else None
        self._pools.touch(scope, held.key.owner if held else scope.owner)

    def _put(self, held: HeldKey) -> None:
        """Hold a key, and build the pools it is in anew if what is leased of it changed."""
        key, before = held.key, self._held.get(held.key.key_id)
        self._index(before, held)
        self._held[key.key_id] = held
        if before is not None and before.key == key:
            return
        if before is not None and _place(before.key) != _place(key):
            self._displace(before.key)
        self._by_place.setdefault((key.owner, key.provider), {})[key.key_id] = key
        self._used.add(key.provider)
        self._pools.forget(key.owner, key.provider)
        if key.owner:
            for model in key.models:
                if not is_glob(model):
                    self.models.note_worked(key.provider, model, key.owner)

    def _let_go(self, key_id: str) -> None:
        held = self._held.pop(key_id, None)
        if held is not None:
            self._index(held, None)
            self._loads.pop(key_id, None)
            self._displace(held.key)

    def _index(self, before: HeldKey | None, after: HeldKey | None) -> None:
        """Keep at hand what is asked for at each report and each second."""
        for revision in before.revisions if before else ():
            self._unproven.discard((revision.key.key_id, revision.name))
        for revision in after.revisions if after else ():
            if not revision.is_proven:
                self._unproven.add((revision.key.key_id, revision.name))
        held = after or before
        if held is not None:
            has_several = after is not None and len(after.revisions) > 1
            (self._several.add if has_several else self._several.discard)(held.key.key_id)

    def _displace(self, key: Key) -> None:
        place = (key.owner, key.provider)
        keys = self._by_place.get(place, {})
        keys.pop(key.key_id, None)
        if not keys:
            self._by_place.pop(place, None)
        self._pools.forget(*place)

    def _candidates(self, keys: Iterable[Key], provider: str, model: str) -> Iterator[Candidate]:
        for key in keys:
            provider_model = key.provider_model(model)
            if provider_model is not None and key.key_id not in self._stale:
                upstream = Upstream(provider, key.base_url, model)
                yield Candidate(key, upstream, provider_model, self.load(key.key_id))


def _place(key: Key) -> tuple[str, str]:
    return key.owner, key.provider

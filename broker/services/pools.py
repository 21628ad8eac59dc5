"""The pools that were asked for: an index of candidates for every (owner, upstream)."""

from collections import OrderedDict
from collections.abc import Callable, Iterable

from broker.core.pool import Candidate, Pool
from broker.core.scope import Scope
from broker.core.words import ScopeKind

MAX_POOLS = 1024
MAX_CANDIDATES = 200_000
"""Pools kept, and candidates over all of them: model names come from callers, and a forgotten pool
is built again when it is asked for."""

_OF_UPSTREAMS = frozenset({ScopeKind.UPSTREAM, ScopeKind.UPSTREAM_PRINCIPAL})


class Pools:
    """Pools by owner ("" for system keys), provider and model; the least asked for go first."""

    def __init__(self) -> None:
        self._pools: OrderedDict[tuple[str, str, str], Pool] = OrderedDict()
        self._models: dict[tuple[str, str], set[str]] = {}
        self._candidate_count = 0

    def find(self, owner: str, provider: str, model: str) -> Pool | None:
        """The pool, if it was built."""
        name = (owner, provider, model)
        pool = self._pools.get(name)
        if pool is not None:
            self._pools.move_to_end(name)
        return pool

    def build(
        self, owner: str, provider: str, model: str, candidates: Callable[[], Iterable[Candidate]]
    ) -> Pool:
        """The pool, built of `candidates` where it is not there."""
        pool = self.find(owner, provider, model)
        if pool is not None:
            return pool
        pool = self._pools[owner, provider, model] = Pool(candidates())
        self._models.setdefault((owner, provider), set()).add(model)
        self._candidate_count += len(pool) + 1
        while len(self._pools) > MAX_POOLS or (
            self._candidate_count > MAX_CANDIDATES and len(self._pools) > 1
        ):
            self._drop(next(iter(self._pools)))
        return pool

    def forget(self, owner: str, provider: str) -> None:
        """The owner's keys of the provider are others now: build anew what is asked for again."""
        for model in list(self._models.get((owner, provider), ())):
            self._drop((owner, provider, model))

    def touch(self, scope: Scope, owner: str) -> None:
        """Something about a scope of this owner's changed: look anew at what it is over.

        Upstreams are asked at each look, so that nothing is set aside on their account.
        """
        if scope.kind in _OF_UPSTREAMS:
            return
        if scope.model:  # callers invent models by the thousand: look at no pool in vain
            named = self._pools.get((owner, scope.provider, scope.model))
            if named is not None:
                _unpark(named, scope)
            return
        for model in self._models.get((owner, scope.provider), ()):
            _unpark(self._pools[owner, scope.provider, model], scope)

    def _drop(self, name: tuple[str, str, str]) -> None:
        owner, provider, model = name
        self._candidate_count -= len(self._pools.pop(name)) + 1
        models = self._models[owner, provider]
        models.discard(model)
        if not models:
            del self._models[owner, provider]


def _unpark(pool: Pool, scope: Scope) -> None:
    if not scope.key_id:
        pool.unpark_all()
        return
    candidate = pool.find(scope.key_id)
    if candidate is not None:
        pool.unpark(candidate)

"""Every store of tenants' keys against a model of a few lines, over random histories."""

import asyncio
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.key import KeySettings
from broker.ports.errors import DuplicateSecretError, KeyTakenError
from broker.ports.key_store import KeyStore, StoredKey
from tests.contract.adapters import KEY_STORES, MakeKeyStore
from tests.contract.stored_keys import POLICY, key, revision
from tests.fakes import START

PLACES = tuple((tenant, provider) for tenant in ("acme", "bravo") for provider in ("openai", "x"))

key_ids = st.sampled_from(["1", "2", "3"])
names = st.sampled_from(["aa", "bb", "cc"])
Step = tuple[str, str, str, tuple[str, str]]

steps = st.one_of(
    st.tuples(st.just("create"), key_ids, names, st.sampled_from(PLACES)),
    st.tuples(st.sampled_from(["add", "add", "drop", "note"]), key_ids, names, st.just(PLACES[0])),
    st.tuples(st.sampled_from(["update", "delete"]), key_ids, st.just(""), st.just(PLACES[0])),
)


@dataclass
class Model:
    """What is kept, with nothing clever about it: revisions by name, the newest first."""

    place: dict[str, tuple[str, str]] = field(default_factory=dict)
    revisions: dict[str, list[str]] = field(default_factory=dict)
    accepted: dict[str, set[str]] = field(default_factory=dict)
    priority: dict[str, int] = field(default_factory=dict)
    policies: set[tuple[str, str]] = field(default_factory=set)

    def owner(self, place: tuple[str, str], name: str) -> str | None:
        """The key of the pool that has a revision."""
        pool = (key_id for key_id, where in self.place.items() if where == place)
        return next((key_id for key_id in pool if name in self.revisions[key_id]), None)

    def do(self, verb: str, key_id: str, name: str, place: tuple[str, str], number: int) -> object:
        is_there = key_id in self.place
        if verb == "create":
            return "taken" if is_there else self.create(key_id, name, place)
        if verb in {"drop", "note"}:
            if is_there and name in self.revisions[key_id]:
                self.change(verb, key_id, name)
            return None
        if not is_there:
            return False
        if verb == "add":
            return self.add(key_id, name)
        if verb == "update":
            self.priority[key_id] = number
        else:
            del self.place[key_id], self.revisions[key_id], self.accepted[key_id]
        return True

    def create(self, key_id: str, name: str, place: tuple[str, str]) -> object:
        owner = self.owner(place, name)
        if owner is None:
            self.place[key_id] = place
            self.revisions[key_id] = [name]
            self.accepted[key_id] = set()
            self.priority[key_id] = 0
            self.policies.add(place)
        return owner

    def add(self, key_id: str, name: str) -> object:
        owner = self.owner(self.place[key_id], name)
        if owner not in {None, key_id}:
            return owner
        others = [other for other in self.revisions[key_id] if other != name]
        self.revisions[key_id] = [name, *others]
        return True

    def change(self, verb: str, key_id: str, name: str) -> None:
        if verb == "note":
            self.accepted[key_id].add(name)
        elif name != self.revisions[key_id][0]:
            self.revisions[key_id].remove(name)
            self.accepted[key_id].discard(name)

    def shown(self, key_id: str) -> object:
        if key_id not in self.place:
            return None
        revisions = [(n, n in self.accepted[key_id]) for n in self.revisions[key_id]]
        return self.place[key_id], self.priority[key_id], revisions


def shown(key: StoredKey | None) -> object:
    if key is None:
        return None
    revisions = [(kept.revision, kept.authenticated_at is not None) for kept in key.revisions]
    return (key.tenant, key.provider), key.settings.priority, revisions


async def do(
    store: KeyStore, verb: str, key_id: str, name: str, place: tuple[str, str], number: int
) -> object:
    tenant, provider = place
    try:
        match verb:
            case "create":
                made = key(key_id, name, tenant=tenant, provider=provider)
                await store.create(made, replace(POLICY, tenant=tenant, provider=provider))
                return None
            case "add":
                return await store.add_revision(key_id, revision(name))
            case "drop":
                await store.drop_revision(key_id, name)
                return None
            case "note":
                await store.note_authenticated(key_id, name, START)
                return None
            case "update":
                return await store.update(key_id, KeySettings(priority=number), START)
            case _:
                return await store.delete(key_id)
    except KeyTakenError:
        return "taken"
    except DuplicateSecretError as error:
        return error.key_id


async def play(make: MakeKeyStore, history: list[Step]) -> None:
    model = Model()
    async with make() as store:
        for number, step in enumerate(history):
            assert await do(store, *step, number) == model.do(*step, number), step
            for key_id in ("1", "2", "3"):
                assert shown(await store.key(key_id)) == model.shown(key_id), step
        page = await store.page(after=("", ""), limit=9)
        order = sorted(model.place, key=lambda key_id: (model.place[key_id][1], key_id))
        assert [key.key_id for key in page] == order
        for tenant in ("acme", "bravo"):
            record = await store.tenant(tenant)
            assert {(tenant, provider) for provider in record.policies} == {
                place for place in model.policies if place[0] == tenant
            }


@pytest.mark.parametrize("name", KEY_STORES)
@settings(max_examples=40, deadline=None)
@given(history=st.lists(steps, max_size=25))
def test_a_store_does_what_the_model_does(name: str, history: list[Step]) -> None:
    asyncio.run(play(KEY_STORES[name], history))

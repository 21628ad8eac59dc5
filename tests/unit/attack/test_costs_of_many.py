"""What thousands of tenants make happen at once must not hold up everybody else."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import pytest

from broker.adapters.toml import TomlKeySource
from broker.core.circuit import Circuit
from broker.core.revisions import HeldKey, Revision
from broker.core.words import Provenance
from broker.services.health import HealthBook
from tests.fakes import settle
from tests.unit.services.answers import BAD_KEY, FAULT
from tests.unit.services.house import GATEWAY, House, a_house
from tests.unit.services.status_given import a_key

MANY = 3000

PATIENCE_S = 5.0
"""What took half a minute and more takes a fraction of a second now, on any machine."""


async def crowded(with_endpoint: str = "") -> House:
    """A house with a system key and MANY tenants' keys in use, the first at its own endpoint."""
    house = await a_house(a_key("own"))
    grant = await house.lease()
    for number in range(MANY):
        name = f"t{number}"
        base_url = with_endpoint if number == 0 else ""
        key = replace(a_key(name), owner=name, provenance=Provenance.TENANT, base_url=base_url)
        house.core.keyring.take(HeldKey.loaded([Revision(key)]))
        claims = replace(grant.claims, key_id=name, tenant=name, revision=key.revision)
        house.core.usage.note(claims, house.clock.now())
    return house


async def test_an_upstream_that_failed_kept_the_loop_from_everything_else() -> None:
    """One tenant's own endpoint, and each watcher was told key by key, by a look at every use."""
    house = await crowded(with_endpoint="https://own.test")

    async def watch() -> None:
        async for _ in house.core.watching.watch(GATEWAY.name):
            pass

    watchers = [asyncio.create_task(watch()) for _ in range(3)]
    await settle()
    began = perf_counter()
    await house.calls(10, FAULT)
    assert perf_counter() - began < PATIENCE_S
    for watcher in watchers:
        watcher.cancel()
    await asyncio.gather(*watchers, return_exceptions=True)


async def test_each_key_of_a_large_incident_cost_more_than_all_before_it() -> None:
    house = await a_house(*(a_key(f"k{number}") for number in range(MANY // 2)))
    grants = {}
    for _ in range(MANY * 2):
        grant = await house.lease()
        grants[grant.claims.key_id] = grant
    began = perf_counter()
    for grant in grants.values():
        await house.report(grant, BAD_KEY)
    house.core.lookout.incidents.on_tick(house.clock.now())
    await settle()
    assert perf_counter() - began < PATIENCE_S
    incident = house.core.health.of("openai").replica.view.incident(Provenance.SYSTEM)
    assert incident is not None
    assert set(incident.key_ids) == grants.keys(), "those that came late joined all the same"
    assert len(await house.events("incident_joined")) < MANY / 10


async def test_each_rejection_had_every_circuit_looked_at_for_probes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = await a_house(*(a_key(f"k{number}") for number in range(20)))
    scans: list[float] = []
    circuits = type(house.core.health).circuits

    def counted(book: HealthBook, provider: str = "") -> Iterator[Circuit]:
        scans.append(house.clock.now())
        return circuits(book, provider)

    probing = asyncio.create_task(house.core.probing.run(1.0))
    await settle()
    monkeypatch.setattr(type(house.core.health), "circuits", counted)
    monkeypatch.setattr(type(house.core.lookout.incidents), "on_confirmed", _nothing)
    for _ in range(20):
        await house.call(BAD_KEY)
        await settle()
    assert scans == []
    assert len(house.prober.calls) == 20, "and yet each is probed at once"
    probing.cancel()
    await asyncio.gather(probing, return_exceptions=True)


async def test_a_file_of_keys_was_searched_through_for_each_of_them(tmp_path: Path) -> None:
    """Half a minute in a thread, and the loop had to wait for its turn all that while."""
    file = tmp_path / "keys.toml"
    tables = (
        f'[[openai]]\nname = "k{number}"\nsecret = "sk-{number}"\n' for number in range(12_000)
    )
    file.write_text("".join(tables))
    source = TomlKeySource(file, {}, ["openai"], b"fingerprint")
    began = perf_counter()
    assert len((await source.load()).keys) == 12_000
    assert perf_counter() - began < PATIENCE_S


def _nothing(*_args: object, **_flags: object) -> None:
    """An incident is judged by all circuits: that is another test's matter."""

"""What every source of keys promises."""

from collections.abc import Iterator

import pytest

from broker.core.key import Key
from broker.core.secret import Secret
from broker.core.words import Provenance
from broker.ports.errors import SourceUnavailableError
from tests.contract.adapters import KEY_SOURCES
from tests.contract.key_source_rigs import FINGERPRINT_SECRET, KeySourceRig

CANARY = "sk-canary-0123456789"


@pytest.fixture(params=KEY_SOURCES)
def rig(request: pytest.FixtureRequest) -> Iterator[KeySourceRig]:
    with KEY_SOURCES[request.param]() as rig:
        yield rig


async def keys_of(rig: KeySourceRig) -> dict[str, Key]:
    """The keys by their plaintexts."""
    return {key.secret.reveal(): key for key in (await rig.source.load()).keys}


async def test_a_source_has_a_name(rig: KeySourceRig) -> None:
    assert rig.source.name


async def test_an_empty_source_has_no_keys_and_no_faults(rig: KeySourceRig) -> None:
    snapshot = await rig.source.load()
    assert (snapshot.keys, snapshot.faults) == ((), ())


async def test_a_key_is_the_operator_s_and_its_revision_is_its_fingerprint(
    rig: KeySourceRig,
) -> None:
    rig.put("openai", "1", CANARY)
    (key,) = (await rig.source.load()).keys
    assert key.secret == Secret(CANARY)
    assert key.revision == key.secret.fingerprint(FINGERPRINT_SECRET)
    assert (key.provider, key.provenance, key.owner) == ("openai", Provenance.SYSTEM, "")


async def test_where_nothing_changed_the_same_is_read_again(rig: KeySourceRig) -> None:
    rig.put("openai", "1", CANARY)
    rig.spoil()
    assert await rig.source.load() == await rig.source.load()


async def test_every_reading_is_a_new_one(rig: KeySourceRig) -> None:
    rig.put("openai", "1", "first")
    assert set(await keys_of(rig)) == {"first"}
    rig.put("anthropic", "1", "second")
    assert set(await keys_of(rig)) == {"first", "second"}
    rig.remove("openai", "1")
    assert set(await keys_of(rig)) == {"second"}


async def test_key_ids_are_distinct_and_stay_when_others_come_and_go(rig: KeySourceRig) -> None:
    for name in ("1", "2", "3"):
        rig.put("openai", name, f"secret-{name}")
    rig.put("anthropic", "1", "secret-other")
    before = {text: key.key_id for text, key in (await keys_of(rig)).items()}
    assert len(set(before.values())) == 4
    rig.remove("openai", "1")
    after = {text: key.key_id for text, key in (await keys_of(rig)).items()}
    assert after.items() < before.items()


async def test_a_rotation_keeps_the_key_id_and_changes_the_revision(rig: KeySourceRig) -> None:
    rig.put("openai", "1", "old")
    old = (await keys_of(rig))["old"]
    rig.put("openai", "1", "new")
    new = (await keys_of(rig))["new"]
    assert new.key_id == old.key_id
    assert new.revision != old.revision


async def test_a_faulty_entry_is_reported_with_its_place_and_spoils_no_other(
    rig: KeySourceRig,
) -> None:
    rig.put("openai", "1", CANARY)
    rig.spoil()
    snapshot = await rig.source.load()
    assert [key.secret.reveal() for key in snapshot.keys] == [CANARY]
    assert all(fault.place and fault.message for fault in snapshot.faults)
    assert len(snapshot.faults) == 1


async def test_a_source_that_cannot_be_read_is_unavailable_until_it_can(rig: KeySourceRig) -> None:
    rig.put("openai", "1", CANARY)
    rig.cut_off()
    with pytest.raises(SourceUnavailableError):
        await rig.source.load()
    rig.restore()
    assert set(await keys_of(rig)) == {CANARY}


async def test_no_rendering_of_a_snapshot_holds_a_secret(rig: KeySourceRig) -> None:
    rig.put("openai", "1", CANARY)
    rig.spoil()
    assert CANARY not in repr(await rig.source.load())

"""The calls about sealing: what operators are told, and how what is lost is forgotten."""

from pathlib import Path
from typing import Any

import pytest

from broker.adapters.keyfiles import KeyFile, Purpose
from broker.adapters.seal import AesSealer, ClosedSealer, load_sealer
from broker.core.key import KeySettings
from broker.core.sealed import SealedSecret
from broker.edge.grpc.auth import enter
from broker.ports.agreements import Attendance
from broker.ports.errors import SealClosedError
from broker.ports.key_store import StoredRevision
from broker.ports.last_good import LastGood
from broker.services.errors import InvalidFieldError
from broker.services.principal import Principal, Role
from keybroker.v1 import admin_pb2 as pb
from keybroker.v1 import status_pb2
from tests.fakes import START, settle
from tests.unit.services.seal_given import NEW, NEW_ID, OLD, OLD_ID, walked
from tests.unit.services.status_given import Desk, a_desk, a_key

NO_CONTEXT: Any = None
LOST = SealedSecret(OLD_ID, b"wrapped", b"sealed")


@pytest.fixture(autouse=True)
def _operator() -> None:
    enter(Principal("ops", frozenset({Role.OPERATOR})))


async def seal_of(desk: Desk) -> pb.GetSealResponse:
    return await desk.servicers.admin.GetSeal(pb.GetSealRequest(), NO_CONTEXT)


async def streamed(desk: Desk, answers: Any) -> list[Any]:
    """All messages of a stream, while time passes."""
    return list(await walked(answers, desk.clock))


async def drop(desk: Desk, *key_ids: str) -> int:
    request = pb.DropSealedRequest(sealing_key_ids=key_ids)
    answer = await desk.servicers.admin.DropSealed(request, NO_CONTEXT)
    return answer.dropped_count


async def lose(desk: Desk, key_id: str) -> None:
    """A key's secret was sealed by another key all along."""
    stored = await desk.store.key(key_id)
    assert stored is not None
    sealed = {stored.revisions[0].revision: LOST}
    await desk.store.update(key_id, stored.settings, START, sealed)
    desk.core.tenants.doubt(stored.tenant)


async def kinds(desk: Desk) -> list[tuple[str, str]]:
    page, _ = await desk.core.world.history.page(before=None, limit=100)
    return [(event.kind, event.key_id) for event in reversed(page)]


async def test_the_seal_shows_every_key_with_its_rows_and_who_lacks_it() -> None:
    desk = await a_desk(sealer=AesSealer.of_keys(NEW))
    await desk.keep("k1")
    await desk.keep("k2")
    await lose(desk, "k2")
    there = Attendance("there", desk.clock.now(), frozenset({OLD_ID}))
    await desk.core.world.agreements.attend(there)
    seal = await seal_of(desk)
    assert (seal.current_key_id, seal.seal.state) == (NEW_ID, status_pb2.SEAL_STATE_OPEN)
    shown = {key.key_id: (key.at_hand, key.row_count, list(key.missing_at)) for key in seal.keys}
    assert shown == {NEW_ID: (True, 1, ["there"]), OLD_ID: (False, 1, [])}


async def test_the_seal_of_a_sealed_broker_says_why() -> None:
    desk = await a_desk(sealer=ClosedSealer("it is missing"))
    seal = await seal_of(desk)
    assert seal.seal.state == status_pb2.SEAL_STATE_SEALED
    assert (seal.seal.fault, seal.current_key_id) == ("it is missing", "")


async def test_verifying_names_what_does_not_open_and_changes_nothing() -> None:
    desk = await a_desk()
    for number in range(5):
        await desk.keep(f"k{number}")
    await lose(desk, "k3")
    before = await desk.store.key("k3")
    told = await streamed(desk, desk.servicers.admin.VerifySeal(pb.VerifySealRequest(), NO_CONTEXT))
    [row] = told[-1].unreadable
    assert (row.table, row.key_id, row.tenant_id, row.provider, row.sealed_by) == (
        *("key_revisions", "k3", "acme", "openai"),
        OLD_ID,
    )
    assert (told[-1].done, told[-1].done_count, told[-1].total_count) == (True, 5, 5)
    assert await desk.store.key("k3") == before


async def test_a_sealed_broker_verifies_nothing() -> None:
    desk = await a_desk(sealer=ClosedSealer("it is missing"))
    with pytest.raises(SealClosedError, match="it is missing"):
        await streamed(desk, desk.servicers.admin.VerifySeal(pb.VerifySealRequest(), NO_CONTEXT))


async def test_leases_go_on_while_everything_is_sealed_anew() -> None:
    desk = await a_desk(sealer=AesSealer.of_keys(OLD, NEW))
    for number in range(5):
        await desk.keep(f"k{number}", tenant=f"t{number}")
    request = pb.RotateSealRequest(key_id=NEW_ID)
    told = await streamed(desk, desk.servicers.admin.RotateSeal(request, NO_CONTEXT))
    assert (told[0].key_id, told[-1].done, told[-1].done_count) == (NEW_ID, True, 5)
    for number in range(5):
        assert await desk.leased_for(f"t{number}") == f"k{number}"
        desk.core.tenants.doubt(f"t{number}")
        assert await desk.leased_for(f"t{number}") == f"k{number}"


async def test_what_is_lost_is_forgotten_with_an_event_each_and_no_tenant_changes_sides() -> None:
    desk = await a_desk(a_key("s1"), sealer=AesSealer.of_keys(NEW))
    for name in ("k1", "k2"):
        await desk.keep(name, tenant=f"of-{name}")
    await desk.keep("k3", tenant="of-k3", settings=KeySettings(base_url="https://eu.example"))
    await lose(desk, "k1")
    await lose(desk, "k3")
    newer = StoredRevision("newer", LOST, START + 1)
    await desk.store.add_revision("k2", newer)
    await desk.core.world.last_good.put(LastGood("s1", "openai", "r", LOST, START))
    assert await desk.leased_for("of-k1") == "TENANT_KEY_UNUSABLE"
    assert await drop(desk, OLD_ID) == 4
    await settle()
    assert await desk.store.key("k1") is None
    assert await desk.leased_for("of-k1") == "NO_KEYS"
    assert await desk.leased_for("of-k2") == "k2"
    assert await desk.core.world.last_good.all() == ()
    dropped = sorted(key_id for kind, key_id in await kinds(desk) if kind == "sealed_dropped")
    assert dropped == ["k1", "k2", "k3", "s1"]


async def test_a_sealed_broker_goes_on_once_what_was_lost_is_forgotten(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "seal.key", Purpose.SEAL)
    desk = await a_desk(sealer=await load_sealer(file, frozenset({OLD_ID})))
    await desk.core.world.last_good.put(LastGood("s1", "openai", "r", LOST, START))
    await desk.core.seal.watch.begin()
    assert "is missing" in (await seal_of(desk)).seal.fault
    with pytest.raises(SealClosedError):
        await desk.keep("k1")
    assert await drop(desk, OLD_ID) == 1
    await desk.keep("k1")
    assert await desk.leased_for() == "k1"
    seal = await seal_of(desk)
    assert seal.seal.state == status_pb2.SEAL_STATE_OPEN
    assert await desk.core.world.agreements.get("sealing_key") == seal.current_key_id


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ((), f"exactly the keys that are lost: {OLD_ID}"),
        ((OLD_ID, "other"), f"exactly the keys that are lost: {OLD_ID}"),
        ((OLD_ID, NEW_ID), f"names {NEW_ID}, which is not lost"),
    ],
)
async def test_only_exactly_what_is_lost_is_forgotten(named: tuple[str, ...], said: str) -> None:
    desk = await a_desk(sealer=AesSealer.of_keys(NEW))
    await desk.keep("k1")
    await lose(desk, "k1")
    with pytest.raises(InvalidFieldError, match=said):
        await drop(desk, *named)
    assert await desk.store.key("k1") is not None


async def test_a_key_that_another_broker_has_is_not_lost() -> None:
    desk = await a_desk(sealer=AesSealer.of_keys(NEW))
    await desk.keep("k1")
    await lose(desk, "k1")
    there = Attendance("there", desk.clock.now(), frozenset({OLD_ID}))
    await desk.core.world.agreements.attend(there)
    with pytest.raises(InvalidFieldError, match="is not lost: there has it"):
        await drop(desk, OLD_ID)


async def test_where_nothing_is_lost_nothing_is_forgotten() -> None:
    desk = await a_desk(sealer=AesSealer.of_keys(NEW))
    await desk.keep("k1")
    with pytest.raises(InvalidFieldError, match="no sealing key is lost"):
        await drop(desk, OLD_ID)

"""ImportKeys and ExportKeys: what their messages may say, and what they answer."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from broker.core.denial import Target
from broker.edge.grpc import transfer_rpcs
from broker.edge.grpc.auth import enter
from broker.edge.grpc.errors import fault_of
from broker.services.errors import InvalidFieldError, ServiceError
from broker.services.principal import Principal, Role
from keybroker.v1 import admin_pb2 as pb
from keybroker.v1 import key_pb2
from tests.unit.edge.test_admin_keys import SECRET, SETTINGS
from tests.unit.services.status_given import Desk, a_desk

NO_CONTEXT: Any = None


@pytest.fixture
async def desk() -> Desk:
    enter(Principal("ops", frozenset({Role.OPERATOR})))
    return await a_desk()


def key(**given: Any) -> pb.ImportedKey:
    """A key that is fine but for what is given."""
    fine = {
        "tenant_id": "acme",
        "provider": "openai",
        "key_id": "t1",
        "secret": key_pb2.SecretValue(plaintext=SECRET),
    }
    return pb.ImportedKey(**{**fine, **given})


async def run(desk: Desk, *requests: pb.ImportKeysRequest) -> list[pb.ImportKeysResponse]:
    async def sent() -> AsyncIterator[pb.ImportKeysRequest]:
        for request in requests:
            yield request

    answers = desk.servicers.admin.ImportKeys(sent(), NO_CONTEXT)
    return [answer async for answer in answers]


async def faults(desk: Desk, *keys: pb.ImportedKey) -> list[str]:
    """What is wrong with keys, none of which is kept then."""
    told = await run(desk, pb.ImportKeysRequest(keys=keys))
    found = [fault for answer in told for fault in answer.faults]
    assert told[-1].done
    assert bool(found) == (told[-1].created_count == 0)
    assert not any(SECRET in fault.message for fault in found)
    return [f"{fault.line} {fault.message}" for fault in found]


async def export(desk: Desk, **given: str) -> list[pb.ExportKeysResponse]:
    request = pb.ExportKeysRequest(**given)
    return [answer async for answer in desk.servicers.admin.ExportKeys(request, NO_CONTEXT)]


async def test_an_imported_key_has_all_that_was_set(desk: Desk) -> None:
    [checked, again, done] = await run(
        desk, pb.ImportKeysRequest(keys=[key(settings=SETTINGS), key(key_id="", provider="groq")])
    )
    assert (checked.checked_count, checked.done, again.done) == (2, False, False)
    assert (done.done, done.created_count, done.untold_fault_count) == (True, 2, 0)
    request = pb.GetKeyRequest(key_id="t1")
    shown = (await desk.servicers.admin.GetKey(request, NO_CONTEXT)).key
    assert (shown.owner, shown.weight, shown.priority) == ("acme", 2.5, -1)
    assert shown.limits == SETTINGS.limits
    assert shown.expire_time == SETTINGS.expire_time
    assert SECRET not in str(shown)


SEALED = pb.SealedRevisions(
    revisions=[
        pb.SealedRevision(
            revision="aa",
            sealed_by="bb",
            wrapped_key=b"c",
            ciphertext=b"d",
            create_time=Timestamp(seconds=1),
        )
    ]
)


def sealed(**given: Any) -> pb.ImportedKey:
    """A sealed key that is fine for form but for what is given."""
    content = pb.SealedRevisions()
    content.CopyFrom(SEALED)
    for name, value in given.items():
        if value is None:
            content.revisions[0].ClearField("create_time")
        elif isinstance(value, Timestamp):
            getattr(content.revisions[0], name).CopyFrom(value)
        else:
            setattr(content.revisions[0], name, value)
    return pb.ImportedKey(tenant_id="acme", provider="openai", key_id="t1", sealed=content)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (key(tenant_id=""), "tenant_id: is required"),
        (key(provider=""), "provider: is required"),
        (key(key_id="a b"), "key_id: must be at most 64"),
        (key(key_id=SECRET * 9), "key_id: must be at most 64"),
        (key(secret=None), "secret: is required"),
        (key(secret=key_pb2.SecretValue(plaintext=f"{SECRET}\n")), "secret: must be printable"),
        (key(settings=key_pb2.KeySettings(weight=-1)), "settings.weight: must be"),
        (key(settings=key_pb2.KeySettings(base_url=SECRET)), "settings.base_url: must be"),
        (key(provider=SECRET), "provider: none of this name is configured"),
        (pb.ImportedKey(), "key_id: must be|tenant_id: is required"),
        (sealed(), "sealed: does not open"),
        (sealed(revision=""), "sealed.revision: is required"),
        (sealed(sealed_by=""), "sealed.sealed_by: is required"),
        (sealed(sealed_by="x" * 300), "sealed.sealed_by: 300 bytes"),
        (sealed(wrapped_key=b""), "sealed.wrapped_key: is required"),
        (sealed(ciphertext=b"x" * 16_385), "sealed.ciphertext: 16385 bytes"),
        (sealed(create_time=None), "sealed.create_time: is required"),
        (sealed(create_time=Timestamp(seconds=-5)), "sealed.create_time: is required"),
        (sealed(create_time=Timestamp(seconds=10**15)), "sealed.create_time: is required"),
        (sealed(create_time=Timestamp(seconds=1, nanos=-1)), "sealed.create_time: is required"),
        (sealed(authenticate_time=Timestamp(nanos=1)), "sealed.authenticate_time: is required"),
        (
            pb.ImportedKey(tenant_id="acme", provider="openai", sealed=SEALED),
            "key_id: is required",
        ),
        (
            pb.ImportedKey(key_id="t1", provider="openai", sealed=pb.SealedRevisions()),
            "sealed.revisions: is required",
        ),
        (
            pb.ImportedKey(
                key_id="t1", sealed=pb.SealedRevisions(revisions=[SEALED.revisions[0]] * 101)
            ),
            "sealed.revisions: 101 items, at most 100",
        ),
    ],
    ids=str,
)
async def test_what_is_wrong_with_a_key_is_a_fault_of_its_line(
    desk: Desk, wrong: pb.ImportedKey, told: str
) -> None:
    wrong.line = 7
    [fault] = await faults(desk, key(key_id="fine", line=3), wrong)
    line, _, message = fault.partition(" ")
    assert line == "7"
    assert any(message.startswith(one) for one in told.split("|"))
    assert (await desk.store.inner.key("fine")) is None


async def test_keys_without_lines_have_that_of_their_place(desk: Desk) -> None:
    parts = [pb.ImportKeysRequest(keys=[key(key_id=f"t{n}", tenant_id="")]) for n in range(3)]
    told = await run(desk, *parts)
    assert [fault.line for answer in told for fault in answer.faults] == [1, 2, 3]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ImportKeysRequest(), "keys"),
        (pb.ImportKeysRequest(dry_run=True), "keys"),
        (pb.ImportKeysRequest(keys=[pb.ImportedKey()] * 501), "keys"),
        (pb.ImportKeysRequest(keys=[key(), key(line=-1)]), "keys[1].line"),
    ],
    ids=["no keys", "a dry run without keys", "too many keys", "a line before the first"],
)
async def test_a_message_that_is_none_ends_the_import(
    desk: Desk, request_: pb.ImportKeysRequest, field: str
) -> None:
    with pytest.raises(InvalidFieldError) as error:
        await run(desk, pb.ImportKeysRequest(keys=[key()]), request_)
    assert error.value.metadata["field"] == field
    assert await desk.store.inner.key("t1") is None


async def test_the_first_message_decides_whether_it_is_a_dry_run(desk: Desk) -> None:
    second = pb.ImportKeysRequest(keys=[key(key_id="t2", tenant_id="bravo")])
    told = await run(desk, pb.ImportKeysRequest(dry_run=True, keys=[key()]), second)
    assert told[-1].created_count == 2
    assert await desk.store.inner.page(after=("", ""), limit=9) == []
    second.dry_run = True
    await run(desk, pb.ImportKeysRequest(keys=[key()]), second)
    assert len(await desk.store.inner.page(after=("", ""), limit=9)) == 2


async def test_what_is_exported_is_imported_as_it_is(desk: Desk) -> None:
    await run(desk, pb.ImportKeysRequest(keys=[key(settings=SETTINGS)]))
    [answer] = await export(desk)
    assert SECRET not in str(answer)
    assert SECRET.encode() not in answer.SerializeToString()
    [given] = answer.keys
    assert not given.line
    await desk.keeping.delete("ops", "t1")
    told = await run(desk, pb.ImportKeysRequest(keys=[given]))
    assert told[-1].created_count == 1
    assert await desk.leased_for(target=Target("openai", "mine")) == "t1"
    [again] = (await export(desk))[0].keys
    assert (again.settings, again.key_id) == (given.settings, "t1")
    assert [one.create_time for one in again.sealed.revisions] == [
        one.create_time for one in given.sealed.revisions
    ]


async def test_exports_come_in_messages_of_some_keys(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer_rpcs, "MAX_EXPORTED_KEYS", 2)
    for number in range(5):
        await desk.keep(f"t{number}", tenant=f"tenant-{number % 2}")
    sizes = [len(answer.keys) for answer in await export(desk)]
    assert sizes == [2, 2, 1]
    assert [len(answer.keys) for answer in await export(desk, tenant_id="tenant-1")] == [2]
    monkeypatch.setattr(transfer_rpcs, "MAX_EXPORTED_BYTES", 10)
    assert [len(answer.keys) for answer in await export(desk)] == [1] * 5
    assert await export(desk, tenant_id="nobody") == []


async def test_an_export_of_an_unknown_provider_is_told(desk: Desk) -> None:
    with pytest.raises(ServiceError) as error:
        await export(desk, provider="opnai")
    assert fault_of(error.value, "ExportKeys").reason == "PROVIDER_UNKNOWN"

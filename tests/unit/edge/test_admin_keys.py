"""AdminService takes secrets in, checks every field that operators set, and gives none out."""

from collections.abc import Mapping
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from broker.edge.grpc.auth import enter
from broker.edge.grpc.errors import fault_of
from broker.services.errors import InvalidFieldError, ServiceError
from broker.services.principal import Principal, Role
from keybroker.v1 import admin_pb2, key_pb2, policy_pb2
from tests.unit.services.status_given import Desk, a_desk, a_key

NO_CONTEXT: Any = None
SECRET = "sk-canary-7f3a"
SETTINGS = key_pb2.KeySettings(
    weight=2.5,
    priority=-1,
    models={"gpt-*": "", "mine": "deployment"},
    limits=key_pb2.KeyLimits(concurrency=3, requests_per_minute=60, tokens_per_minute=10**12),
    account="main",
    expire_time=Timestamp(seconds=1_900_000_000),
    base_url="https://eu.example/v1/",
)


@pytest.fixture
async def desk() -> Desk:
    enter(Principal("ops", frozenset({Role.OPERATOR})))
    return await a_desk(a_key("env/s1"))


def create(**given: Any) -> admin_pb2.CreateKeyRequest:
    """A request that is fine but for what is given."""
    fine = {
        "tenant_id": "acme",
        "provider": "openai",
        "key_id": "t1",
        "secret": key_pb2.SecretValue(plaintext=SECRET),
    }
    return admin_pb2.CreateKeyRequest(**{**fine, **given})


def settings(**given: Any) -> admin_pb2.CreateKeyRequest:
    return create(settings=key_pb2.KeySettings(**given))


def update(*paths: str, **given: Any) -> admin_pb2.UpdateKeyRequest:
    return admin_pb2.UpdateKeyRequest(
        key_id="t1", settings=key_pb2.KeySettings(**given), update_mask=FieldMask(paths=paths)
    )


async def call(desk: Desk, request: Message) -> Any:
    """What the servicer answers."""
    method = request.DESCRIPTOR.name.removesuffix("Request")
    return await getattr(desk.servicers.admin, method)(request, NO_CONTEXT)


async def test_a_created_key_is_shown_with_all_that_was_set_and_without_its_secret(
    desk: Desk,
) -> None:
    key = (await call(desk, create(settings=SETTINGS))).key
    assert (key.key_id, key.owner, key.source) == ("t1", "acme", "database")
    assert key.provenance == key_pb2.PROVENANCE_TENANT
    assert (key.weight, key.priority, key.account) == (2.5, -1, "main")
    assert dict(key.models) == dict(SETTINGS.models)
    assert key.limits == SETTINGS.limits
    assert key.expire_time == SETTINGS.expire_time
    assert key.base_url == "https://eu.example/v1"
    assert key.create_time.seconds == int(desk.clock.now())
    assert [one.stage for one in key.revisions] == [key_pb2.REVISION_STAGE_IN_USE]
    assert key.revisions[0].revision == key.revision
    shown = (await call(desk, admin_pb2.GetKeyRequest(key_id="t1"))).key
    assert shown == key
    assert SECRET not in str(shown)


async def test_a_weight_of_zero_is_one(desk: Desk) -> None:
    assert (await call(desk, create())).key.weight == 1.0


async def test_of_several_globs_that_match_the_longest_counts(desk: Desk) -> None:
    models = {"*": "any", "gpt-*": "some", "gpt-4*": "this", "gpt-4o": "exact"}
    await call(desk, settings(models=models))
    key = desk.core.keyring.key("t1")
    names = ("gpt-4o", "gpt-4.1", "gpt-5", "o3")
    assert [key.provider_model(name) for name in names] == ["exact", "this", "some", "any"]


async def test_an_update_changes_what_the_mask_names_and_nothing_else(desk: Desk) -> None:
    before = (await call(desk, create(settings=SETTINGS))).key
    desk.clock.advance(5)
    request = update("weight", "limits.concurrency", "expire_time", priority=9)
    after = (await call(desk, request)).key
    assert (after.weight, after.limits.concurrency) == (1.0, 0)
    assert not after.HasField("expire_time")
    assert (after.priority, after.account, after.models) == (-1, "main", before.models)
    assert after.limits.requests_per_minute == 60
    assert after.update_time.seconds == before.update_time.seconds + 5
    assert after.create_time == before.create_time


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("weight", {"weight": 3.0}),
        ("priority", {"priority": 3}),
        ("models", {"models": {"x": ""}}),
        ("limits", {"limits": key_pb2.KeyLimits(tokens_per_minute=5)}),
        ("limits.requests_per_minute", {"limits": key_pb2.KeyLimits(requests_per_minute=5)}),
        ("limits.tokens_per_minute", {"limits": key_pb2.KeyLimits(tokens_per_minute=5)}),
        ("account", {"account": "other"}),
        ("base_url", {"base_url": "http://127.0.0.1:8080"}),
    ],
)
async def test_every_setting_can_be_updated(
    desk: Desk, path: str, given: Mapping[str, object]
) -> None:
    await call(desk, create())
    key = (await call(desk, update(path, **given))).key
    field, _, inner = path.partition(".")
    shown, wanted = getattr(key, field), getattr(key_pb2.KeySettings(**given), field)  # type: ignore[arg-type]
    assert getattr(shown, inner) == getattr(wanted, inner) if inner else shown == wanted


async def test_a_rotated_key_shows_the_new_secret_waiting(desk: Desk) -> None:
    await call(desk, create())
    secret = key_pb2.SecretValue(plaintext="sk-new")
    key = (await call(desk, admin_pb2.RotateKeyRequest(key_id="t1", secret=secret))).key
    assert [one.stage for one in key.revisions] == [
        key_pb2.REVISION_STAGE_INCOMING,
        key_pb2.REVISION_STAGE_IN_USE,
    ]


async def test_a_deleted_key_is_unknown(desk: Desk) -> None:
    await call(desk, create())
    await call(desk, admin_pb2.DeleteKeyRequest(key_id="t1"))
    with pytest.raises(ServiceError) as fault:
        await call(desk, admin_pb2.GetKeyRequest(key_id="t1"))
    assert fault.value.reason == "KEY_UNKNOWN"


async def test_a_policy_is_shown_as_the_default_until_it_is_set(desk: Desk) -> None:
    ask = admin_pb2.GetTenantPolicyRequest(tenant_id="acme", provider="openai")
    (policy,) = (await call(desk, ask)).policies
    assert policy.mode == policy_pb2.POLICY_MODE_SYSTEM_ONLY
    assert (policy.set_by, policy.HasField("set_time")) == ("", False)
    put = admin_pb2.SetTenantPolicyRequest(
        tenant_id="acme", provider="openai", mode=policy_pb2.POLICY_MODE_TENANT_THEN_SYSTEM
    )
    answer = (await call(desk, put)).policy
    assert set(answer.fall_through) == {
        key_pb2.KEY_STATE_QUARANTINED,
        key_pb2.KEY_STATE_EXHAUSTED,
    }
    (policy,) = (await call(desk, ask)).policies
    assert policy == answer
    assert (policy.set_by, policy.set_time.seconds) == ("ops", int(desk.clock.now()))
    every = admin_pb2.GetTenantPolicyRequest(tenant_id="acme")
    assert list((await call(desk, every)).policies) == [answer]


def policy(**given: Any) -> admin_pb2.SetTenantPolicyRequest:
    fine = {"tenant_id": "acme", "provider": "openai", "mode": 2}
    return admin_pb2.SetTenantPolicyRequest(**{**fine, **given})


BAD_FIELDS: list[tuple[Message, str]] = [
    (create(tenant_id=""), "tenant_id"),
    (create(tenant_id="a\nb"), "tenant_id"),
    (create(provider=""), "provider"),
    (create(key_id="a/b"), "key_id"),
    (create(key_id="x" * 65), "key_id"),
    (create(key_id="ü"), "key_id"),
    (create(secret=None), "secret"),
    (create(secret=key_pb2.SecretValue(plaintext=SECRET + "\n")), "secret"),
    (create(secret=key_pb2.SecretValue(plaintext=SECRET + " x")), "secret"),
    (create(secret=key_pb2.SecretValue(plaintext=SECRET + "ü")), "secret"),
    (create(secret=key_pb2.SecretValue(plaintext="x" * 8193)), "secret"),
    (create(key_id=SECRET), "secret"),
    (create(tenant_id=SECRET), "secret"),
    (settings(account=SECRET), "secret"),
    (settings(weight=-1), "settings.weight"),
    (settings(weight=float("nan")), "settings.weight"),
    (settings(weight=float("inf")), "settings.weight"),
    (settings(models={f"m{n}": "" for n in range(1001)}), "settings.models"),
    (settings(models={"": "x"}), "settings.models"),
    (settings(models={"x": "a\0"}), "settings.models"),
    (settings(models={"x" * 257: ""}), "settings.models"),
    (settings(limits=key_pb2.KeyLimits(concurrency=-1)), "settings.limits.concurrency"),
    (settings(limits=key_pb2.KeyLimits(tokens_per_minute=-1)), "settings.limits.tokens_per_minute"),
    (settings(account="x" * 257), "settings.account"),
    (settings(expire_time=Timestamp(seconds=10**15)), "settings.expire_time"),
    (settings(expire_time=Timestamp(nanos=-1)), "settings.expire_time"),
    (settings(base_url="http://api.example"), "settings.base_url"),
    (settings(base_url="https://user:pw@api.example"), "settings.base_url"),
    (update(), "update_mask"),
    (update("weight", "secret"), "update_mask.paths[1]"),
    (update("*"), "update_mask.paths[0]"),
    (update("limits.nothing"), "update_mask.paths[0]"),
    (admin_pb2.UpdateKeyRequest(update_mask=FieldMask(paths=["weight"])), "key_id"),
    (admin_pb2.RotateKeyRequest(key_id="t1"), "secret"),
    (admin_pb2.DeleteKeyRequest(), "key_id"),
    (admin_pb2.GetTenantPolicyRequest(), "tenant_id"),
    (policy(tenant_id=""), "tenant_id"),
    (policy(provider=""), "provider"),
    (policy(mode=0), "mode"),
    (policy(mode=9), "mode"),
    (policy(fall_through=[5, 7]), "fall_through[1]"),
    (policy(fall_through=[1]), "fall_through[0]"),
    (policy(mode=1, fall_through=[5]), "fall_through"),
]


@pytest.mark.parametrize("number", range(len(BAD_FIELDS)))
async def test_a_bad_field_is_named_and_no_secret_told(desk: Desk, number: int) -> None:
    request, field = BAD_FIELDS[number]
    with pytest.raises(InvalidFieldError) as fault:
        await call(desk, request)
    assert fault.value.metadata["field"] == field
    assert SECRET not in str(fault_of(fault.value, "/x"))


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (create(provider="opnai"), "PROVIDER_UNKNOWN"),
        (create(key_id="t0"), "KEY_EXISTS"),
        (create(secret=key_pb2.SecretValue(plaintext="sk-acme-t0")), "KEY_DUPLICATE"),
        (policy(provider="opnai"), "PROVIDER_UNKNOWN"),
        (admin_pb2.GetTenantPolicyRequest(tenant_id="a", provider="x"), "PROVIDER_UNKNOWN"),
        (admin_pb2.DeleteKeyRequest(key_id="env/s1"), "KEY_SOURCE_OWNED"),
        (admin_pb2.DeleteKeyRequest(key_id="t9"), "KEY_UNKNOWN"),
    ],
)
async def test_a_refused_change_says_why(desk: Desk, request_: Message, reason: str) -> None:
    await desk.keep("t0")
    with pytest.raises(ServiceError) as fault:
        await call(desk, request_)
    assert fault.value.reason == reason


async def test_keys_are_listed_by_tenant(desk: Desk) -> None:
    await desk.keep("t1")
    await desk.keep("t2", "other")
    page = await call(desk, admin_pb2.ListKeysRequest(tenant_id="other"))
    assert [key.key_id for key in page.keys] == ["t2"]

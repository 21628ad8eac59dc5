"""A lease is asked for with every wish, and shows what a call needs."""

import asyncio
from typing import Any

import pytest

from keybroker import (
    BrokerError,
    DenialAction,
    DenialReason,
    Denied,
    Provenance,
    Target,
)
from tests.client.conftest import Door, status
from tests.client.fake_broker import (
    CANARY,
    FakeBroker,
    a_denial,
    a_lease,
    denying,
    granting,
)


async def test_a_lease_shows_what_a_call_needs_and_hides_its_secret(door: Door) -> None:
    seen: list[Any] = []

    def look(lease: Any) -> None:
        assert lease.headers() == {"authorization": f"Bearer {CANARY}", "x-version": "1"}
        assert lease.secret.reveal() == CANARY
        assert (lease.base_url, lease.provider_model) == ("http://127.0.0.1:1", "gpt-4o-2024")
        assert (lease.provider, lease.model) == ("openai", "gpt-4o")
        assert (lease.key_id, lease.revision) == ("openai/1", "r1")
        assert lease.provenance is Provenance.SYSTEM
        assert not lease.trial
        assert not lease.degraded
        assert lease.expires_at.tzinfo is not None
        assert lease.attempt == 1
        assert lease.time_left is None
        seen.append(lease)

    await door.lease(look, request_id="r7")
    [lease] = seen
    assert lease.request_id == "r7"
    assert CANARY not in repr(lease) + str(lease) + f"{lease.secret!r}{lease.secret}"


async def test_every_wish_travels(door: Door, broker: FakeBroker) -> None:
    await door.lease(
        tenant="acme",
        fallbacks=["gemini/flash", ("groq", "meta/llama"), Target("openai", "mini")],
        request_id="r1",
        excluded_key_ids=["openai/9"],
        affinity_key="chat-1",
        ttl=60.5,
        estimated_tokens=900,
    )
    [asked] = broker.requests("AcquireLease")
    assert (asked.tenant_id, asked.provider, asked.model) == ("acme", "openai", "gpt-4o")
    targets = [(each.provider, each.model) for each in asked.fallbacks]
    assert targets == [("gemini", "flash"), ("groq", "meta/llama"), ("openai", "mini")]
    assert (asked.request_id, asked.attempt, asked.concurrency) == ("r1", 1, 1)
    assert list(asked.excluded_key_ids) == ["openai/9"]
    assert (asked.affinity_key, asked.estimated_tokens) == ("chat-1", 900)
    assert asked.ttl.ToMilliseconds() == 60_500


async def test_a_request_without_a_name_gets_one(door: Door, broker: FakeBroker) -> None:
    """Without a request id a repeat would take a second slot."""
    await door.lease()
    await door.lease()
    first, second = (asked.request_id for asked in broker.requests("AcquireLease"))
    assert first
    assert second
    assert first != second


async def test_a_denial_is_raised_with_all_it_says(door: Door, broker: FakeBroker) -> None:
    broker.script("AcquireLease", denying(a_denial("EXHAUSTED", "SWITCH_MODEL", 90.0)))
    with pytest.raises(Denied, match="EXHAUSTED: no key") as told:
        await door.lease()
    denied = told.value
    assert denied.reason is DenialReason.EXHAUSTED
    assert denied.action is DenialAction.SWITCH_MODEL
    assert denied.retry_delay is not None
    assert denied.retry_delay.total_seconds() == 90
    assert denied.alternatives == (Target("gemini", "flash"),)
    assert denied.keys_by_state == {"quarantined": 2}
    assert (denied.message, denied.help_url) == ("no key", "https://help.test")
    assert broker.methods == ["AcquireLease"]


async def test_a_caller_who_waits_gets_the_key_that_comes_free(
    door: Door, broker: FakeBroker
) -> None:
    """The same request asks again: the broker sees one request, not two."""
    broker.script("AcquireLease", denying(a_denial("AT_CAPACITY", "RETRY_LATER", 0.05)))
    await door.lease(wait=1.0)
    first, second = broker.requests("AcquireLease")
    assert (first.request_id, first.attempt) == (second.request_id, second.attempt)


@pytest.mark.parametrize(
    ("action", "retry_s"), [("RETRY_LATER", 5.0), ("SWITCH_MODEL", 0.01), ("RETRY_LATER", None)]
)
async def test_waiting_is_not_begun_where_it_does_not_help_or_takes_too_long(
    door: Door, broker: FakeBroker, action: str, retry_s: float | None
) -> None:
    broker.script("AcquireLease", denying(a_denial("COOLING_DOWN", action, retry_s)))
    with pytest.raises(Denied):
        await door.lease(wait=1.0)
    assert broker.methods == ["AcquireLease"]


async def test_leases_of_many_tasks_do_not_meet(door: Door, broker: FakeBroker) -> None:
    await asyncio.gather(*(door.lease(status(200)) for _ in range(20)))
    assert sorted({report.lease_id for report in broker.reports}) == sorted(
        f"kb1.lease-{number}" for number in range(1, 21)
    )


async def test_a_lease_that_this_client_cannot_use_is_given_back(
    door: Door, broker: FakeBroker
) -> None:
    """A newer broker may authenticate in ways that an older client does not know."""
    lease = a_lease()
    lease.ClearField("api_key")
    broker.script("AcquireLease", granting(lease))
    with pytest.raises(BrokerError, match="update it"):
        await door.lease()
    assert broker.methods == ["AcquireLease", "ReleaseLease"]

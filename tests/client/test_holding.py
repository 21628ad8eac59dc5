"""A held lease serves many requests, is renewed in time and dropped when its key dies."""

import asyncio

import grpc
import pytest

from keybroker import AsyncClient, BrokerError, Client, Denied, holding
from keybroker.v1 import lease_pb2
from tests.client.fake_broker import (
    FakeBroker,
    a_denial,
    a_lease,
    an_answer,
    answering,
    denying,
    failing,
    granting,
    until,
)
from tests.client.holds import (
    SYNCED,
    Opening,
    ok,
)


async def test_one_lease_serves_many_requests_and_is_given_back_at_the_end(
    opening: Opening, broker: FakeBroker
) -> None:
    broker.news.put(SYNCED)
    async with opening(concurrency=4, tenant="acme") as hold:
        ids = [await hold.use(ok) for _ in range(3)]
    assert set(ids) == {"kb1.lease-1"}
    [asked] = broker.requests("AcquireLease")
    assert (asked.concurrency, asked.tenant_id) == (4, "acme")
    assert all(report.keep_lease for report in broker.reports)
    assert len({report.outcome.request_id for report in broker.reports}) == 3
    assert broker.methods[-1] == "ReleaseLease"


async def test_nothing_is_acquired_before_the_first_request(
    opening: Opening, broker: FakeBroker
) -> None:
    async with opening():
        await asyncio.sleep(0.05)
    assert broker.methods == []


async def test_a_request_that_did_not_use_the_lease_says_nothing(
    opening: Opening, broker: FakeBroker
) -> None:
    async with opening() as hold:
        await hold.use()
        assert broker.methods == ["AcquireLease"]


async def test_no_more_requests_run_at_one_time_than_were_asked_for(broker: FakeBroker) -> None:
    running, most = 0, 0
    async with (
        AsyncClient(broker.address) as client,
        client.hold("openai", "gpt-4o", concurrency=2) as hold,
    ):

        async def one() -> None:
            nonlocal running, most
            async with hold.lease():
                running += 1
                most = max(most, running)
                await asyncio.sleep(0.01)
                running -= 1

        await asyncio.gather(*(one() for _ in range(8)))
    assert most == 2
    assert broker.grants == 1


async def test_a_report_that_says_the_key_is_bad_drops_the_lease(
    opening: Opening, broker: FakeBroker
) -> None:
    broker.news.put(SYNCED)
    unusable = an_answer("INVALID_CREDENTIAL", "RETRY_OTHER_KEY", state="KEY_UNUSABLE")
    limited = an_answer("RATE_LIMITED", "RETRY_OTHER_KEY", state="LIVE")
    broker.script("ReportOutcome", answering(unusable), answering(limited))
    async with opening() as hold:
        ids = [await hold.use(ok) for _ in range(4)]
    assert ids == ["kb1.lease-1", "kb1.lease-2", "kb1.lease-3", "kb1.lease-3"]


async def test_a_trial_serves_one_request_and_is_not_held(
    opening: Opening, broker: FakeBroker
) -> None:
    broker.script("AcquireLease", granting(a_lease("openai/t", trial=True)))
    async with opening(concurrency=2) as hold:
        assert await hold.use(ok) == "kb1.openai/t"
        assert not broker.reports[0].keep_lease
        assert await hold.use(ok) == "kb1.lease-1"


async def test_a_lease_is_renewed_before_it_ends(opening: Opening, broker: FakeBroker) -> None:
    broker.news.put(SYNCED)
    broker.life_s = 0.4
    async with opening() as hold:
        await hold.use(ok)
        await until(lambda: len(broker.requests("RenewLease")) >= 2)
        assert (await hold.use(ok)).startswith("kb1.lease-1+")
    assert broker.grants == 1
    assert broker.requests("ReleaseLease")[0].lease_id.startswith("kb1.lease-1+")


async def test_a_lease_that_cannot_be_renewed_any_further_is_replaced_in_time(
    opening: Opening, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour after its first grant no renewal moves its end: one is enough to find out."""
    monkeypatch.setattr(holding, "RENEWAL_PAUSE_S", 0.02)
    broker.news.put(SYNCED)
    broker.life_s = 0.4
    lease = a_lease(life_s=0.4)
    same_end = lease_pb2.RenewLeaseResponse(lease_id="kb1.x", expire_time=lease.expire_time)
    broker.script("AcquireLease", granting(lease))
    broker.script("RenewLease", answering(same_end))
    async with opening() as hold:
        await hold.use(ok)
        await until(lambda: broker.requests("ReleaseLease"))
        assert await hold.use(ok) == "kb1.lease-1"
    assert len(broker.requests("RenewLease")) == 1


@pytest.mark.parametrize("reason", ["KEY_UNUSABLE", "LEASE_ENDED", "LEASE_EXPIRED"])
async def test_a_renewal_that_is_refused_drops_the_lease(
    opening: Opening, broker: FakeBroker, reason: str
) -> None:
    broker.news.put(SYNCED)
    broker.life_s = 0.4
    lost = failing(grpc.StatusCode.FAILED_PRECONDITION, f"ERROR_REASON_{reason}")
    broker.script("RenewLease", lost)
    async with opening() as hold:
        await hold.use(ok)
        await until(lambda: broker.requests("ReleaseLease"))
        assert await hold.use(ok) == "kb1.lease-2"


async def test_without_news_the_lease_is_verified_again_and_again(
    opening: Opening, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would tell a death: a renewal does, since it fails when the key must not be used."""
    monkeypatch.setattr(holding, "RENEWAL_PAUSE_S", 0.2)
    unusable = failing(
        grpc.StatusCode.FAILED_PRECONDITION, "ERROR_REASON_KEY_UNUSABLE", cause="disabled"
    )
    broker.script("RenewLease", unusable)
    async with opening() as hold:
        assert await hold.use(ok) == "kb1.lease-1"
        await until(lambda: broker.requests("ReleaseLease"))
        assert await hold.use(ok) == "kb1.lease-2"


async def test_a_broker_that_does_not_answer_leaves_the_lease_in_use(
    opening: Opening, broker: FakeBroker
) -> None:
    """A lease is a right until it ends: a broker that restarts must not stop its gateways."""
    broker.news.put(SYNCED)
    async with opening() as hold:
        await hold.use(ok)
        await asyncio.to_thread(broker.stop)
        assert await hold.use() == "kb1.lease-1"
        await asyncio.to_thread(broker.start)


async def test_a_denial_of_the_next_lease_is_the_requests(
    opening: Opening, broker: FakeBroker
) -> None:
    """The hold goes on: the next request asks again."""
    broker.script("AcquireLease", denying(a_denial()))
    async with opening() as hold:
        with pytest.raises(Denied):
            await hold.use(ok)
        assert await hold.use(ok) == "kb1.lease-1"


async def test_a_report_on_a_lease_that_is_lost_drops_it(
    opening: Opening, broker: FakeBroker
) -> None:
    broker.news.put(SYNCED)
    lost = failing(grpc.StatusCode.FAILED_PRECONDITION, "ERROR_REASON_LEASE_EXPIRED")
    broker.script("ReportOutcome", lost, lost)
    async with opening() as hold:
        with pytest.raises(BrokerError):
            await hold.use(ok)
        assert await hold.use(ok) == "kb1.lease-2"


async def test_a_hold_that_was_not_entered_says_so(broker: FakeBroker) -> None:
    """Nobody would renew its lease, nor hear of deaths."""
    async with AsyncClient(broker.address) as client:
        with pytest.raises(RuntimeError, match="enter the hold first"):
            async with client.hold("openai", "gpt-4o").lease():
                pass
        with pytest.raises(ValueError, match="at least 1"):
            client.hold("openai", "gpt-4o", concurrency=0)
    with Client(broker.address) as sync_client:
        hold = sync_client.hold("openai", "gpt-4o")
        with pytest.raises(RuntimeError, match="enter the hold first"), hold.lease():
            pass

"""A call goes where the broker's advice leads, within its limits, and says where it has been."""

import time

import grpc
import pytest

from keybroker import (
    DenialReason,
    Denied,
    ProviderUnknownError,
    Target,
    VerdictKind,
)
from tests.client.advice import other_key, statuses
from tests.client.conftest import Door, status
from tests.client.fake_broker import (
    FakeBroker,
    a_denial,
    a_lease,
    an_answer,
    answering,
    denying,
    failing,
    granting,
)


async def test_a_call_that_succeeds_at_once_is_one_acquire_and_one_report(
    door: Door, broker: FakeBroker
) -> None:
    served = await door.call(status(200))
    assert served.ok
    assert served.response.status == 200
    assert broker.methods == ["AcquireLease", "ReportOutcome"]
    [attempt] = served.attempts
    assert attempt == served.last
    assert (attempt.target, attempt.key_id) == (Target("openai", "gpt-4o"), "openai/1")


async def test_the_next_key_comes_with_the_report(door: Door, broker: FakeBroker) -> None:
    broker.script("ReportOutcome", other_key("INVALID_CREDENTIAL"))
    served = await door.call(statuses(401, 200), affinity_key="chat", ttl=60.0)
    assert broker.methods == ["AcquireLease", "ReportOutcome", "ReportOutcome"]
    assert [attempt.verdict for attempt in served.attempts] == [
        VerdictKind.INVALID_CREDENTIAL,
        VerdictKind.OK,
    ]
    assert [attempt.key_id for attempt in served.attempts] == ["openai/1", "openai/2"]
    first, second = broker.reports
    assert first.HasField("acquire_next")
    assert first.acquire_next.affinity_key == "chat"
    assert first.acquire_next.ttl.seconds == 60
    assert first.outcome.outcome_id != second.outcome.outcome_id
    assert second.lease_id == "kb1.openai/2"


async def test_the_delay_that_the_broker_advises_is_kept(door: Door, broker: FakeBroker) -> None:
    broker.script("ReportOutcome", other_key("SERVER_ERROR", "RETRY_SAME_KEY", delay_s=0.2))
    began = time.monotonic()
    assert (await door.call(statuses(500, 200))).ok
    assert time.monotonic() - began >= 0.2


async def test_a_fallback_is_not_offered_again_once_it_was_reached(
    door: Door, broker: FakeBroker
) -> None:
    reached = other_key("OVERLOADED", "SWITCH_MODEL", provider="gemini", model="flash")
    broker.script("ReportOutcome", reached)
    served = await door.call(statuses(529, 200), fallbacks=["gemini/flash", "groq/llama"])
    assert served.last.target == Target("gemini", "flash")
    offered = [
        [each.provider for each in report.acquire_next.fallbacks] for report in broker.reports
    ]
    assert offered == [["gemini", "groq"], ["groq"]]


async def test_stop_means_the_response_is_the_callers(door: Door, broker: FakeBroker) -> None:
    broker.script("ReportOutcome", answering(an_answer("INVALID_REQUEST", "STOP")))
    served = await door.call(status(400, b"what"))
    assert not served.ok
    assert served.last.verdict is VerdictKind.INVALID_REQUEST
    assert served.denial is None


async def test_the_last_response_is_returned_with_the_denial_that_ended_the_call(
    door: Door, broker: FakeBroker
) -> None:
    denial = a_denial("QUARANTINED")
    refused = answering(an_answer("INVALID_CREDENTIAL", "SWITCH_MODEL", denial=denial))
    broker.script("ReportOutcome", refused)
    served = await door.call(status(401))
    assert served.response.status == 401
    assert served.denial is not None
    assert served.denial.reason is DenialReason.QUARANTINED


async def test_a_call_waits_for_a_key_where_it_may(door: Door, broker: FakeBroker) -> None:
    busy = a_denial("AT_CAPACITY", "RETRY_LATER", 0.05)
    broker.script(
        "ReportOutcome", answering(an_answer("RATE_LIMITED", "RETRY_OTHER_KEY", denial=busy))
    )
    served = await door.call(statuses(429, 200), wait=1.0)
    assert served.ok
    first, again = broker.requests("AcquireLease")
    assert again.request_id == first.request_id
    assert (first.attempt, again.attempt) == (1, 2)


async def test_a_broker_that_goes_away_between_two_tries_does_not_cost_the_response(
    door: Door, broker: FakeBroker
) -> None:
    busy = a_denial("AT_CAPACITY", "RETRY_LATER", 0.01)
    broker.script(
        "ReportOutcome", answering(an_answer("RATE_LIMITED", "RETRY_OTHER_KEY", denial=busy))
    )
    gone = failing(grpc.StatusCode.NOT_FOUND, "ERROR_REASON_PROVIDER_UNKNOWN")
    broker.script("AcquireLease", granting(a_lease()), gone)
    served = await door.call(status(429), wait=1.0)
    assert served.response.status == 429


async def test_without_any_try_denials_and_faults_are_raised(
    door: Door, broker: FakeBroker
) -> None:
    unknown = failing(
        grpc.StatusCode.NOT_FOUND,
        "ERROR_REASON_PROVIDER_UNKNOWN",
        known_providers="anthropic,openai",
    )
    broker.script("AcquireLease", denying(a_denial()), unknown)
    with pytest.raises(Denied):
        await door.call(status(200))
    with pytest.raises(ProviderUnknownError) as told:
        await door.call(status(200))
    assert told.value.known_providers == ("anthropic", "openai")


async def test_the_last_attempt_asks_for_no_further_key(door: Door, broker: FakeBroker) -> None:
    """Else a lease would be granted that nobody uses."""
    broker.script("ReportOutcome", other_key("RATE_LIMITED"))
    served = await door.call(statuses(429, 429), max_attempts=2)
    assert len(served.attempts) == 2
    assert [report.HasField("acquire_next") for report in broker.reports] == [True, False]


async def test_a_delay_beyond_the_deadline_gives_the_next_lease_back(
    door: Door, broker: FakeBroker
) -> None:
    broker.script("ReportOutcome", other_key("RATE_LIMITED", delay_s=60.0))
    served = await door.call(status(429), timeout=5.0)
    assert served.response.status == 429
    assert broker.methods == ["AcquireLease", "ReportOutcome", "ReleaseLease"]


async def test_a_stream_that_was_begun_is_retried_only_where_it_can_be_replayed(
    door: Door, broker: FakeBroker
) -> None:
    await door.call(status(500), can_replay=True)
    await door.call(status(500))
    assert [report.can_replay for report in broker.reports] == [True, False]

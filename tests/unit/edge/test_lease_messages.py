"""Acquires and reports as callers send them; leases, denials and news as they are answered."""

from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from broker.catalog import load_catalog
from broker.core.denial import Denial, Target
from broker.core.key import Key
from broker.core.lease_token import LeaseClaims
from broker.core.provider import Provider
from broker.core.scope import Upstream
from broker.core.secret import Secret
from broker.core.words import DenialAction, DenialReason, Provenance
from broker.edge.grpc.lease_messages import (
    read_acquire,
    read_renew,
    read_report,
    write_acquired,
)
from broker.edge.grpc.news_messages import write_news
from broker.services.acquisition import DEFAULT_TTL_S, AcquireRequest, Grant
from broker.services.errors import InvalidFieldError
from broker.services.watching import Death, DeathCause, Recovery, Synced
from keybroker.v1 import denial_pb2, key_pb2, lease_pb2, outcome_pb2

ASK = lease_pb2.AcquireLeaseRequest(provider="openai", model="gpt-4o")
GRANTED = 1_750_000_000.25


def ask(**fields: Any) -> lease_pb2.AcquireLeaseRequest:
    request = lease_pb2.AcquireLeaseRequest(**fields)
    request.MergeFrom(ASK)
    return request


def grant() -> Grant:
    dialect = load_catalog()["anthropic"]
    key = Key("k1", "r1", "anthropic", Secret("sk-live"), Provenance.SYSTEM)
    claims = LeaseClaims(
        uid="u",
        key_id="k1",
        revision="r1",
        owner="",
        account="",
        provenance=Provenance.SYSTEM,
        upstream=Upstream("anthropic", "", "claude"),
        tenant="t",
        principal="p",
        first_granted_at=GRANTED,
        granted_at=GRANTED,
        ends_at=GRANTED + 300,
        attempt=2,
    )
    provider = Provider("anthropic", dialect, dialect.base_url)
    return Grant("kb1.token", claims, key, provider, "claude-real")


def test_a_bare_acquire_has_the_defaults_of_the_proto() -> None:
    assert read_acquire(ASK) == AcquireRequest(Target("openai", "gpt-4o"))


def test_a_whole_acquire_is_read() -> None:
    request = ask(
        tenant_id="t",
        fallbacks=[denial_pb2.Target(provider="groq", model="llama")],
        request_id="r",
        attempt=3,
        excluded_key_ids=["k1"],
        affinity_key="chat",
        ttl=Duration(seconds=5000),
        concurrency=2,
        estimated_tokens=100,
    )
    assert read_acquire(request) == AcquireRequest(
        target=Target("openai", "gpt-4o"),
        tenant="t",
        fallbacks=(Target("groq", "llama"),),
        request_id="r",
        attempt=3,
        excluded=("k1",),
        affinity_key="chat",
        ttl_s=5000.0,
        concurrency=2,
        estimated_tokens=100,
    )


BAD = {
    "no provider": ("provider", lease_pb2.AcquireLeaseRequest(model="m")),
    "no model": ("model", lease_pb2.AcquireLeaseRequest(provider="openai")),
    "NUL": ("tenant_id", ask(tenant_id="\0")),
    "long id": ("request_id", ask(request_id="r" * 257)),
    "escape sequence": ("affinity_key", ask(affinity_key="\x1b[2J")),
    "negative attempt": ("attempt", ask(attempt=-1)),
    "negative concurrency": ("concurrency", ask(concurrency=-(2**31))),
    "negative tokens": ("estimated_tokens", ask(estimated_tokens=-1)),
    "no time": ("ttl", ask(ttl=Duration())),
    "negative time": ("ttl", ask(ttl=Duration(seconds=-300))),
    "long list": ("excluded_key_ids", ask(excluded_key_ids=["k"] * 101)),
    "empty item": ("excluded_key_ids[0]", ask(excluded_key_ids=[""])),
    "17 fallbacks": ("fallbacks", ask(fallbacks=[denial_pb2.Target(provider="p")] * 17)),
    "half a fallback": ("fallbacks[0].model", ask(fallbacks=[denial_pb2.Target(provider="p")])),
}


@pytest.mark.parametrize(("field", "message"), BAD.values(), ids=BAD)
def test_a_bad_field_of_an_acquire_is_named(
    field: str, message: lease_pb2.AcquireLeaseRequest
) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        read_acquire(message)
    assert caught.value.metadata["field"] == field


def test_a_lease_says_how_to_call_the_provider() -> None:
    lease = write_acquired(grant()).lease
    assert lease.lease_id == "kb1.token"
    assert (lease.provider, lease.model, lease.provider_model) == (
        "anthropic",
        "claude",
        "claude-real",
    )
    assert lease.base_url == "https://api.anthropic.com"
    assert lease.api_key.secret.plaintext == "sk-live"
    assert lease.api_key.header_name == "x-api-key"
    assert lease.api_key.header_prefix == ""
    assert lease.api_key.extra_headers["anthropic-version"]
    assert lease.provenance == key_pb2.PROVENANCE_SYSTEM
    assert lease.grant_time.ToMilliseconds() == 1_750_000_000_250
    assert lease.expire_time.ToMilliseconds() == 1_750_000_300_250
    assert (lease.attempt, lease.trial, lease.degraded) == (2, False, False)


def test_a_lease_tells_that_it_is_degraded() -> None:
    assert write_acquired(replace(grant(), is_degraded=True)).lease.degraded


def test_a_denial_is_written_whole() -> None:
    denial = write_acquired(
        Denial(
            DenialReason.EXHAUSTED,
            "why",
            1.5,
            DenialAction.SWITCH_MODEL,
            (Target("groq", "llama"),),
            {"exhausted": 2},
            "https://help",
        )
    ).denial
    assert denial == denial_pb2.Denial(
        reason=denial_pb2.DENIAL_REASON_EXHAUSTED,
        message="why",
        retry_delay=Duration(seconds=1, nanos=500_000_000),
        action=denial_pb2.DENIAL_ACTION_SWITCH_MODEL,
        alternatives=[denial_pb2.Target(provider="groq", model="llama")],
        keys_by_state={"exhausted": 2},
        help_url="https://help",
    )


def test_a_denial_without_a_known_wait_leaves_it_unset() -> None:
    denial = Denial(DenialReason.NO_KEYS, "why", None, DenialAction.FIX_CONFIGURATION)
    assert not write_acquired(denial).denial.HasField("retry_delay")


def test_a_renewal_has_the_default_time() -> None:
    assert read_renew(lease_pb2.RenewLeaseRequest(lease_id="x")) == ("x", DEFAULT_TTL_S)


BAD_REPORTS = {
    "no lease": ("lease_id", lease_pb2.ReportOutcomeRequest()),
    "huge lease": ("lease_id", lease_pb2.ReportOutcomeRequest(lease_id="x" * 8193)),
    "no outcome": ("outcome", lease_pb2.ReportOutcomeRequest(lease_id="x")),
    "bad next": (
        "acquire_next.ttl",
        lease_pb2.ReportOutcomeRequest(
            lease_id="x",
            outcome=outcome_pb2.Outcome(outcome_id="o", http_status=500),
            acquire_next=lease_pb2.AcquireNext(ttl=Duration(seconds=-1)),
        ),
    ),
}


@pytest.mark.parametrize(("field", "message"), BAD_REPORTS.values(), ids=BAD_REPORTS)
def test_a_bad_field_of_a_report_is_named(
    field: str, message: lease_pb2.ReportOutcomeRequest
) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        read_report(message)
    assert caught.value.metadata["field"] == field


def test_what_to_acquire_next_is_read() -> None:
    outcome = outcome_pb2.Outcome(outcome_id="o", http_status=500)
    plain = lease_pb2.ReportOutcomeRequest(lease_id="x", outcome=outcome)
    assert read_report(plain).acquire_next is None
    plain.acquire_next.concurrency = 3
    wanted = read_report(plain).acquire_next
    assert wanted is not None
    assert (wanted.concurrency, wanted.ttl_s) == (3, DEFAULT_TTL_S)


def test_news_are_written_as_what_they_are() -> None:
    synced = write_news(Synced(GRANTED), "replica-1").synced
    assert (synced.replica, synced.time.ToMilliseconds()) == ("replica-1", 1_750_000_000_250)
    death = write_news(Death(DeathCause.REVOKED, tenant="t", granted_before=GRANTED), "").death
    assert (death.cause, death.tenant_id) == (lease_pb2.DEATH_CAUSE_REVOKED, "t")
    assert death.HasField("granted_before")
    assert not death.HasField("until")
    recovery = write_news(Recovery(DeathCause.EXHAUSTED, "openai", "k1", "r1"), "").recovery
    assert (recovery.cause, recovery.key_id) == (lease_pb2.DEATH_CAUSE_EXHAUSTED, "k1")

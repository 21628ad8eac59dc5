"""What is counted here: rates and quotas, who uses what, and whose lease an id is."""

from dataclasses import replace

import pytest

from broker.core.lease_token import LeaseClaims
from broker.core.scope import Upstream
from broker.core.words import Provenance
from broker.services.errors import LeaseUnknownError
from broker.services.pacing import SWEEP_ABOVE, LeaseQuotas, Pacing
from broker.services.tokens import Tokens, member_of
from broker.services.usage import MAX_SUCCEEDED, MAX_USES, USES_S, Usage
from tests.fakes import START
from tests.unit.services.house import GATEWAY, OTHER

LEASE = LeaseClaims(
    uid="0123456789abcdef",
    key_id="k",
    revision="r",
    owner="",
    account="",
    provenance=Provenance.SYSTEM,
    upstream=Upstream("openai", "", "gpt-4o"),
    tenant="t",
    principal="gateway",
    first_granted_at=START,
    granted_at=START,
    ends_at=START + 300,
    request_id="q",
)


# --- Usage ------------------------------------------------------------------------------------


def test_a_use_counts_for_an_hour_after_the_last_grant() -> None:
    usage = Usage()
    usage.note(LEASE, START)
    usage.note(LEASE, START + 1000)
    assert usage.does_use("gateway", "openai", "k", "gpt-4o", START + 1000 + USES_S)
    assert not usage.does_use("gateway", "openai", "k", "gpt-4o", START + 1001 + USES_S)


def test_an_empty_field_matches_any_use() -> None:
    usage = Usage()
    usage.note(LEASE, START)
    assert usage.does_use("gateway", "openai", "", "", START)
    assert not usage.does_use("gateway", "openai", "", "gpt-mini", START)
    assert not usage.does_use("gateway", "groq", "", "", START)
    assert not usage.does_use("other", "openai", "", "", START)
    assert usage.does_serve("gateway", "t", START)
    assert not usage.does_serve("gateway", "u", START)


def test_the_use_that_is_forgotten_is_the_one_longest_ago() -> None:
    usage = Usage()
    usage.note(LEASE, START)
    for number in range(MAX_USES):
        usage.note(LEASE, START + number)
        usage.note(replace(LEASE, key_id=f"k{number}"), START + number)
    assert usage.does_use("gateway", "openai", "k", "", START + MAX_USES / 10)
    assert not usage.does_use("gateway", "openai", "k0", "", START)


def test_a_success_is_remembered_of_the_provider_and_of_a_system_keys_revision() -> None:
    usage = Usage()
    usage.note_success(LEASE, START)
    usage.note_success(replace(LEASE, key_id="t", provenance=Provenance.TENANT), START + 1)
    assert usage.last_success("openai") == START + 1
    assert usage.succeeded_at("k", "r") == START
    assert usage.succeeded_at("k", "other") is None
    assert usage.succeeded_at("t", "r") is None


def test_of_successes_the_latest_are_remembered() -> None:
    usage = Usage()
    for number in range(MAX_SUCCEEDED):
        usage.note_success(replace(LEASE, key_id=f"k{number}"), START)
    usage.note_success(replace(LEASE, key_id="k0"), START + 1)
    usage.note_success(LEASE, START + 1)
    assert usage.succeeded_at("k0", "r") == START + 1
    assert usage.succeeded_at("k1", "r") is None


def test_a_model_is_in_use_while_it_was_leased_lately() -> None:
    usage = Usage()
    usage.note(LEASE, START)
    mini = replace(LEASE, upstream=Upstream("openai", "", "mini"), principal="other")
    usage.note(mini, START + 10)
    usage.note(replace(LEASE, upstream=Upstream("groq", "", "llama")), START + 10)
    assert usage.models_in_use("openai", START) == {"gpt-4o", "mini"}
    assert usage.models_in_use("openai", START + 5) == {"mini"}


# --- Quotas -----------------------------------------------------------------------------------


def test_a_quota_is_given_back_over_a_minute() -> None:
    pacing = Pacing(LeaseQuotas(per_principal=60))
    for _ in range(60):
        assert pacing.take_quota("gateway", "", START) is None
    block = pacing.take_quota("gateway", "", START)
    assert block is not None
    assert block.until == pytest.approx(START + 1)
    assert pacing.take_quota("gateway", "", START + 1) is None


def test_looking_at_a_quota_takes_nothing() -> None:
    pacing = Pacing(LeaseQuotas(per_principal=1))
    for _ in range(5):
        assert pacing.quota_block("gateway", "", START) is None
    assert pacing.take_quota("gateway", "", START) is None
    assert pacing.quota_block("gateway", "", START) is not None


def test_callers_without_end_do_not_fill_the_memory_of_quotas() -> None:
    pacing = Pacing(LeaseQuotas(per_tenant=60))
    for number in range(3 * SWEEP_ABOVE):
        assert pacing.take_quota("gateway", f"t{number}", START + number) is None
    assert pacing.take_quota("gateway", "t0", START + 3 * SWEEP_ABOVE) is None


# --- Tokens -----------------------------------------------------------------------------------


def test_a_lease_id_opens_for_its_principal_only() -> None:
    tokens = Tokens.of([b"secret"])
    lease_id = tokens.sign(LEASE)
    assert tokens.open(lease_id, GATEWAY) == LEASE
    for strange in (lease_id[:-2], lease_id.upper(), "", "kb1.", "kb1." + "A" * 100, "é"):
        with pytest.raises(LeaseUnknownError):
            tokens.open(strange, GATEWAY)
    with pytest.raises(LeaseUnknownError):
        tokens.open(lease_id, OTHER)


def test_an_old_signing_secret_opens_what_it_signed_and_a_foreign_one_nothing() -> None:
    old, both, foreign = Tokens.of([b"old"]), Tokens.of([b"new", b"old"]), Tokens.of([b"new"])
    assert both.open(old.sign(LEASE), GATEWAY) == LEASE
    assert foreign.open(both.sign(LEASE), GATEWAY) == LEASE
    with pytest.raises(LeaseUnknownError):
        foreign.open(old.sign(LEASE), GATEWAY)


def test_a_repeat_is_the_same_member_and_nothing_else_is() -> None:
    member = member_of(LEASE)
    assert member_of(replace(LEASE, uid="f" * 16)) == member
    for other in (
        replace(LEASE, attempt=2),
        replace(LEASE, request_id="x"),
        replace(LEASE, tenant="u"),
        replace(LEASE, principal="other"),
    ):
        assert member_of(other) != member
    nameless = replace(LEASE, request_id="")
    assert member_of(nameless) == LEASE.uid

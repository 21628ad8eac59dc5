"""A key is leasable when every circuit over it admits."""

from dataclasses import replace

import pytest

from broker.core.admission import (
    BLOCK_REASONS,
    FREE,
    MIN_INCONCLUSIVE_PROBES,
    SEVERITY,
    Block,
    Permit,
    admit,
    judge,
    key_scopes,
    takes_customer_trial,
    upstream_scopes,
)
from broker.core.circuit import FOREVER, Circuit, reopen
from broker.core.health import Health
from broker.core.policy import FAMILIES
from broker.core.scope import account_model_scope
from broker.core.words import DenialReason, Family, ScopeKind
from tests.unit.core.given import (
    ACCOUNT,
    KEY,
    KEY_MODEL,
    MODEL,
    NOW,
    PROVIDER,
    TROUBLES,
    UPSTREAM,
    Story,
    failed,
    make_key,
)


def opened(family: Family, *, probeable: bool = False) -> Circuit:
    story = Story()
    story.tell(failed("f", family, probeable=probeable))
    return story.circuit(family)


def test_every_family_has_its_reason_and_every_reason_its_rank() -> None:
    assert set(BLOCK_REASONS) == set(Family)
    assert sorted(SEVERITY) == sorted(BLOCK_REASONS.values())


@pytest.mark.parametrize(
    ("block", "state"),
    [
        *((Block(reason, NOW), FAMILIES[f].pool_state) for f, reason in BLOCK_REASONS.items()),
        (Block(DenialReason.TRIAL_BUSY, NOW, Family.QUOTA), "exhausted"),
        (Block(DenialReason.ALL_DISABLED, FOREVER), "disabled"),
        (Block(DenialReason.AT_CAPACITY, NOW), "healthy"),
    ],
)
def test_a_refusal_names_the_state_of_its_key(block: Block, state: str) -> None:
    expected = "healthy" if block.reason is DenialReason.UPSTREAM_OPEN else state
    assert block.key_state == expected


def test_a_key_stands_under_its_own_scopes_and_those_of_its_account() -> None:
    assert key_scopes(make_key(), MODEL) == (KEY, KEY_MODEL)
    scopes = key_scopes(make_key(account="main"), MODEL)
    assert scopes == (KEY, KEY_MODEL, ACCOUNT, account_model_scope(PROVIDER, "", "main", MODEL))


def test_an_upstream_is_judged_as_one_principal_reaches_it() -> None:
    kinds = [scope.kind for scope in upstream_scopes(UPSTREAM, "gateway")]
    assert kinds == [ScopeKind.UPSTREAM, ScopeKind.UPSTREAM_PRINCIPAL]


def test_a_calm_provider_admits_without_a_look() -> None:
    assert admit([Health(), Health()], (KEY, KEY_MODEL), NOW) is FREE


def test_trouble_elsewhere_does_not_concern_a_key() -> None:
    story = Story()
    story.tell(failed("f", Family.CREDENTIAL))
    elsewhere = KEY._replace(key_id="k2")
    assert admit([story.health], (elsewhere,), NOW) is FREE
    assert admit([story.health, Health()], (KEY,), NOW).block is not None


@pytest.mark.parametrize("family", Family)
def test_an_open_circuit_blocks_until_its_deadline(family: Family) -> None:
    record = opened(family)
    assert judge([record], NOW).block == Block(BLOCK_REASONS[family], record.until)


def test_a_keys_own_health_is_no_upstreams() -> None:
    """A key that alone gets server errors cools down; the upstream is open to other keys."""
    record = replace(opened(Family.HEALTH), scope=KEY)
    assert judge([record], NOW).block == Block(DenialReason.COOLING_DOWN, record.until)


def test_the_gravest_block_names_the_state_and_the_longest_wait_counts() -> None:
    limit = replace(opened(Family.LIMIT), until=NOW + 9000.0)
    block = judge([limit, opened(Family.CREDENTIAL)], NOW).block
    assert block == Block(DenialReason.QUARANTINED, NOW + 9000.0)


def test_a_lease_needs_the_permits_of_all_half_open_circuits_over_it() -> None:
    records = [opened(Family.QUOTA), opened(Family.ACCESS)]
    now = max(record.until for record in records)
    admission = judge(records, now)
    assert admission.block is None
    assert admission.permits == (Permit(ACCOUNT, Family.QUOTA), Permit(KEY_MODEL, Family.ACCESS))


def test_an_open_circuit_outweighs_a_half_open_one() -> None:
    quota, access = opened(Family.QUOTA), opened(Family.ACCESS)
    admission = judge([quota, replace(access, until=quota.until + 10.0)], quota.until)
    assert admission.permits == ()
    assert admission.block == Block(DenialReason.RESTRICTED, quota.until + 10.0)


def test_a_ramping_circuit_admits_and_is_counted() -> None:
    record = reopen(opened(Family.QUOTA), NOW)
    assert judge([record], NOW).ramps == (record,)


def test_a_closed_record_asks_nothing() -> None:
    record = reopen(opened(Family.QUOTA), NOW)
    assert judge([record], record.standing(NOW).ends) == FREE


def test_a_probe_and_not_a_customer_tries_a_quarantined_key() -> None:
    record = opened(Family.CREDENTIAL, probeable=True)
    assert judge([record], record.until).block == Block(DenialReason.QUARANTINED, FOREVER)


def test_a_customer_tries_a_quarantined_key_where_no_probe_can_tell() -> None:
    record = opened(Family.CREDENTIAL)
    assert judge([record], record.until).permits == (Permit(KEY, Family.CREDENTIAL),)


def test_a_customer_tries_a_quarantined_key_after_three_probes_that_proved_nothing() -> None:
    record = opened(Family.CREDENTIAL, probeable=True)
    tried = [
        takes_customer_trial(replace(record, inconclusive=number))
        for number in range(MIN_INCONCLUSIVE_PROBES + 1)
    ]
    assert tried == [False, False, False, True]


@pytest.mark.parametrize("family", [f for f in TROUBLES if f is not Family.CREDENTIAL])
def test_every_other_family_is_tried_by_a_customer(family: Family) -> None:
    assert takes_customer_trial(opened(family, probeable=True))


def test_a_record_nobody_tried_for_a_day_asks_for_no_trial_before_the_sweep_either() -> None:
    """When a replica sweeps changes no decision."""
    story = Story()
    story.tell(failed("f", Family.QUOTA))
    now = story.circuit(Family.QUOTA).until + 86_400.0
    assert admit([story.health], (ACCOUNT,), now) == FREE

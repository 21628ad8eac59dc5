"""The commands that ask what a gateway would get: leases, explanations, models, policies."""

import pytest

from broker.cli.exits import Exit
from keybroker.v1 import admin_pb2, lease_pb2, policy_pb2, status_pb2
from tests.unit.cli.conftest import Keybroker
from tests.unit.cli.samples import SECRET, a_denial, a_lease
from tests.unit.cli.scripted import Scripted


def test_a_lease_is_tried_and_given_back_without_showing_what_is_secret(
    keybroker: Keybroker, broker: Scripted
) -> None:
    broker.on("AcquireLease", lease_pb2.AcquireLeaseResponse(lease=a_lease()))
    broker.on("ReleaseLease", lease_pb2.ReleaseLeaseResponse())
    ask = ("lease", "try", "openai", "gpt-4o", "--format")
    for result in (keybroker(*ask, "table"), keybroker(*ask, "json")):
        assert result.code == Exit.OK
        assert "https://api.openai.com/v1" in result.out
        assert SECRET not in result.out + result.err
        assert "kb1.signed" not in result.out + result.err
    as_json = keybroker(*ask, "json").json
    assert as_json["released"] is True
    assert as_json["lease"]["api_key"]["header_name"] == "authorization"
    released = [request.lease_id for request in broker.requests("ReleaseLease")]
    assert released == ["kb1.signed"] * 3
    assert broker.requests("AcquireLease")[0].ttl.seconds == 30


def test_a_denial_is_an_answer_with_an_exit_code(keybroker: Keybroker, broker: Scripted) -> None:
    broker.on("AcquireLease", lease_pb2.AcquireLeaseResponse(denial=a_denial()))
    ask = ("lease", "try", "openai", "gpt-4o", "--tenant", "acme", "--fallback", "groq/a/b")
    result = keybroker(*ask, "--exclude", "k1", "--affinity", "talk-1")
    assert result.code == Exit.REFUSED
    assert "cooling_down" in result.out
    assert "1.5s" in result.out
    assert "groq/llama" in result.out
    [request] = broker.requests("AcquireLease")
    assert (request.tenant_id, request.excluded_key_ids) == ("acme", ["k1"])
    assert (request.fallbacks[0].provider, request.fallbacks[0].model) == ("groq", "a/b")
    as_json = keybroker(*ask, "--format", "json")
    assert as_json.code == Exit.REFUSED
    assert as_json.json["denial"]["reason"] == "DENIAL_REASON_COOLING_DOWN"
    assert not broker.requests("ReleaseLease")


@pytest.mark.parametrize("text", ["groq", "/x", "groq/", ""])
def test_a_fallback_that_is_no_upstream_is_told(keybroker: Keybroker, text: str) -> None:
    result = keybroker("explain", "openai", "gpt-4o", "--fallback", text)
    assert result.code == Exit.USAGE
    assert "write provider/model" in result.err


def test_explain_tells_what_each_key_lacks(keybroker: Keybroker, broker: Scripted) -> None:
    admits = status_pb2.FilterAnswer(filter=status_pb2.FILTER_ENABLED, admits=True)
    refuses = status_pb2.FilterAnswer(
        filter=status_pb2.FILTER_CIRCUITS, detail="its limit circuit is open"
    )
    refuses.retry_delay.FromSeconds(125)
    answer = status_pb2.ExplainAcquireResponse(
        would_grant=status_pb2.WouldGrant(key_id="openai/2", provider="openai", model="gpt-4o"),
        upstreams=[
            status_pb2.UpstreamExplanation(
                policy="system keys",
                keys=[
                    status_pb2.KeyExplanation(key_id="openai/2", leasable=True, answers=[admits]),
                    status_pb2.KeyExplanation(key_id="openai/1", answers=[admits, refuses]),
                ],
                denial=a_denial(),
            )
        ],
    )
    broker.on("ExplainAcquire", answer)
    result = keybroker("explain", "openai", "gpt-4o", "--as", "chat")
    assert result.code == Exit.OK
    assert "openai/2" in result.out
    assert "every filter admits it" in result.out
    assert "circuits: its limit circuit is open, again in 2m 5s" in result.out
    assert "cooling_down: every key is rate limited" in result.out
    assert broker.requests("ExplainAcquire")[0].principal == "chat"


def test_explain_says_once_why_nothing_would_be_granted(
    keybroker: Keybroker, broker: Scripted
) -> None:
    upstream = status_pb2.UpstreamExplanation(policy="system keys", denial=a_denial())
    answer = status_pb2.ExplainAcquireResponse(denial=a_denial(), upstreams=[upstream])
    broker.on("ExplainAcquire", answer)
    result = keybroker("explain", "openai", "gpt-4o")
    assert result.code == Exit.OK
    assert result.out.count(a_denial().message) == 1


def test_models_are_listed_for_a_tenant(keybroker: Keybroker, broker: Scripted) -> None:
    model = status_pb2.RunnableModel(provider="openai", model="gpt-4o", key_count=3)
    broker.on("ListRunnableModels", status_pb2.ListRunnableModelsResponse(models=[model]))
    result = keybroker("models", "--tenant", "acme", "--provider", "openai")
    assert "gpt-4o" in result.out
    assert broker.requests("ListRunnableModels")[0].tenant_id == "acme"
    broker.on("ListRunnableModels", status_pb2.ListRunnableModelsResponse())
    nothing = keybroker("models")
    assert (nothing.code, nothing.out) == (Exit.OK, "")
    assert "keybroker status" in nothing.err


@pytest.fixture
def policies() -> admin_pb2.GetTenantPolicyResponse:
    unset = policy_pb2.TenantPolicy(
        tenant_id="acme", provider="openai", mode=policy_pb2.POLICY_MODE_SYSTEM_ONLY
    )
    return admin_pb2.GetTenantPolicyResponse(policies=[unset])


def test_a_policy_says_whether_it_was_set(
    keybroker: Keybroker, broker: Scripted, policies: admin_pb2.GetTenantPolicyResponse
) -> None:
    broker.on("GetTenantPolicy", policies, admin_pb2.GetTenantPolicyResponse())
    result = keybroker("tenants", "policy", "get", "acme", "openai")
    assert "system_only" in result.out
    assert "never, the default" in result.out
    assert "No policy is set for acme" in keybroker("tenants", "policy", "get", "acme").err

"""The commands that change something: what they send, and what they make of the answers."""

import grpc
import pytest

from broker.cli.exits import Exit
from keybroker.v1 import admin_pb2, circuit_pb2, key_pb2, policy_pb2, scope_pb2, status_pb2
from tests.unit.cli.conftest import Keybroker
from tests.unit.cli.samples import NOON, SECRET, a_circuit, a_key
from tests.unit.cli.scripted import Fault, Scripted


def test_a_key_is_rotated(keybroker: Keybroker, broker: Scripted) -> None:
    broker.on("RotateKey", admin_pb2.RotateKeyResponse(key=a_key("acme-1")))
    result = keybroker("keys", "rotate", "acme-1", stdin=SECRET)
    assert result.code == Exit.OK
    assert broker.requests("RotateKey")[0].secret.plaintext == SECRET
    assert SECRET not in result.out + result.err


def test_a_system_key_is_changed_in_its_source(keybroker: Keybroker, broker: Scripted) -> None:
    metadata = {"key_id": "openai/1", "source": "environment"}
    code = grpc.StatusCode.FAILED_PRECONDITION
    owned = Fault(code, "a source owns it", "KEY_SOURCE_OWNED", metadata)
    broker.on("RotateKey", owned)
    result = keybroker("keys", "rotate", "openai/1", stdin=SECRET)
    assert result.code == Exit.REFUSED
    assert "environment: change it there" in result.err


def test_an_update_names_exactly_what_was_given(keybroker: Keybroker, broker: Scripted) -> None:
    broker.on("UpdateKey", admin_pb2.UpdateKeyResponse(key=a_key()))
    result = keybroker(
        *("keys", "update", "acme-1", "--weight", "0.5", "--concurrency", "0", "--model", "a=b"),
        *("--unset", "expires-at"),
    )
    assert result.code == Exit.OK
    [request] = broker.requests("UpdateKey")
    assert set(request.update_mask.paths) == {
        *("weight", "limits.concurrency", "models", "expire_time"),
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "nothing to change"),
        (["--unset", "weight"], "none of models"),
        (["--unset", "account", "--account", "x"], "both set and unset"),
        (["--unset", "limits", "--concurrency", "3"], "both set and unset"),
        (["--expires-at", "soon"], "is no time"),
        (["--model", "=x"], "names no model"),
    ],
)
def test_an_update_that_cannot_be_meant_is_told(
    keybroker: Keybroker, broker: Scripted, given: list[str], said: str
) -> None:
    result = keybroker("keys", "update", "acme-1", *given)
    assert result.code == Exit.USAGE
    assert said in result.err
    assert not broker.asked


def test_a_key_is_deleted_only_when_somebody_said_yes(
    keybroker: Keybroker, broker: Scripted
) -> None:
    broker.on("DeleteKey", admin_pb2.DeleteKeyResponse())
    refused = keybroker("keys", "delete", "acme-1", stdin="y\n")
    assert refused.code == Exit.USAGE
    assert "--yes" in refused.err
    assert not broker.asked
    assert keybroker("keys", "delete", "acme-1", "--yes").code == Exit.OK
    assert broker.requests("DeleteKey")[0].key_id == "acme-1"
    assert keybroker("keys", "delete", "x", "-y", "--format", "json").json == {}


def test_a_key_is_disabled_with_a_reason_and_enabled(
    keybroker: Keybroker, broker: Scripted
) -> None:
    broker.on("DisableKey", admin_pb2.DisableKeyResponse(key=a_key()))
    broker.on("EnableKey", admin_pb2.EnableKeyResponse(key=a_key()))
    assert "disabled" in keybroker("keys", "disable", "openai/1", "--reason", "leaked").out
    assert broker.requests("DisableKey")[0].reason == "leaked"
    assert "enabled" in keybroker("keys", "enable", "openai/1").out


def probed(key_id: str, result: key_pb2.ProbeResult.ValueType) -> admin_pb2.ProbeKeysResponse:
    return admin_pb2.ProbeKeysResponse(
        key_id=key_id, provider="openai", result=result, detail="401, x", done_count=1
    )


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ([key_pb2.PROBE_RESULT_AUTHENTICATED], Exit.OK),
        ([key_pb2.PROBE_RESULT_AUTHENTICATED, key_pb2.PROBE_RESULT_INCONCLUSIVE], Exit.OK),
        ([key_pb2.PROBE_RESULT_AUTHENTICATED, key_pb2.PROBE_RESULT_REJECTED], Exit.REJECTED),
        ([key_pb2.PROBE_RESULT_INCONCLUSIVE], Exit.UNPROVED),
        ([], Exit.OK),
    ],
)
def test_probes_end_with_a_code_that_says_what_they_found(
    keybroker: Keybroker,
    broker: Scripted,
    results: list[key_pb2.ProbeResult.ValueType],
    code: Exit,
) -> None:
    broker.on("ProbeKeys", [probed(f"openai/{n}", r) for n, r in enumerate(results)])
    result = keybroker("keys", "probe", "openai/0", "openai/1")
    assert result.code == code
    assert len(result.out.splitlines()) == (len(results) + 1 if results else 0)
    as_json = keybroker("keys", "probe", "--provider", "openai", "--format", "json")
    assert [line["key_id"] for line in as_json.lines] == [
        f"openai/{number}" for number in range(len(results))
    ]
    by_id, by_provider = broker.requests("ProbeKeys")
    assert list(by_id.key_ids) == ["openai/0", "openai/1"]
    assert by_provider.provider == "openai"


@pytest.mark.parametrize(
    ("given", "scope"),
    [
        (["--key", "k"], scope_pb2.Scope(kind=scope_pb2.SCOPE_KIND_KEY, key_id="k")),
        (
            ["--key", "k", "--model", "m", "--revision", "r"],
            scope_pb2.Scope(
                kind=scope_pb2.SCOPE_KIND_KEY_MODEL, key_id="k", model="m", revision="r"
            ),
        ),
        (
            ["--provider", "p", "--account", "a", "--owner", "t"],
            scope_pb2.Scope(
                kind=scope_pb2.SCOPE_KIND_ACCOUNT, provider="p", account="a", owner="t"
            ),
        ),
        (
            ["--provider", "p", "--account", "a", "--model", "m"],
            scope_pb2.Scope(
                kind=scope_pb2.SCOPE_KIND_ACCOUNT_MODEL, provider="p", account="a", model="m"
            ),
        ),
        (
            ["--provider", "p", "--model", "m"],
            scope_pb2.Scope(kind=scope_pb2.SCOPE_KIND_UPSTREAM, provider="p", model="m"),
        ),
        (
            ["--provider", "p", "--model", "m", "--principal", "g"],
            scope_pb2.Scope(
                kind=scope_pb2.SCOPE_KIND_UPSTREAM_PRINCIPAL,
                provider="p",
                model="m",
                principal="g",
            ),
        ),
    ],
)
def test_what_is_named_decides_how_wide_the_cleared_scope_is(
    keybroker: Keybroker, broker: Scripted, given: list[str], scope: scope_pb2.Scope
) -> None:
    broker.on("ClearCircuit", admin_pb2.ClearCircuitResponse(cleared=[a_circuit()]))
    result = keybroker("circuits", "clear", *given, "--family", "health")
    assert result.code == Exit.OK
    assert "key openai/1 (r1)" in result.out
    [request] = broker.requests("ClearCircuit")
    assert request.scope == scope
    assert request.family == circuit_pb2.FAMILY_HEALTH


@pytest.mark.parametrize(
    "given", [[], ["--provider", "p"], ["--model", "m"], ["--key", "k", "--account", "a"]]
)
def test_a_scope_that_names_nothing_is_told(
    keybroker: Keybroker, broker: Scripted, given: list[str]
) -> None:
    result = keybroker("circuits", "clear", *given)
    assert result.code == Exit.USAGE
    assert "name what to close" in result.err
    assert not broker.asked


def test_clearing_what_is_closed_is_no_error(keybroker: Keybroker, broker: Scripted) -> None:
    broker.on("ClearCircuit", admin_pb2.ClearCircuitResponse())
    result = keybroker("circuits", "clear", "--key", "k")
    assert (result.code, result.out) == (Exit.OK, "")
    assert keybroker("circuits", "clear", "--key", "k", "--format", "json").json == {"cleared": []}


def test_an_upstream_is_disabled_and_enabled(keybroker: Keybroker, broker: Scripted) -> None:
    mark = key_pb2.Disablement(by="ann", at=NOON, reason="too dear")
    upstream = status_pb2.DisabledUpstream(provider="openai", model="gpt-4o", disabled=mark)
    broker.on("DisableUpstream", admin_pb2.DisableUpstreamResponse(upstream=upstream))
    broker.on("EnableUpstream", admin_pb2.EnableUpstreamResponse())
    result = keybroker("upstreams", "disable", "openai", "gpt-4o", "--reason", "too dear")
    assert "too dear" in result.out
    [request] = broker.requests("DisableUpstream")
    assert (request.provider, request.model) == ("openai", "gpt-4o")
    assert "openai is enabled" in keybroker("upstreams", "enable", "openai").out
    assert broker.requests("EnableUpstream")[0].model == ""


def test_a_policy_is_set(keybroker: Keybroker, broker: Scripted) -> None:
    policy = policy_pb2.TenantPolicy(
        tenant_id="acme",
        provider="openai",
        mode=policy_pb2.POLICY_MODE_TENANT_THEN_SYSTEM,
        fall_through=[key_pb2.KEY_STATE_EXHAUSTED],
        set_by="ann",
        set_time=NOON,
    )
    broker.on("SetTenantPolicy", admin_pb2.SetTenantPolicyResponse(policy=policy))
    given = ("tenants", "policy", "set", "acme", "openai", "tenant-then-system")
    result = keybroker(*given, "--fall-through", "exhausted")
    assert "tenant_then_system" in result.out
    [request] = broker.requests("SetTenantPolicy")
    assert request.mode == policy_pb2.POLICY_MODE_TENANT_THEN_SYSTEM
    assert list(request.fall_through) == [key_pb2.KEY_STATE_EXHAUSTED]
    wrong = keybroker("tenants", "policy", "set", "acme", "openai", "mine")
    assert wrong.code == Exit.USAGE
    assert "tenant_only, tenant_then_system, system_only" in wrong.err


def test_a_weight_of_none_is_refused_since_it_would_mean_the_usual_one(
    keybroker: Keybroker, broker: Scripted
) -> None:
    for weight in ("0", "-1", "nan"):
        result = keybroker("keys", "update", "acme-1", f"--weight={weight}")
        assert result.code == Exit.USAGE
        assert "keybroker keys disable" in result.err
    assert broker.requests("UpdateKey") == []

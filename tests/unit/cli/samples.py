"""Answers of a broker, as tests need them."""

from google.protobuf.timestamp_pb2 import Timestamp

from keybroker.v1 import circuit_pb2, denial_pb2, key_pb2, lease_pb2, scope_pb2, status_pb2
from keybroker.v1 import verdict_pb2 as verdict

NOON = Timestamp(seconds=1_900_000_000)
SECRET = "sk-canary-0123456789"


def a_circuit(until_s: int = 90) -> circuit_pb2.Circuit:
    """A key that is quarantined."""
    return circuit_pb2.Circuit(
        scope=scope_pb2.Scope(
            kind=scope_pb2.SCOPE_KIND_KEY, provider="openai", key_id="openai/1", revision="r1"
        ),
        family=circuit_pb2.FAMILY_CREDENTIAL,
        state=circuit_pb2.CIRCUIT_STATE_OPEN,
        reason=verdict.VERDICT_KIND_INVALID_CREDENTIAL,
        since=Timestamp(seconds=NOON.seconds - 3725),
        until=Timestamp(seconds=NOON.seconds + until_s),
        reported_by="chat-gateway",
    )


def a_key(key_id: str = "openai/1", **given: object) -> key_pb2.Key:
    """A key of the system's, quarantined."""
    made: dict[str, object] = {
        "key_id": key_id,
        "provider": "openai",
        "provenance": key_pb2.PROVENANCE_SYSTEM,
        "revision": "0123456789abcdef",
        "state": key_pb2.KEY_STATE_QUARANTINED,
        "weight": 1.0,
        "models": {"gpt-4o": "", "fast": "gpt-4o-mini"},
        "limits": key_pb2.KeyLimits(concurrency=20),
        "circuits": [a_circuit()],
        "source": "environment",
        "revisions": [
            key_pb2.KeyRevision(revision="0123456789abcdef", stage=key_pb2.REVISION_STAGE_IN_USE)
        ],
    }
    return key_pb2.Key(**(made | given))  # type: ignore[arg-type]


def a_status() -> status_pb2.GetStatusResponse:
    """A broker in trouble."""
    status = status_pb2.BrokerStatus(
        time=NOON,
        emergency=True,
        providers=[
            status_pb2.ProviderStatus(
                provider="openai",
                dialect="openai",
                keys_by_state={"quarantined": 1, "healthy": 2},
                last_success_time=Timestamp(seconds=NOON.seconds - 200),
            )
        ],
        circuits=[a_circuit()],
        circuit_count=1,
        incidents=[
            status_pb2.Incident(provider="openai", since=NOON, message="2 of 2 keys were rejected")
        ],
        upstreams=[
            status_pb2.UpstreamStatus(
                provider="openai", model="gpt-4o", ok_count=9, failed_count=1, uptime=0.9
            )
        ],
        disabled_upstreams=[
            status_pb2.DisabledUpstream(
                provider="openai",
                model="gpt-4o",
                disabled=key_pb2.Disablement(by="ann", at=NOON, reason="too dear"),
            ),
            status_pb2.DisabledUpstream(
                provider="groq", disabled=key_pb2.Disablement(by="ann", at=NOON)
            ),
        ],
        sources=[
            status_pb2.SourceStatus(
                source="environment", key_count=3, read_time=NOON, faults=[".env:3: is empty"]
            )
        ],
        store=status_pb2.StoreStatus(
            state=status_pb2.STORE_STATE_DEGRADED,
            pending_facts=4,
            kind="sqlite",
            fault="the disk is full",
        ),
        replica=status_pb2.ReplicaStatus(
            name="replica-1", version="0.1.0", start_time=Timestamp(seconds=NOON.seconds - 90_061)
        ),
        seal=status_pb2.SealStatus(
            state=status_pb2.SEAL_STATE_SEALED, fault="the sealing key is missing"
        ),
        not_ready=["openai: its keys were not proved"],
    )
    return status_pb2.GetStatusResponse(status=status)


def a_lease() -> lease_pb2.Lease:
    """A lease with a secret in it."""
    return lease_pb2.Lease(
        lease_id="kb1.signed",
        key_id="openai/1",
        revision="r1",
        provider="openai",
        model="gpt-4o",
        provider_model="gpt-4o-2024",
        base_url="https://api.openai.com/v1",
        provenance=key_pb2.PROVENANCE_SYSTEM,
        api_key=lease_pb2.ApiKey(
            secret=key_pb2.SecretValue(plaintext=SECRET),
            header_name="authorization",
            header_prefix="Bearer ",
            extra_headers={"x-version": "1"},
        ),
    )


def a_denial() -> denial_pb2.Denial:
    """No lease, for now."""
    denial = denial_pb2.Denial(
        reason=denial_pb2.DENIAL_REASON_COOLING_DOWN,
        message="every key is rate limited",
        action=denial_pb2.DENIAL_ACTION_RETRY_LATER,
        alternatives=[denial_pb2.Target(provider="groq", model="llama")],
        keys_by_state={"cooling_down": 2},
        help_url="https://status.example",
    )
    denial.retry_delay.FromMilliseconds(1500)
    return denial

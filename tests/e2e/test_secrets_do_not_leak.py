"""Canaries in every secret, a varied and unlucky day, and not one of them comes out anywhere."""

import asyncio
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import httpx
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from keybroker.v1 import (
    admin_pb2,
    circuit_pb2,
    denial_pb2,
    lease_pb2,
    outcome_pb2,
    scope_pb2,
    status_pb2,
)
from simulator import Fault, Refusal
from tests.e2e.canaries import (
    GATEWAY_TOKEN,
    KEYS,
    OPERATOR_TOKEN,
    OTHER_TOKEN,
    SIGNED,
    STRAY_TOKEN,
    Broker,
    Witness,
    broker,
    env_text,
    leaks_in,
)
from tests.e2e.conftest import MODELS
from tests.gateway import Gateway, duration

__all__ = ["broker"]


async def test_no_secret_leaves_but_in_its_lease(broker: Broker, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{broker.grpc_port}")
        await stack.enter_async_context(channel)
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=2.0))
        gateway, other, operator, nobody = (
            Gateway(channel, http, token)
            for token in (GATEWAY_TOKEN, OTHER_TOKEN, OPERATOR_TOKEN, STRAY_TOKEN)
        )
        watches = [
            asyncio.create_task(_watch(broker.witness, "WatchKeys", gateway)),
            asyncio.create_task(_watch(broker.witness, "WatchStatus", operator)),
        ]
        await _probed(broker, operator)
        given = await _leases_and_reports(broker, gateway)
        await _bad_input(broker, gateway, other, nobody, given)
        await _operators(broker, operator)
        await _open_services(broker, channel, operator)
        broker.env_file.write_text(env_text("rotated") + "OPENAI_API_KEY_1=again\n")
        refresh = operator.admin.RefreshKeys(
            admin_pb2.RefreshKeysRequest(), metadata=operator.metadata
        )
        await broker.witness.call("RefreshKeys", refresh)
        await _operators(broker, operator)
        await _http_pages(broker, http)
        await asyncio.sleep(1.2)  # a tick, so that the watchers hear of it all
        broker.process.send_signal(signal.SIGTERM)
        await asyncio.gather(*watches)
    assert broker.process.stdout is not None
    printed = await broker.process.stdout.read()
    assert await asyncio.wait_for(broker.process.wait(), 10.0) == 0
    logged = (tmp_path / "stderr").read_bytes()
    assert b"call_failed" in logged, "the forced exception is not in the log"
    assert b"Traceback" in logged
    assert broker.witness.leaks() == {}
    assert len(broker.witness.heard) > 100, "the scenario did not happen"
    assert leaks_in(printed) == []
    shown = [line for line in logged.splitlines() if leaks_in(line)]
    assert shown == []
    assert SIGNED.encode() not in logged


async def _watch(witness: Witness, place: str, caller: Gateway) -> None:
    """Listen until the drain."""
    stream: Any
    if place == "WatchKeys":
        stream = caller.leases.WatchKeys(lease_pb2.WatchKeysRequest(), metadata=caller.metadata)
    else:
        stream = caller.status.WatchStatus(
            status_pb2.WatchStatusRequest(), metadata=caller.metadata
        )
    try:
        async for message in stream:
            witness.hear(place, message)
    except grpc.aio.AioRpcError as ended:
        witness.heard.append((place, repr(ended).encode()))


async def _probed(broker: Broker, operator: Gateway) -> None:
    """Probe well, and then at providers in every kind of trouble."""
    troubles: list[Refusal | Fault | None] = [None, Refusal.KEY_ECHOED]
    troubles += [Fault.HTML_PAGE, Fault.REDIRECT_302, Fault.RESET, Fault.GARBAGE, Fault.HALF_BODY]
    troubles.append(None)  # so that there is something to lease
    for trouble in troubles:
        for name in MODELS:
            if trouble is not None:
                broker.sim.fault(trouble, dialect=name, times=1)
        stream = operator.admin.ProbeKeys(admin_pb2.ProbeKeysRequest(), metadata=operator.metadata)
        async for done in stream:
            broker.witness.hear("ProbeKeys", done)
        broker.sim.clear_faults()


async def _leases_and_reports(broker: Broker, gateway: Gateway) -> list[lease_pb2.Lease]:
    """Every provider, well and with the key in the error; returns the leases."""
    leases = []
    call: Any
    models = [*MODELS.items(), ("evil", "honest"), ("openai", "gpt-4o")]
    for trouble in (None, Refusal.BARE_UNAUTHORIZED, Refusal.KEY_ECHOED, Refusal.EMPTY_WALLET):
        for provider, model in models:
            request = lease_pb2.AcquireLeaseRequest(
                provider=provider, model=model, tenant_id="acme-1", affinity_key="chat"
            )
            call = gateway.leases.AcquireLease(request, metadata=gateway.metadata)
            answer = await broker.witness.call("AcquireLease", call)
            if not answer.HasField("lease"):
                continue
            lease = answer.lease
            leases.append(lease)
            if trouble is not None and provider in MODELS:
                broker.sim.fault(trouble, dialect=provider, times=1)
            if provider in MODELS:
                outcome = await gateway.call(lease)
            else:
                outcome = gateway.outcome(http_status=418, body=f"no {_secret(lease)}".encode())
            outcome.headers["authorization"] = f"Bearer {_secret(lease)}"
            outcome.headers["retry-after"] = _secret(lease)
            report = lease_pb2.ReportOutcomeRequest(
                lease_id=lease.lease_id, outcome=outcome, acquire_next=lease_pb2.AcquireNext()
            )
            call = gateway.leases.ReportOutcome(report, metadata=gateway.metadata)
            await broker.witness.call("ReportOutcome", call)
            speaker = status_pb2.ClassifyOutcomeRequest(provider=provider, outcome=outcome)
            call = gateway.status.ClassifyOutcome(speaker, metadata=gateway.metadata)
            await broker.witness.call("ClassifyOutcome", call)
            explain = status_pb2.ExplainAcquireRequest(acquire=request)
            call = gateway.status.ExplainAcquire(explain, metadata=gateway.metadata)
            await broker.witness.call("ExplainAcquire", call)
    assert len(leases) > len(MODELS)
    return leases


def _secret(lease: lease_pb2.Lease) -> str:
    return lease.api_key.secret.plaintext


async def _bad_input(
    broker: Broker,
    gateway: Gateway,
    other: Gateway,
    nobody: Gateway,
    leases: list[lease_pb2.Lease],
) -> None:
    """Secrets where they do not belong: whoever put them there is not told them back."""
    secret, held = KEYS["openai"], leases[0].lease_id
    call: Any
    stray = f"{secret}\n{held}"
    acquires: list[dict[str, Any]] = [
        {"provider": stray, "model": "m"},
        {"provider": "openai", "model": stray},
        {"provider": "openai", "model": "m", "tenant_id": stray},
        {"provider": "openai", "model": "m", "request_id": stray},
        {"provider": "openai", "model": "m", "affinity_key": stray * 99},
        {"provider": "openai", "model": "m", "excluded_key_ids": [stray]},
        {"provider": "openai", "model": "m", "fallbacks": [denial_pb2.Target(provider=stray)]},
        {"provider": "openai", "model": "m", "ttl": duration(0)},
    ]
    for fields in acquires:
        for caller in (gateway, other, nobody):
            request = lease_pb2.AcquireLeaseRequest(**fields)
            call = caller.leases.AcquireLease(request, metadata=caller.metadata)
            await broker.witness.call(f"AcquireLease {list(fields)[-1]}", call)
    outcomes = [
        outcome_pb2.Outcome(outcome_id=stray, http_status=200),
        outcome_pb2.Outcome(outcome_id="1", http_status=9999, body=secret.encode()),
        outcome_pb2.Outcome(outcome_id="1", http_status=401, headers={f"{secret}\n": secret}),
        outcome_pb2.Outcome(outcome_id="1", http_status=401, headers={"a": f"\n{secret}"}),
        outcome_pb2.Outcome(outcome_id="1", http_status=401, body=secret.encode() * 999),
    ]
    for outcome in outcomes:
        for lease_id in (held, held[:-2], secret, f"kb1.{secret}", ""):
            for caller in (gateway, other):
                report = lease_pb2.ReportOutcomeRequest(lease_id=lease_id, outcome=outcome)
                call = caller.leases.ReportOutcome(report, metadata=caller.metadata)
                await broker.witness.call("a bad ReportOutcome", call)
    for call in (
        other.leases.RenewLease(
            lease_pb2.RenewLeaseRequest(lease_id=held), metadata=other.metadata
        ),
        gateway.leases.RenewLease(
            lease_pb2.RenewLeaseRequest(lease_id=held), metadata=gateway.metadata
        ),
        other.leases.ReleaseLease(
            lease_pb2.ReleaseLeaseRequest(lease_id=held), metadata=other.metadata
        ),
        gateway.admin.ListKeys(admin_pb2.ListKeysRequest(), metadata=gateway.metadata),
        gateway.leases.ReportOutcomes(
            lease_pb2.ReportOutcomesRequest(
                reports=[
                    lease_pb2.ReportOutcomeRequest(lease_id=lease_id, outcome=outcome)
                    for lease_id in (held, secret)
                    for outcome in outcomes
                ]
            ),
            metadata=gateway.metadata,
        ),
        gateway.status.ListRunnableModels(
            status_pb2.ListRunnableModelsRequest(page_token=secret), metadata=gateway.metadata
        ),
    ):
        await broker.witness.call("wrong callers", call)


async def _operators(broker: Broker, operator: Gateway) -> None:
    """Everything that operators see and do."""
    admin, status, metadata = operator.admin, operator.status, operator.metadata
    listed = await broker.witness.call(
        "ListKeys", admin.ListKeys(admin_pb2.ListKeysRequest(), metadata=metadata)
    )
    key = listed.keys[0]
    scope = scope_pb2.Scope(kind=scope_pb2.SCOPE_KIND_KEY, key_id=key.key_id)
    calls: dict[str, Any] = {
        "GetKey": admin.GetKey(admin_pb2.GetKeyRequest(key_id=key.key_id), metadata=metadata),
        "GetKey broken": admin.GetKey(admin_pb2.GetKeyRequest(key_id="broken"), metadata=metadata),
        "DisableKey": admin.DisableKey(
            admin_pb2.DisableKeyRequest(key_id=key.key_id, reason="why not"), metadata=metadata
        ),
        "EnableKey": admin.EnableKey(
            admin_pb2.EnableKeyRequest(key_id=key.key_id), metadata=metadata
        ),
        "RevokeLeases": admin.RevokeLeases(
            admin_pb2.RevokeLeasesRequest(key_id=key.key_id), metadata=metadata
        ),
        "ClearCircuit": admin.ClearCircuit(
            admin_pb2.ClearCircuitRequest(scope=scope, family=circuit_pb2.FAMILY_CREDENTIAL),
            metadata=metadata,
        ),
        "GetStatus": status.GetStatus(status_pb2.GetStatusRequest(), metadata=metadata),
        "ListRunnableModels": status.ListRunnableModels(
            status_pb2.ListRunnableModelsRequest(page_size=1000), metadata=metadata
        ),
        "ListEvents": admin.ListEvents(
            admin_pb2.ListEventsRequest(page_size=1000, since=Timestamp(seconds=1)),
            metadata=metadata,
        ),
        "ListEvents token": admin.ListEvents(
            admin_pb2.ListEventsRequest(page_token=KEYS["openai"]), metadata=metadata
        ),
    }
    for place, call in calls.items():
        await broker.witness.call(place, call)


async def _open_services(broker: Broker, channel: grpc.aio.Channel, operator: Gateway) -> None:
    """Health and reflection."""
    health: Any = health_pb2_grpc.HealthStub(channel)
    for service in ("", "provider/openai", KEYS["openai"]):
        request = health_pb2.HealthCheckRequest(service=service)
        await broker.witness.call("health", health.Check(request))
    stub: Any = reflection_pb2_grpc.ServerReflectionStub
    reflection = stub(channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    async for told in reflection.ServerReflectionInfo(iter([asked]), metadata=operator.metadata):
        broker.witness.hear("reflection", told)


async def _http_pages(broker: Broker, http: httpx.AsyncClient) -> None:
    """The pages, with and without the token."""
    base = f"http://127.0.0.1:{broker.http_port}"
    seen = time.monotonic()
    for path in ("/metrics", "/status", "/livez", "/readyz", f"/{KEYS['openai']}"):
        for token in (OPERATOR_TOKEN, STRAY_TOKEN):
            answer = await http.get(base + path, headers={"authorization": f"Bearer {token}"})
            broker.witness.heard.append((path[:8], repr(answer.headers).encode() + answer.content))
    assert time.monotonic() - seen < 10.0

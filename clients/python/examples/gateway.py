"""A gateway in thirty lines: lease a key, call the provider, report, go on as advised."""

import asyncio
import sys
import uuid

import grpc
import httpx

from keybroker.v1 import lease_pb2, lease_pb2_grpc, outcome_pb2


async def call(http: httpx.AsyncClient, lease: lease_pb2.Lease, prompt: str) -> httpx.Response:
    """Call an OpenAI-compatible provider with the leased key."""
    key = lease.api_key
    secret = {key.header_name: key.header_prefix + key.secret.plaintext}
    body = {"model": lease.provider_model, "messages": [{"role": "user", "content": prompt}]}
    return await http.post(
        f"{lease.base_url}/chat/completions", json=body, headers={**secret, **key.extra_headers}
    )


async def serve(broker: str, provider: str, model: str, prompt: str) -> str:
    """Answer one prompt, with as many keys as it takes."""
    async with grpc.aio.insecure_channel(broker) as channel, httpx.AsyncClient() as http:
        leases = lease_pb2_grpc.LeaseServiceStub(channel)
        asked = lease_pb2.AcquireLeaseRequest(provider=provider, model=model)
        answer = await leases.AcquireLease(asked)
        while answer.HasField("lease"):
            response = await call(http, answer.lease, prompt)
            outcome = outcome_pb2.Outcome(
                outcome_id=uuid.uuid4().hex,
                http_status=response.status_code,
                headers=dict(response.headers),
                body=b"" if response.is_success else response.content[:16384],
            )
            report = lease_pb2.ReportOutcomeRequest(
                lease_id=answer.lease.lease_id,
                outcome=outcome,
                acquire_next=None if response.is_success else lease_pb2.AcquireNext(),
            )
            answer = await leases.ReportOutcome(report)
            if response.is_success:
                return response.text
        return f"no key: {answer.denial.message}"


if __name__ == "__main__":
    print(asyncio.run(serve(*sys.argv[1:])))

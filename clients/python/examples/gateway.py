"""A gateway in thirty lines: lease a key, call the provider, report, go on as advised."""

import sys
import uuid

import grpc
import httpx

from keybroker.v1 import lease_pb2, lease_pb2_grpc, outcome_pb2


def serve(broker: str, provider: str, model: str, prompt: str) -> str:
    """Answer one prompt, with as many keys of an OpenAI-compatible provider as it takes."""
    leases = lease_pb2_grpc.LeaseServiceStub(grpc.insecure_channel(broker))
    answer = leases.AcquireLease(lease_pb2.AcquireLeaseRequest(provider=provider, model=model))
    while answer.HasField("lease"):
        lease, key = answer.lease, answer.lease.api_key
        headers = {key.header_name: key.header_prefix + key.secret.plaintext, **key.extra_headers}
        body = {"model": lease.provider_model, "messages": [{"role": "user", "content": prompt}]}
        response = httpx.post(f"{lease.base_url}/chat/completions", headers=headers, json=body)
        report = lease_pb2.ReportOutcomeRequest(lease_id=lease.lease_id)
        report.outcome.outcome_id = uuid.uuid4().hex
        report.outcome.http_status = response.status_code
        report.outcome.headers.update(response.headers)
        report.outcome.phase = outcome_pb2.PHASE_COMPLETE
        if response.is_success:
            leases.ReportOutcome(report)
            return response.text
        report.outcome.body = response.content[:16384]
        report.acquire_next.SetInParent()
        answer = leases.ReportOutcome(report)
    return f"no key: {answer.denial.message}"


if __name__ == "__main__":
    print(serve(*sys.argv[1:]))

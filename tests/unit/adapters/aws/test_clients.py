"""The threads in which AWS is called: bounded, left alone when nobody waits, and closed."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from botocore import exceptions

from broker.adapters.aws import AwsCallError, AwsClients, Trouble
from broker.adapters.aws.client import THREADS
from broker.adapters.aws.errors import as_call_error
from tests.fakes import eventually

CANARY = "sk-canary-0123456789"


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What work in threads waits for; opened at the end, so that none of it stays."""
    gate = threading.Event()
    yield gate
    gate.set()


async def test_work_runs_in_a_thread_and_gives_its_result_or_raises() -> None:
    clients = AwsClients()
    assert await clients.run(threading.get_ident) != threading.get_ident()

    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await clients.run(fail)
    await clients.close()


async def test_no_more_threads_run_than_there_are_places(gate: threading.Event) -> None:
    clients, running = AwsClients(), 0

    def work() -> None:
        nonlocal running
        running += 1
        gate.wait(10)

    tasks = [asyncio.create_task(clients.run(work)) for _ in range(THREADS * 2)]
    await eventually(lambda: running == THREADS)
    assert sum(thread.name == "aws" for thread in threading.enumerate()) == THREADS
    gate.set()
    await asyncio.gather(*tasks)
    assert running == THREADS * 2


async def test_a_place_that_nobody_waits_for_is_free_when_its_call_ends(
    gate: threading.Event,
) -> None:
    clients = AwsClients()
    tasks = [asyncio.create_task(clients.run(lambda: gate.wait(10))) for _ in range(THREADS)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    waiting = asyncio.create_task(clients.run(lambda: "done"))
    await asyncio.sleep(0)
    assert not waiting.done()
    gate.set()
    assert await waiting == "done"


async def test_closing_does_not_wait_for_ever_and_takes_no_more_calls(
    gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.adapters.aws.client.CLOSE_S", 0.01)
    clients = AwsClients()
    task = asyncio.create_task(clients.run(lambda: gate.wait(10)))
    await asyncio.sleep(0)
    await clients.close()
    with pytest.raises(AwsCallError, match="the broker is stopping"):
        await clients.call("kms", "encrypt", {})
    gate.set()
    assert await task


def test_a_call_that_hangs_holds_up_no_end_of_the_process() -> None:
    program = """
import asyncio, threading
from broker.adapters.aws import AwsClients

async def main():
    clients = AwsClients()
    asyncio.create_task(clients.run(threading.Event().wait))
    await asyncio.sleep(0.1)

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, timeout=20)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("error", "trouble", "message"),
    [
        (exceptions.NoRegionError(), Trouble.CALLER, "set AWS_REGION"),
        (exceptions.NoCredentialsError(), Trouble.CALLER, "there are no AWS credentials"),
        (exceptions.ProfileNotFound(profile=CANARY), Trouble.CALLER, "there are no AWS cred"),
        (
            exceptions.PartialCredentialsError(provider=CANARY, cred_var=CANARY),
            Trouble.CALLER,
            "there are no AWS credentials",
        ),
        (exceptions.EndpointConnectionError(endpoint_url=CANARY), Trouble.AWAY, "be reached"),
        (exceptions.ProxyConnectionError(proxy_url=CANARY), Trouble.AWAY, "cannot be reached"),
        (exceptions.ReadTimeoutError(endpoint_url=CANARY), Trouble.AWAY, "did not answer in"),
        (exceptions.ConnectTimeoutError(endpoint_url=CANARY), Trouble.AWAY, "did not answer in"),
        (
            exceptions.SSLError(endpoint_url=CANARY, error=OSError(CANARY)),
            Trouble.AWAY,
            "no certificate",
        ),
        (exceptions.HTTPClientError(error=CANARY), Trouble.AWAY, "cannot be reached"),
        (exceptions.ParamValidationError(report=CANARY), Trouble.REFUSED, "no such call"),
        (ValueError(CANARY), Trouble.AWAY, "an answer that cannot be read"),
        (RecursionError(CANARY), Trouble.AWAY, "an answer that cannot be read"),
    ],
)
def test_what_boto3_raises_is_told_without_a_word_of_it(
    error: Exception, trouble: Trouble, message: str
) -> None:
    told = as_call_error(error)
    assert told.trouble is trouble
    assert message in str(told)
    assert "canary" not in repr(told)


@pytest.mark.parametrize(
    "response",
    [
        {},
        {"Error": None, "ResponseMetadata": []},
        {"Error": {"Code": [CANARY], "Message": {}}, "ResponseMetadata": {"HTTPStatusCode": "x"}},
        {"Error": {"Code": f"{CANARY}\n", "Message": CANARY}, "ResponseMetadata": {}},
        {"Error": {"Code": "A" * 100}, "ResponseMetadata": {"HTTPStatusCode": 400}},
    ],
)
def test_an_answer_that_is_no_error_of_aws_is_trouble_that_may_pass(response: Any) -> None:
    error = exceptions.ClientError({"Error": {}}, "GetSecretValue")
    error.response = response
    told = as_call_error(error)
    assert (told.trouble, told.code) == (Trouble.AWAY, "")
    assert "canary" not in repr(told)

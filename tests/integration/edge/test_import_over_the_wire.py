"""Imports over a real connection: what is not sent to its end is not kept, however it broke off."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

import grpc
import pytest

from keybroker.v1 import admin_pb2, admin_pb2_grpc, key_pb2
from tests.integration.edge.conftest import OpenApp, info_of

if TYPE_CHECKING:
    from keybroker.v1.admin_pb2_grpc import AdminServiceAsyncStub as Stub

Connect = Callable[[int], Awaitable[grpc.aio.Channel]]

Admin: TypeAlias = "tuple[Stub, int]"

ROUNDS = 6

KILLED = """
import os, signal, sys, threading, time
import grpc
from keybroker.v1 import admin_pb2, admin_pb2_grpc, key_pb2

def requests():
    for number in range(int(sys.argv[2])):
        secret = key_pb2.SecretValue(plaintext=f"sk-{sys.argv[1]}-{number}")
        key = admin_pb2.ImportedKey(tenant_id="acme", provider="openai", secret=secret)
        yield admin_pb2.ImportKeysRequest(keys=[key])
    threading.Event().wait()

channel = grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}")
answers = admin_pb2_grpc.AdminServiceStub(channel).ImportKeys(requests())
for number in range(int(sys.argv[2])):
    next(answers)
os.kill(os.getpid(), signal.SIGKILL)
"""
"""A caller that dies when all that it sent was answered: only its last message was not sent."""


def a_part(*secrets: str) -> admin_pb2.ImportKeysRequest:
    keys = [
        admin_pb2.ImportedKey(
            tenant_id="acme", provider="openai", secret=key_pb2.SecretValue(plaintext=secret)
        )
        for secret in secrets
    ]
    return admin_pb2.ImportKeysRequest(keys=keys)


async def kept(admin: "Stub") -> int:
    answer = await admin.ListKeys(admin_pb2.ListKeysRequest(tenant_id="acme", page_size=1000))
    return len(answer.keys)


@pytest.fixture
async def admin(open_app: OpenApp, connect: Connect) -> Admin:
    app = await open_app()
    return admin_pb2_grpc.AdminServiceStub(await connect(app.grpc_port)), app.grpc_port


async def test_an_import_is_answered_message_by_message(admin: Admin) -> None:
    stub, _ = admin
    call = stub.ImportKeys(iter([a_part("sk-1", "sk-2"), a_part("sk-3")]))
    told = [(a.checked_count, a.done, a.created_count) async for a in call]
    assert told == [(2, False, 0), (3, False, 0), (3, False, 0), (3, True, 3)]
    assert await kept(stub) == 3


async def test_a_killed_caller_leaves_nothing(admin: Admin) -> None:
    stub, port = admin
    for _ in range(ROUNDS):
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, str(port), "3")
        await process.wait()
    await asyncio.sleep(0.3)
    assert await kept(stub) == 0


async def test_a_cancelled_caller_leaves_nothing(admin: Admin) -> None:
    stub, _ = admin
    for number in range(ROUNDS):
        call = stub.ImportKeys()
        await call.write(a_part(f"sk-{number}"))
        await call.read()
        call.cancel()
    await asyncio.sleep(0.3)
    assert await kept(stub) == 0


async def test_a_message_that_is_no_import_ends_it(admin: Admin) -> None:
    stub, _ = admin
    call = stub.ImportKeys(iter([a_part("sk-1"), admin_pb2.ImportKeysRequest()]))
    with pytest.raises(grpc.aio.AioRpcError) as error:
        async for _ in call:
            pass
    assert info_of(error.value).reason == "ERROR_REASON_INVALID_FIELD"
    assert await kept(stub) == 0


async def test_bytes_that_are_no_message_change_nothing(admin: Admin, connect: Connect) -> None:
    stub, port = admin
    channel = await connect(port)
    raw: grpc.aio.StreamStreamMultiCallable[bytes, bytes]
    raw = channel.stream_stream("/keybroker.v1.AdminService/ImportKeys")
    call = raw()
    await call.write(a_part("sk-1").SerializeToString())
    await call.read()
    await call.write(b"\xff\xff\xff")
    await call.done_writing()
    assert await call.code() is not grpc.StatusCode.OK
    assert await kept(stub) == 0

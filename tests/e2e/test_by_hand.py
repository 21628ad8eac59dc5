"""The ways people first meet the broker: grpcurl, and the thirty-line gateway."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from tests.e2e.conftest import MODELS, World
from tests.tools import require_tool

ROOT = Path(__file__).parents[2]
GPT = MODELS["openai"]


async def _output(*command: str) -> str:
    """What a program prints; fails the test with its complaint otherwise."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    printed, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
    return printed.decode()


async def _grpcurl(world: World, method: str, request: dict[str, Any]) -> Any:
    """Call a method by reflection, as an operator does at 3 a.m."""
    address = f"127.0.0.1:{world.app.grpc_port}"
    command = (require_tool("grpcurl"), "-plaintext", "-d", json.dumps(request), address)
    return json.loads(await _output(*command, f"keybroker.v1.{method}"))


async def test_grpcurl_leases_and_reports(world: World) -> None:
    """No stub, no helper: reflection tells what there is."""
    [secret] = await world.add_keys("openai", 1)
    asked = {"provider": "openai", "model": GPT}
    lease = (await _grpcurl(world, "LeaseService/AcquireLease", asked))["lease"]
    assert lease["api_key"]["secret"]["plaintext"] == secret
    outcome = {"outcome_id": "1", "http_status": 401}
    report = {"lease_id": lease["lease_id"], "outcome": outcome}
    answer = await _grpcurl(world, "LeaseService/ReportOutcome", report)
    assert answer["verdict"]["kind"] == "VERDICT_KIND_INVALID_CREDENTIAL"
    status = await _grpcurl(world, "StatusService/GetStatus", {})
    assert status["status"]["circuits"]


async def test_the_thirty_line_gateway_gets_an_answer_through_a_dead_key(world: World) -> None:
    """It leases, is refused with the first key, and is served with the second."""
    dead, _ = await world.add_keys("openai", 2)
    world.sim.revoke(dead)
    gateway = str(ROOT / "clients" / "python" / "examples" / "gateway.py")
    broker = f"127.0.0.1:{world.app.grpc_port}"
    for _ in range(4):
        answer = await _output(sys.executable, gateway, broker, "openai", GPT, "Hello")
        assert "Hello from the simulator." in answer
    assert len([call for call in world.sim.calls_of(dead) if call.model]) <= 1


async def test_the_readmes_example_gets_an_answer(world: World, tmp_path: Path) -> None:
    """It is pasted as it is, and needs nothing but the broker's address."""
    await world.add_keys("openai", 1)
    blocks = (ROOT / "README.md").read_text().split("```python\n")[1:]
    [example] = [block.partition("```")[0] for block in blocks]
    pasted = tmp_path / "example.py"
    pasted.write_text(example)
    address = f"KEYBROKER_ADDRESS=127.0.0.1:{world.app.grpc_port}"
    answer = await _output("env", address, sys.executable, str(pasted))
    assert answer.startswith("openai/")
    assert "Hello from the simulator." in answer

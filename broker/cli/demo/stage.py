"""Where the demo plays: a folder, the simulated providers and a broker, each a real process."""

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from broker.cli.demo.providers import MODELS, Providers
from broker.cli.exits import CommandError, Exit

START_S = 30.0
STOP_S = 10.0

_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "SYSTEMROOT")
"""What the processes inherit: no key and no setting of whoever runs the demo."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The running processes, and the `.env` file that the broker watches."""

    address: str
    providers: Providers
    env_file: Path
    http: httpx.AsyncClient

    def write_keys(self, secrets: Mapping[str, Sequence[str]]) -> None:
        """Put these secrets of each provider into the `.env`, at once as editors do."""
        lines = [
            f"{provider.upper()}_API_KEY_{number}={secret}"
            for provider, own in secrets.items()
            for number, secret in enumerate(own, start=1)
        ]
        draft = self.env_file.with_suffix(".new")
        draft.write_text("\n".join(lines) + "\n")
        draft.replace(self.env_file)


@asynccontextmanager
async def open_stage(secrets: Mapping[str, Sequence[str]]) -> AsyncIterator[Stage]:
    """Start everything with these keys, and clean up behind it. Raises CommandError."""
    async with AsyncExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="keybroker-demo-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=10.0, trust_env=False))
        urls = await _start(stack, folder, "simulator", [], {}, "control ")
        providers = Providers(urls["control"], http)
        await providers.open()
        for provider, own in secrets.items():
            for secret in own:
                await providers.issue(provider, secret)
        stage = Stage("", providers, folder / ".env", http)
        stage.write_keys(secrets)
        settings = {
            "KEYBROKER_GRPC_LISTEN": "127.0.0.1:0",
            "KEYBROKER_HTTP_LISTEN": "",
            "KEYBROKER_ENV_FILE": str(stage.env_file),
            "KEYBROKER_PROVIDERS": json.dumps({name: {"base_url": urls[name]} for name in MODELS}),
            "KEYBROKER_LOG_LEVEL": "warning",
            "KEYBROKER_DRAIN_SECONDS": "1",
            "KEYBROKER_SENTINEL_SECONDS": "3",  # 60 otherwise: nobody looks at a demo for so long
        }
        told = await _start(
            stack, folder, "broker", ["serve"], settings, "Keybroker serves gRPC on"
        )
        yield Stage(told["Keybroker"].rpartition(" ")[2], providers, stage.env_file, http)


async def _start(
    stack: AsyncExitStack,
    folder: Path,
    module: str,
    arguments: Sequence[str],
    settings: Mapping[str, str],
    last: str,
) -> dict[str, str]:
    """Run a module until the stack ends it; the lines it says at its start, by first word."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    with (folder / f"{module}.log").open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            cwd=folder,
            env={**kept, **settings},
            start_new_session=True,  # Ctrl-C is for the demo, which ends the others in order
        )
    stack.push_async_callback(_stop, process)
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    told: dict[str, str] = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(START_S):
            while line := (await process.stdout.readline()).decode().strip():
                first, _, rest = line.partition(" ")
                told[first] = rest
                if line.startswith(last.strip()):
                    return told
    why = (folder / f"{module}.log").read_text(errors="replace").strip().splitlines()[-1:]
    message = f"the {module} of the demo did not start: {' '.join(why) or 'it said nothing'}"
    raise CommandError(Exit.FAILED, message)


async def _stop(process: asyncio.subprocess.Process) -> None:
    """End a process, at last by force."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()

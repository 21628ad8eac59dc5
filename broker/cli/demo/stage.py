"""Where the demo plays: a folder, the simulated providers and a broker, each a real process."""

import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from broker.cli.demo.providers import MODELS, Providers
from broker.cli.processes import Child


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
        simulator = Child(folder, "simulator of the demo", "simulator", last="control ")
        stack.push_async_callback(simulator.stop)
        urls = await simulator.start({})
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
        served = "Keybroker serves gRPC on"
        child = Child(folder, "broker of the demo", "broker", ["serve"], last=served)
        stack.push_async_callback(child.stop)
        told = await child.start(settings)
        yield Stage(told["Keybroker"].rpartition(" ")[2], providers, stage.env_file, http)

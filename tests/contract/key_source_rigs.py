"""Sources of keys with a handle to change what they hold, one rig an adapter."""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, Self

from broker.adapters.aws import AwsClients, SecretsManagerSource, Selector
from broker.adapters.env import EnvKeySource
from broker.adapters.toml import TomlKeySource
from broker.core.key import Key
from broker.core.secret import Secret
from broker.core.words import Provenance
from broker.ports.key_source import KeySource, SourceFault
from tests.aws import ACCESS, HASTE, Vault, aws_url, new_prefix
from tests.fakes import FakeKeySource

FINGERPRINT_SECRET = b"a secret for fingerprints"
PROVIDERS = ("openai", "anthropic")
PAUSE_S = 0.01


class KeySourceRig(AbstractContextManager["KeySourceRig"], Protocol):
    """A source, and the hand of the operator who fills it."""

    source: KeySource

    def put(self, provider: str, name: str, plaintext: str) -> None:
        """Add a key, or rotate the one of that name."""

    def remove(self, provider: str, name: str) -> None:
        """Take a key away."""

    def spoil(self) -> None:
        """Put something in that is no key."""

    def cut_off(self) -> None:
        """Make the source unreadable."""

    def restore(self) -> None:
        """Make it readable again."""


class FakeRig:
    """The fake's attributes are its handle."""

    def __init__(self) -> None:
        self._fake = FakeKeySource()
        self.source: KeySource = self._fake

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def put(self, provider: str, name: str, plaintext: str) -> None:
        self.remove(provider, name)
        secret = Secret(plaintext)
        key = Key(
            f"{provider}/{name}",
            secret.fingerprint(FINGERPRINT_SECRET),
            provider,
            secret,
            Provenance.SYSTEM,
        )
        self._fake.keys = (*self._fake.keys, key)

    def remove(self, provider: str, name: str) -> None:
        kept = (key for key in self._fake.keys if key.key_id != f"{provider}/{name}")
        self._fake.keys = tuple(kept)

    def spoil(self) -> None:
        self._fake.faults = (SourceFault("fake:1", "has no value"),)

    def cut_off(self) -> None:
        self._fake.is_down = True

    def restore(self) -> None:
        self._fake.is_down = False


class FileRig:
    """Writes a file before each reading."""

    def __init__(self, name: str) -> None:
        self._folder = TemporaryDirectory()
        self._file = Path(self._folder.name) / name
        self._entries: dict[tuple[str, str], str] = {}
        self._write()
        self.source = self._source(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def put(self, provider: str, name: str, plaintext: str) -> None:
        self._entries[provider, name] = self._entry(provider, name, plaintext)
        self._write()

    def remove(self, provider: str, name: str) -> None:
        del self._entries[provider, name]
        self._write()

    def spoil(self) -> None:
        self._entries["", ""] = self._entry("openai", "0", "")
        self._write()

    def cut_off(self) -> None:
        self._file.unlink()

    def restore(self) -> None:
        self._write()

    def _write(self) -> None:
        self._file.write_text("".join(f"{entry}\n" for entry in self._entries.values()))

    def _source(self, file: Path) -> KeySource:
        raise NotImplementedError

    def _entry(self, provider: str, name: str, plaintext: str) -> str:
        raise NotImplementedError


class EnvRig(FileRig):
    """A `.env` file."""

    def __init__(self) -> None:
        super().__init__(".env")

    def _source(self, file: Path) -> KeySource:
        return EnvKeySource({}, file, PROVIDERS, FINGERPRINT_SECRET, required=True, pause_s=PAUSE_S)

    def _entry(self, provider: str, name: str, plaintext: str) -> str:
        return f"{provider.upper()}_API_KEY_{name}={plaintext}"


class TomlRig(FileRig):
    """A TOML file."""

    def __init__(self) -> None:
        super().__init__("keys.toml")

    def _source(self, file: Path) -> KeySource:
        return TomlKeySource(file, {}, PROVIDERS, FINGERPRINT_SECRET, pause_s=PAUSE_S)

    def _entry(self, provider: str, name: str, plaintext: str) -> str:
        return f'[[{provider}]]\nname = "{name}"\nsecret = "{plaintext}"'


class SwitchedClients(AwsClients):
    """Clients whose calls go nowhere while `is_cut_off`."""

    def __init__(self) -> None:
        super().__init__(HASTE, endpoint_url=aws_url(), **ACCESS)
        self._nowhere = AwsClients(HASTE, endpoint_url="http://127.0.0.1:1", **ACCESS)
        self.is_cut_off = False

    async def call(
        self, service: str, operation: str, parameters: Mapping[str, Any], region: str = ""
    ) -> dict[str, Any]:
        if self.is_cut_off:
            return await self._nowhere.call(service, operation, parameters, region)
        return await super().call(service, operation, parameters, region)


class SecretsManagerRig:
    """A secret a key, below a prefix."""

    def __init__(self) -> None:
        self._vault, self._prefix, self._clients = Vault(), new_prefix(), SwitchedClients()
        self.source: KeySource = SecretsManagerSource(
            [Selector(prefix=self._prefix)], PROVIDERS, FINGERPRINT_SECRET, self._clients
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._vault.close()

    def put(self, provider: str, name: str, plaintext: str) -> None:
        text = json.dumps({"name": name, "secret": plaintext})
        self._vault.put(f"{self._prefix}{name}/{provider}", text)

    def remove(self, provider: str, name: str) -> None:
        self._vault.destroy(f"{self._prefix}{name}/{provider}")

    def spoil(self) -> None:
        self._vault.put(f"{self._prefix}spoilt/openai", "{")

    def cut_off(self) -> None:
        self._clients.is_cut_off = True

    def restore(self) -> None:
        self._clients.is_cut_off = False

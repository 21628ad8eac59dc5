"""Opens exported keys on this machine: the broker gives no secret out."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from broker.adapters.keyfiles import KeyFile, KeyFileError, Purpose
from broker.adapters.seal import AesSealer
from broker.cli.exits import CommandError, Exit
from broker.core.sealed import Binding, SealedSecret
from broker.core.secret import Secret
from broker.ports.errors import SealBrokenError
from keybroker.v1 import admin_pb2, key_pb2


class Opener:
    """Puts secrets in place of what is sealed; keys that do not open are left out, and counted."""

    def __init__(self, seal_key: Path) -> None:
        try:
            keys = KeyFile(seal_key, Purpose.SEAL).read()
        except KeyFileError as error:
            raise CommandError(Exit.USAGE, f"--seal-key: {error}") from None
        if keys is None:
            message = f"--seal-key: {seal_key} is not there; name the broker's file of sealing keys"
            raise CommandError(Exit.USAGE, message)
        self._sealer = AesSealer.of_keys(*keys)
        self.unopened: list[str] = []

    def opened(self, keys: Iterable[admin_pb2.ImportedKey]) -> list[admin_pb2.ImportedKey]:
        """Each key with the secret that a provider accepted last, else with its newest."""
        return asyncio.run(self._opened(keys))

    async def _opened(self, keys: Iterable[admin_pb2.ImportedKey]) -> list[admin_pb2.ImportedKey]:
        found = []
        for key in keys:
            sealed = list(key.sealed.revisions)
            proved = [one for one in sealed if one.HasField("authenticate_time")]
            try:
                secret = await self._open(key, (proved or sealed)[0])
            except (SealBrokenError, IndexError):
                self.unopened.append(key.key_id)
                continue
            open_key = admin_pb2.ImportedKey()
            open_key.CopyFrom(key)
            open_key.secret.CopyFrom(key_pb2.SecretValue(plaintext=secret.reveal()))
            found.append(open_key)
        return found

    async def _open(self, key: admin_pb2.ImportedKey, revision: admin_pb2.SealedRevision) -> Secret:
        place = key.tenant_id, key.provider, key.key_id, revision.revision
        sealed = SealedSecret(revision.sealed_by, revision.wrapped_key, revision.ciphertext)
        return await self._sealer.open(sealed, Binding(*place, key.settings.base_url))

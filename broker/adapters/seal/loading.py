"""From the sealing key's file to a sealer, never with a fresh key over existing ciphertext."""

import re
from collections.abc import Collection

from broker.adapters.keyfiles import KeyFile, KeyFileError
from broker.adapters.seal.sealer import AesSealer, ClosedSealer
from broker.adapters.seal.wrapper import AesKeyWrapper
from broker.ports.sealer import Sealer

_KEY_ID = re.compile(r"[0-9a-f]{16}")
_MAX_NAMED = 3
_IF_LOST = "If it is lost for good, delete the tenants' keys that it sealed, and restart."


def load_sealer(file: KeyFile, existing: frozenset[str]) -> Sealer:
    """A sealer with the keys of `file`, which is made where nothing is sealed yet.

    `existing` are the ids of the keys that sealed what is kept. Where no key in the file is one of
    them, or the file is missing or unfit, the sealer is closed and its fault says what to do.
    """
    try:
        keys = file.read() if existing else file.obtain()
    except KeyFileError as error:
        return ClosedSealer(str(error))
    if keys is None:
        return ClosedSealer(
            f"{file.path} is missing, and {_named(existing)} sealed what is kept:"
            f" put the file back from a backup, and restart. {_IF_LOST}"
        )
    wrappers = [AesKeyWrapper(key) for key in keys]
    if existing and existing.isdisjoint(wrapper.key_id for wrapper in wrappers):
        return ClosedSealer(
            f"{file.path} holds key {wrappers[0].key_id}, but {_named(existing)} sealed what"
            f" is kept: put the right file back from a backup, and restart. {_IF_LOST}"
        )
    return AesSealer(*wrappers)


def _named(key_ids: Collection[str]) -> str:
    """Keys by id, as far as what was stored looks like one."""
    ids = sorted(key_id for key_id in key_ids if _KEY_ID.fullmatch(key_id))
    if not ids or len(ids) > _MAX_NAMED:
        return "another key" if len(key_ids) == 1 else f"{len(key_ids)} other keys"
    return f"key {' or '.join(ids)}"

"""From what the settings name to a sealer with its keys."""

from collections.abc import Sequence

from broker.adapters.keyfiles import KeyFile
from broker.adapters.seal.keyring import SealingKeyring
from broker.adapters.seal.wrapper import KeyWrapper

START_WAITS_S = 2.0
"""How long a start waits for services that keep keys."""


async def load_sealer(
    file: KeyFile | None,
    sealed_by: frozenset[str],
    *,
    services: Sequence[KeyWrapper] = (),
    may_make: bool = True,
) -> SealingKeyring:
    """A sealer with the keys of `file`, which is made where nothing is sealed yet, and services.

    `sealed_by` are the ids of the keys that sealed what is kept. Where no key at hand is one of
    them, or the file is missing or unfit, the sealer is closed and its fault says what to do.
    """
    keyring = SealingKeyring(file, services, sealed_by=sealed_by, may_make=may_make)
    await keyring.refresh()
    await keyring.wait_for_services(START_WAITS_S)
    return keyring

"""Secrets at rest under AES-256-GCM: a data key each, wrapped by a sealing key."""

from broker.adapters.seal.keyring import SealingKeyring
from broker.adapters.seal.loading import load_sealer
from broker.adapters.seal.sealer import AesSealer, ClosedSealer
from broker.adapters.seal.wrapper import AesKeyWrapper, KeyWrapper

__all__ = [
    "AesKeyWrapper",
    "AesSealer",
    "ClosedSealer",
    "KeyWrapper",
    "SealingKeyring",
    "load_sealer",
]

"""Tenants' keys in another system's table or query, read and never written."""

from broker.adapters.mapped.ciphers import Decrypt, fernet, plain
from broker.adapters.mapped.rows import RowReader
from broker.adapters.mapped.shape import Shape
from broker.adapters.mapped.store import MappedKeyStore
from broker.adapters.mapped.table import TheirTable
from broker.adapters.mapped.theirs import TheirKeys

__all__ = [
    "Decrypt",
    "MappedKeyStore",
    "RowReader",
    "Shape",
    "TheirKeys",
    "TheirTable",
    "fernet",
    "plain",
]

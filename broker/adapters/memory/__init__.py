"""State of one process, gone when it ends: for `database = memory`, and for tests."""

from broker.adapters.memory.agreements import MemoryAgreements
from broker.adapters.memory.claims import MemoryClaims
from broker.adapters.memory.event_history import MemoryEventHistory
from broker.adapters.memory.fact_log import MemoryFactLog
from broker.adapters.memory.key_store import MemoryKeyStore
from broker.adapters.memory.last_good import MemoryLastGoodStore
from broker.adapters.memory.mark_store import MemoryMarkStore
from broker.adapters.memory.sealed_rows import MemorySealedRows

__all__ = [
    "MemoryAgreements",
    "MemoryClaims",
    "MemoryEventHistory",
    "MemoryFactLog",
    "MemoryKeyStore",
    "MemoryLastGoodStore",
    "MemoryMarkStore",
    "MemorySealedRows",
]

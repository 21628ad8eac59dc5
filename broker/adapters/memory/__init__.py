"""State of one process, gone when it ends: the default until there is a database."""

from broker.adapters.memory.claims import MemoryClaims
from broker.adapters.memory.event_history import MemoryEventHistory
from broker.adapters.memory.fact_log import MemoryFactLog
from broker.adapters.memory.mark_store import MemoryMarkStore

__all__ = ["MemoryClaims", "MemoryEventHistory", "MemoryFactLog", "MemoryMarkStore"]

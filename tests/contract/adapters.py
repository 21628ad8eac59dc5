"""Every adapter of every port: one line here, and the port's suite runs over it."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext

from prometheus_client import CollectorRegistry

from broker.adapters.memory import (
    MemoryClaims,
    MemoryEventHistory,
    MemoryFactLog,
    MemoryMarkStore,
)
from broker.adapters.prometheus import PrometheusMeter
from broker.adapters.system import SystemClock
from broker.ports.claims import Claims
from broker.ports.clock import Clock
from broker.ports.event_history import EventHistory
from broker.ports.fact_log import FactLog
from broker.ports.gauges import StatusGauges
from broker.ports.mark_store import MarkStore
from broker.ports.meter import Meter
from tests.contract import key_source_rigs, prober_rigs
from tests.contract.key_source_rigs import KeySourceRig
from tests.contract.prober_rigs import ProberRig
from tests.fakes import FakeClock, FakeFactLog, FakeMeter

MakeFactLog = Callable[[FakeClock], AbstractAsyncContextManager[FactLog]]
MakeClaims = Callable[[], AbstractAsyncContextManager[Claims]]
MakeMarkStore = Callable[[], AbstractAsyncContextManager[MarkStore]]
MakeEventHistory = Callable[[], AbstractAsyncContextManager[EventHistory]]

FACT_LOGS: Mapping[str, MakeFactLog] = {
    "memory": lambda clock: nullcontext(MemoryFactLog(clock)),
    "fake": lambda clock: nullcontext(FakeFactLog(MemoryFactLog(clock), clock)),
}

CLAIMS: Mapping[str, MakeClaims] = {
    "memory": lambda: nullcontext(MemoryClaims()),
}

MARK_STORES: Mapping[str, MakeMarkStore] = {
    "memory": lambda: nullcontext(MemoryMarkStore()),
}

EVENT_HISTORIES: Mapping[str, MakeEventHistory] = {
    "memory": lambda: nullcontext(MemoryEventHistory()),
}

CLOCKS: Mapping[str, Callable[[], Clock]] = {
    "system": SystemClock,
    "fake": FakeClock,
}

KEY_SOURCES: Mapping[str, Callable[[], KeySourceRig]] = {
    "env": key_source_rigs.EnvRig,
    "fake": key_source_rigs.FakeRig,
}

PROBERS: Mapping[str, Callable[[], AbstractAsyncContextManager[ProberRig]]] = {
    "http": prober_rigs.http_rig,
    "fake": prober_rigs.fake_rig,
}

METERS: Mapping[str, Callable[[], Meter]] = {
    "prometheus": lambda: PrometheusMeter(
        CollectorRegistry(), FakeClock(), lambda _: frozenset({"gpt-4o"}), StatusGauges
    ),
    "fake": FakeMeter,
}

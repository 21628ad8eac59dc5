"""Every adapter of every port: one line here, and the port's suite runs over it."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext

from prometheus_client import CollectorRegistry

from broker.adapters.memory import (
    MemoryAgreements,
    MemoryClaims,
    MemoryEventHistory,
    MemoryFactLog,
    MemoryKeyStore,
    MemoryLastGoodStore,
    MemoryMarkStore,
)
from broker.adapters.prometheus import PrometheusMeter
from broker.adapters.seal import AesSealer
from broker.adapters.sql import (
    SqlAgreements,
    SqlEventHistory,
    SqlFactLog,
    SqlKeyStore,
    SqlLastGoodStore,
    SqlMarkStore,
    SqlSharedFactLog,
)
from broker.adapters.system import SystemClock
from broker.ports.agreements import Agreements
from broker.ports.claims import Claims
from broker.ports.clock import Clock
from broker.ports.event_history import EventHistory
from broker.ports.fact_log import FactLog
from broker.ports.gauges import StatusGauges
from broker.ports.key_store import KeyStore
from broker.ports.last_good import LastGoodStore
from broker.ports.mark_store import MarkStore
from broker.ports.meter import Meter
from broker.ports.sealer import Sealer
from tests.contract import key_source_rigs, prober_rigs, shared_rigs
from tests.contract.fake_kms import a_kms_key
from tests.contract.key_source_rigs import KeySourceRig
from tests.contract.mapped_rig import beside_a_table
from tests.contract.prober_rigs import ProberRig
from tests.contract.shared_rigs import FeedRig
from tests.contract.sql_rigs import on_database, on_postgresql
from tests.fakes import FakeClock, FakeFactLog, FakeMeter

MakeFactLog = Callable[[FakeClock], AbstractAsyncContextManager[FactLog]]
MakeClaims = Callable[[], AbstractAsyncContextManager[Claims]]
MakeMarkStore = Callable[[], AbstractAsyncContextManager[MarkStore]]
MakeEventHistory = Callable[[], AbstractAsyncContextManager[EventHistory]]
MakeKeyStore = Callable[[], AbstractAsyncContextManager[KeyStore]]
MakeLastGoodStore = Callable[[], AbstractAsyncContextManager[LastGoodStore]]

FACT_LOGS: Mapping[str, MakeFactLog] = {
    "memory": lambda clock: nullcontext(MemoryFactLog(clock)),
    "fake": lambda clock: nullcontext(FakeFactLog(MemoryFactLog(clock), clock)),
    "sql": lambda clock: on_database(lambda database: SqlFactLog(database, clock))(),
    "shared": lambda clock: on_postgresql(lambda database: SqlSharedFactLog(database, clock))(),
    "shared by two": shared_rigs.log_of_two,
}

CHANGE_FEEDS: Mapping[str, Callable[[], AbstractAsyncContextManager[FeedRig]]] = {
    "postgresql": shared_rigs.postgresql_feed,
}

AGREEMENTS: Mapping[str, Callable[[], AbstractAsyncContextManager[Agreements]]] = {
    "memory": lambda: nullcontext(MemoryAgreements()),
    "sql": on_database(SqlAgreements),
    "postgresql": on_postgresql(SqlAgreements),
}

CLAIMS: Mapping[str, MakeClaims] = {
    "memory": lambda: nullcontext(MemoryClaims()),
}

MARK_STORES: Mapping[str, MakeMarkStore] = {
    "memory": lambda: nullcontext(MemoryMarkStore()),
    "sql": on_database(SqlMarkStore),
    "postgresql": on_postgresql(SqlMarkStore),
}

EVENT_HISTORIES: Mapping[str, MakeEventHistory] = {
    "memory": lambda: nullcontext(MemoryEventHistory()),
    "sql": on_database(lambda database: SqlEventHistory(database, FakeClock())),
    "postgresql": on_postgresql(lambda database: SqlEventHistory(database, FakeClock())),
}

KEY_STORES: Mapping[str, MakeKeyStore] = {
    "memory": lambda: nullcontext(MemoryKeyStore()),
    "sql": on_database(SqlKeyStore),
    "postgresql": on_postgresql(SqlKeyStore),
    "beside a table": beside_a_table,
}

LAST_GOOD_STORES: Mapping[str, MakeLastGoodStore] = {
    "memory": lambda: nullcontext(MemoryLastGoodStore()),
    "sql": on_database(SqlLastGoodStore),
    "postgresql": on_postgresql(SqlLastGoodStore),
}

SEALERS: Mapping[str, Callable[[], Sealer]] = {
    "aes": lambda: AesSealer.of_keys(bytes(32)),
    "aes with an older key": lambda: AesSealer.of_keys(bytes(32), b"older" + bytes(27)),
    "kms": lambda: AesSealer(a_kms_key()),
}

CLOCKS: Mapping[str, Callable[[], Clock]] = {
    "system": SystemClock,
    "fake": FakeClock,
}

KEY_SOURCES: Mapping[str, Callable[[], KeySourceRig]] = {
    "env": key_source_rigs.EnvRig,
    "toml": key_source_rigs.TomlRig,
    "secrets-manager": key_source_rigs.SecretsManagerRig,
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

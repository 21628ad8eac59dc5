"""What the services of one replica need from outside."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import TypeAlias

from broker.core.policy import DAY_S
from broker.core.tenancy import PolicyMode
from broker.ports.agreements import Agreements
from broker.ports.changes import ChangeFeed
from broker.ports.claims import Claims
from broker.ports.clock import Clock
from broker.ports.event_history import EventHistory
from broker.ports.fact_log import FactLog
from broker.ports.gauges import TakeGauges
from broker.ports.key_source import KeySource
from broker.ports.key_store import KeyStore
from broker.ports.last_good import LastGoodStore
from broker.ports.mark_store import MarkStore
from broker.ports.meter import Meter
from broker.ports.prober import Prober
from broker.ports.sealed_rows import SealedRows
from broker.ports.sealer import RotatingSealer, Sealer
from broker.ports.source_copies import SourceCopies
from broker.services.lookout import WatchRules
from broker.services.pacing import LeaseQuotas
from broker.services.refreshing import SourceRules
from broker.services.tenant_sources import Table

KnownModels: TypeAlias = Callable[[str], Collection[str] | None]
MakeMeter: TypeAlias = Callable[[KnownModels, TakeGauges], Meter]
"""A meter asks which models of a provider may be labels, and for the gauges at scrape."""


@dataclass(frozen=True, slots=True)
class Tenancy:
    """What settings say of tenants.

    `default_mode` says whose keys serve those without a policy. `cache_size` is how many tenants
    and keys of theirs, counted together, are kept at hand, and `max_stale_s` how long they are used
    that the store could not confirm. Those with keys in another system's table are read anew every
    `poll_s`.
    """

    default_mode: PolicyMode = PolicyMode.SYSTEM_ONLY
    cache_size: int = 10_000
    max_stale_s: float = DAY_S
    poll_s: float = inf


@dataclass(frozen=True, slots=True)
class StoreView:
    """What status tells of the store: what it is, and what is wrong with it, "" while it works."""

    kind: str = "memory"
    fault: Callable[[], str] = lambda: ""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the services need from outside: the ports, a name, and what settings say of leases.

    `secrets` sign lease ids and page tokens: the first signs, all are accepted. The fingerprint
    secret names revisions, and is the one that sources of keys use. Other brokers change the stores
    too where there is a feed of `changes`. The `vault` opens keys of another system's
    `table`.
    """

    replica: str
    clock: Clock
    sources: Sequence[KeySource]
    source_rules: SourceRules = field(default_factory=SourceRules)
    copies: SourceCopies | None = None
    prober: Prober
    log: FactLog
    claims: Claims
    mark_store: MarkStore
    key_store: KeyStore
    last_good: LastGoodStore
    sealer: RotatingSealer
    sealed_rows: SealedRows
    agreements: Agreements
    history: EventHistory
    make_meter: MakeMeter
    secrets: tuple[bytes, ...] = field(repr=False)
    fingerprint_secret: bytes = field(repr=False)
    quotas: LeaseQuotas
    tenancy: Tenancy = Tenancy()
    store: StoreView = StoreView()
    changes: ChangeFeed | None = None
    table: Table | None = None
    vault: Sealer | None = None
    watch: WatchRules = field(default_factory=WatchRules)

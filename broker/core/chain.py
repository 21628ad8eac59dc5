"""The chain of tries that serve one request: its provider faults count once, when final."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from broker.core.health import Counts
from broker.core.scope import Upstream
from broker.core.words import Kind

CHAIN_TTL_S = 30.0
"""A later try of the same request belongs to the chain within this time."""

MAX_CHAINS = 65_536


class ChainId(NamedTuple):
    """Whose request: ids of different principals and tenants never meet."""

    principal: str
    tenant: str
    request_id: str


@dataclass(slots=True)
class Chain:
    """Provider faults of one request at one upstream.

    `counted` is what the upstream's window holds of them, in `counted_second`; `kind` is the last
    one's, `started` when its call began and `report_id` its report, which may come again. Times are
    seconds of log time.
    """

    upstream: Upstream
    touched: float
    faults: int = 0
    kind: Kind = Kind.SERVER_ERROR
    counted: Counts = Counts()
    counted_second: int = 0
    started: float = 0.0
    report_id: str = ""


class ChainBook:
    """The chains of the last CHAIN_TTL_S on this replica, bounded."""

    def __init__(self) -> None:
        self._chains: OrderedDict[ChainId, Chain] = OrderedDict()

    def find(self, chain_id: ChainId, now: float) -> Chain | None:
        """The living chain of a request, if this replica knows one."""
        if not chain_id.request_id:
            return None
        chain = self._chains.get(chain_id)
        return chain if chain is not None and now - chain.touched <= CHAIN_TTL_S else None

    def open(self, chain_id: ChainId, upstream: Upstream, now: float) -> Chain:
        """The chain of a request at `upstream`: a new one when it is unknown or elsewhere."""
        chain = self.find(chain_id, now)
        if chain is None or chain.upstream != upstream:
            chain = Chain(upstream, now)
        chain.touched = now
        if chain_id.request_id:
            self._chains[chain_id] = chain
            self._chains.move_to_end(chain_id)
        self._trim(now)
        return chain

    def close(self, chain_id: ChainId) -> None:
        """Forget a request whose story is over."""
        self._chains.pop(chain_id, None)

    def __len__(self) -> int:
        return len(self._chains)

    def _trim(self, now: float) -> None:
        while self._chains:
            oldest = next(iter(self._chains))
            is_old = now - self._chains[oldest].touched > CHAIN_TTL_S
            if not is_old and len(self._chains) <= MAX_CHAINS:
                return
            del self._chains[oldest]

"""How one source's last reading went."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from broker.services.readings import Refreshed


@dataclass(frozen=True, slots=True, eq=False)
class SourceReading:
    """How one source's last reading went; `read_at` is the last good one, in epoch seconds.

    `is_from_copy` says that this was in an earlier run, of which a copy was kept. `unconfirmed` are
    the keys that stay although the source did not give them, with when it last did. `is_current`
    says that the source could be read.
    """

    source: str
    read_at: float | None
    refreshed: Refreshed
    is_from_copy: bool = False
    unconfirmed: Mapping[str, float] = field(default_factory=dict)
    is_current: bool = True

    @property
    def is_good(self) -> bool:
        """Did the source give all there is?"""
        return self.read_at is not None and not self.is_from_copy and not self.refreshed.faults

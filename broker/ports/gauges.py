"""How things stand at one moment, for whoever draws curves of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class StatusGauges:
    """The figures that are read when they are wanted, not counted when they change.

    `pool_keys` counts system keys by (provider, state); `key_states` has the state of each by
    (provider, key id). `states` are all such states, from the best to the worst. `source_ages_s`
    are seconds since each source was last read; `source_states` say how each is, in words of
    `all_source_states`. `stale_keys` counts system keys by provider that are not leased because
    their source has not confirmed them for too long.
    """

    states: tuple[str, ...] = ()
    pool_keys: Mapping[tuple[str, str], int] = field(default_factory=dict)
    key_states: Mapping[tuple[str, str], str] = field(default_factory=dict)
    pending_facts: int = 0
    is_store_up: bool = True
    source_ages_s: Mapping[str, float] = field(default_factory=dict)
    all_source_states: tuple[str, ...] = ()
    source_states: Mapping[str, str] = field(default_factory=dict)
    stale_keys: Mapping[str, int] = field(default_factory=dict)


TakeGauges = Callable[[], StatusGauges]
"""Reads the gauges now; called in the event loop, does not block."""

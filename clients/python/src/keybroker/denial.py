"""Denials: why no key can be leased, and what to do about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from keybroker.v1 import denial_pb2
from keybroker.words import DenialAction, DenialReason, read_word


class Target(NamedTuple):
    """A model of a provider, by the names that the broker's configuration gives them."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


@dataclass(frozen=True, slots=True)
class Denial:
    """The broker's answer when no key can be leased.

    `retry_delay` is the shortest wait after which asking again makes sense; None when time alone
    does not help, or nobody knows. `alternatives` could be leased right now. `keys_by_state` counts
    the keys of the pool: {"quarantined": 3}.
    """

    reason: DenialReason
    action: DenialAction
    message: str = ""
    retry_delay: timedelta | None = None
    alternatives: tuple[Target, ...] = ()
    keys_by_state: Mapping[str, int] = field(default_factory=dict)
    help_url: str = ""

    @property
    def worth_waiting(self) -> timedelta | None:
        """How long to wait before asking for the same again; None when that is not worth it."""
        return self.retry_delay if self.action is DenialAction.RETRY_LATER else None

    @staticmethod
    def read(message: denial_pb2.Denial) -> "Denial":
        """The denial in a message."""
        delay = message.retry_delay.ToTimedelta() if message.HasField("retry_delay") else None
        return Denial(
            reason=read_word(DenialReason, denial_pb2.DenialReason, message.reason),
            action=read_word(DenialAction, denial_pb2.DenialAction, message.action),
            message=message.message,
            retry_delay=delay,
            alternatives=tuple(Target(each.provider, each.model) for each in message.alternatives),
            keys_by_state=dict(message.keys_by_state),
            help_url=message.help_url,
        )

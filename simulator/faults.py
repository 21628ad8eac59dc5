"""Which troubles and delays are switched on, and for whom."""

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import Final, TypeVar

from simulator.words import Fault, Refusal, RouteKind, Trouble


@dataclass(frozen=True, slots=True)
class Target:
    """Whom something concerns; what is None concerns everybody. `key` is a label."""

    dialect: str | None = None
    model: str | None = None
    key: str | None = None
    only: RouteKind | None = None

    def covers(self, request: "Target") -> bool:
        """Whether `request`, a request or a narrower target, is concerned as well."""
        return (
            self.dialect in (None, request.dialect)
            and self.model in (None, request.model)
            and self.key in (None, request.key)
            and self.only in (None, request.only)
        )


@dataclass(slots=True, eq=False)
class FaultRule:
    """A trouble that a share of the covered requests meets, `times` times (None: for ever).

    `cause` is the error inside a stream or a 200. `over` is set when a hang is released.
    """

    trouble: Trouble
    target: Target
    times: int | None = None
    rate: float = 1.0
    cause: Refusal = Refusal.OVERLOADED
    over: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a success takes, in seconds; a stream spreads it over `pieces` pieces."""

    seconds: float = 0.0
    pieces: int = 4


class FaultBook:
    """The rules, delays and paces in force; the newest that covers a request counts."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._rules: list[FaultRule] = []
        self._delays: dict[Target, float] = {}
        self._paces: dict[Target, Pace] = {}

    def add(self, rule: FaultRule) -> None:
        """Put a rule in force, before the older ones, in place of one of the same kind."""
        self._rules = [
            rule,
            *(
                old
                for old in self._rules
                if (old.trouble, old.target) != (rule.trouble, rule.target)
            ),
        ]

    def clear(self, target: Target, trouble: Trouble | None = None) -> None:
        """End the rules that `target` covers, of one trouble or of all; what hangs goes on."""
        ended = [
            rule
            for rule in self._rules
            if trouble in (None, rule.trouble) and target.covers(rule.target)
        ]
        for rule in ended:
            rule.over.set()
        self._rules = [rule for rule in self._rules if rule not in ended]

    def meet(self, request: Target, *, streams: bool) -> FaultRule | None:
        """The rule that strikes this request, if any; uses up one of its times."""
        for rule in self._rules:
            if not rule.target.covers(request) or not _suits(rule.trouble, request, streams):
                continue
            if rule.rate < 1.0 and self._random.random() >= rule.rate:
                continue
            if rule.times is not None:
                if rule.times <= 0:
                    continue
                rule.times -= 1
            return rule
        return None

    def set_delay(self, target: Target, seconds: float) -> None:
        """Set how long the covered answers, also refusals, wait before their first byte."""
        _put_last(self._delays, target, seconds)

    def set_pace(self, target: Target, pace: Pace) -> None:
        """Set how long the covered successes take."""
        _put_last(self._paces, target, pace)

    def delay_s(self, request: Target) -> float:
        """The wait before the first byte of this request's answer."""
        return _newest(self._delays, request, 0.0)

    def pace(self, request: Target) -> Pace:
        """How long a success takes for this request."""
        return _newest(self._paces, request, _AT_ONCE)


_AT_ONCE: Final = Pace()
_Setting = TypeVar("_Setting")


def _put_last(settings: dict[Target, _Setting], target: Target, setting: _Setting) -> None:
    settings.pop(target, None)
    settings[target] = setting


def _newest(settings: dict[Target, _Setting], request: Target, usual: _Setting) -> _Setting:
    covering = (settings[target] for target in reversed(settings) if target.covers(request))
    return next(covering, usual)


def _suits(trouble: Trouble, request: Target, streams: bool) -> bool:  # noqa: FBT001
    generates = request.only is RouteKind.GENERATE
    match trouble:
        case Fault.ERROR_IN_STREAM:
            return generates and streams
        case Fault.ERROR_IN_200:
            return generates and not streams
        case Refusal.BAD_REQUEST | Refusal.MODEL_FORBIDDEN | Refusal.MODEL_UNKNOWN:
            return generates
        case _:
            return True

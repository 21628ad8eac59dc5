"""The daily report: how the keys are and what the last day brought, as one event.

One a day, also across restarts: the event history says when the last one was. A replica that was
down when one was due makes it when it is back; one that has just been installed waits for its hour.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import TypeVar

import structlog

from broker.core.policy import DAY_S
from broker.ports.errors import StoreUnavailableError
from broker.ports.event_history import Event, EventHistory
from broker.services.health import HealthBook
from broker.services.history import told
from broker.services.journal import Journal
from broker.services.keyring import Keyring
from broker.services.marks import Marks
from broker.services.outages import Outages
from broker.services.reminding import Reminding, Stage
from broker.services.spans import in_words
from broker.services.standing import Standings
from broker.services.tally import Tally

KIND = "daily_report"
MAX_LISTED = 20
"""Providers, keys, upstreams and reasons that a list of the report names; it counts the rest."""

_OF_HEALTH = frozenset({"circuit_opened", "circuit_reopened", "circuit_cleared"})

T = TypeVar("T")

log = structlog.get_logger("keybroker")


@dataclass(frozen=True, slots=True)
class _Day:
    """What the events of the last day add up to."""

    quarantines: int = 0
    recoveries: int = 0
    uptimes: Mapping[str, float] = field(default_factory=dict)


class DailyReport:
    """Looks every second whether one is due; `at` is in UTC, None: never."""

    def __init__(
        self,
        keyring: Keyring,
        health: HealthBook,
        marks: Marks,
        reminding: Reminding,
        tally: Tally,
        history: EventHistory,
        journal: Journal,
        at: time | None,
    ) -> None:
        self._keyring = keyring
        self._health = health
        self._marks = marks
        self._reminding = reminding
        self._tally = tally
        self._history = history
        self._journal = journal
        self._at = at
        self._next = 0.0
        self._told = ""

    async def on_tick(self, now: float) -> None:
        """Make the report if it is due."""
        if self._at is None or now < self._next:
            return
        due = _last_due(self._at, now)
        try:
            if not self._next and not await self._is_owed(due):
                self._next = due + DAY_S
                return
            day = await self._day(now)
        except StoreUnavailableError as error:
            if str(error) != self._told:  # it is tried every second
                self._told = str(error)
                log.warning("daily_report_waits", detail=self._told)
            return
        self._next, self._told = due + DAY_S, ""
        self._tell(day, now)

    async def _is_owed(self, due: float) -> bool:
        """After a start: was this broker there before the report was due, and made none since?"""
        async for event in told(self._history, frozenset({KIND})):
            return event.at < due
        async for event in told(self._history):
            if event.at < due:
                return True
        return False

    async def _day(self, now: float) -> _Day:
        moved: Counter[str] = Counter()
        outages = Outages(now - DAY_S, now)
        async for event in told(self._history, _OF_HEALTH, since=now - DAY_S):
            if event.attributes.get("family") == "credential" and not event.model:
                moved[_moved(event)] += 1
            outages.note(event)
        return _Day(moved["quarantined"], moved["recovered"], outages.uptimes())

    def _tell(self, day: _Day, now: float) -> None:
        standings = Standings(self._keyring, self._health, self._marks, now)
        states = {
            name: {state.value: n for state, n in standings.counts(keys).items()}
            for name in sorted(self._keyring.providers)
            if (keys := self._keyring.keys(name))
        }
        expiring = list(self._reminding.expiring(now))
        denials, unknown = self._tally.denials(), self._tally.unknown_verdicts()
        lines = [
            *(f"{name}: {_counted(counts)}" for name, counts in _first(states)),
            f"{day.quarantines} quarantined and {day.recoveries} recovered in 24 h",
            f"{sum(denials.values())} denials in {in_words(now - self._tally.since)}",
        ]
        if expiring:
            gone = sum(stage is Stage.EXPIRED for _, stage in expiring)
            lines.append(f"{len(expiring) - gone} keys expire soon, {gone} have expired")
        if day.uptimes:
            shares = (f"{name} {share:.2%}" for name, share in _first(day.uptimes))
            lines.append(f"uptime {', '.join(shares)}")
        if unknown:
            lines.append(f"{sum(unknown.values())} answers that no rule knows")
        attributes = {
            "day": datetime.fromtimestamp(now, UTC).date().isoformat(),
            "keys_by_state": _json(states),
            "quarantines": str(day.quarantines),
            "recoveries": str(day.recoveries),
            "denials": _json(denials),
            "unknown_verdicts": _json(unknown),
            "counted_since": f"{self._tally.since:.0f}",
            "expiring_keys": _json({e.key_id: stage.value for e, stage in expiring}),
            "expiring_key_count": str(len(expiring)),
            "uptime": _json({name: round(share, 6) for name, share in day.uptimes.items()}),
        }
        self._journal.record(KIND, "", now, "; ".join(lines), attributes=attributes)


def _last_due(at: time, now: float) -> float:
    """The latest instant of this hour of the day that is not ahead."""
    today = datetime.fromtimestamp(now, UTC)
    due = today.replace(hour=at.hour, minute=at.minute, second=0, microsecond=0)
    return (due if due <= today else due - timedelta(days=1)).timestamp()


def _moved(event: Event) -> str:
    """What became of a key by this event."""
    if event.kind == "circuit_opened":
        return "quarantined" if event.attributes.get("from") in {"closed", "ramping"} else ""
    return "recovered" if event.attributes.get("from") in {"open", "half_open"} else ""


def _counted(counts: Mapping[str, int]) -> str:
    parts = (f"{count} {state.replace('_', ' ')}" for state, count in sorted(counts.items()))
    return ", ".join(parts)


def _first(values: Mapping[str, T]) -> list[tuple[str, T]]:
    return list(values.items())[:MAX_LISTED]


def _json(values: Mapping[str, object]) -> str:
    return json.dumps(dict(_first(values)), separators=(",", ":"))

"""What the broker watches by itself, second by second, without being asked."""

from dataclasses import dataclass, field
from datetime import time

from broker.services.boot import Boot, BootRules
from broker.services.daily_report import DailyReport
from broker.services.episodes import Episodes
from broker.services.incidents import Incidents
from broker.services.reminding import DAYS_AHEAD, Reminding
from broker.services.sentinel import EVERY_S, Sentinel


@dataclass(frozen=True, slots=True)
class WatchRules:
    """What settings say of watching; `sentinel_s` 0 probes no idle key, the report is at UTC."""

    boot: BootRules = field(default_factory=BootRules)
    sentinel_s: float = EVERY_S
    reminder_days: float = DAYS_AHEAD
    daily_report_at: time | None = None


@dataclass(frozen=True, slots=True)
class Lookout:
    """Everything that looks by itself; both calls are made once a second, by a loop each."""

    boot: Boot
    sentinel: Sentinel
    incidents: Incidents
    episodes: Episodes
    reminding: Reminding
    daily_report: DailyReport

    async def on_tick(self, now: float) -> None:
        """Look at what may change at any moment."""
        self.boot.on_tick(now)
        self.sentinel.on_tick(now)
        self.incidents.on_tick(now)
        await self.episodes.on_tick(now)

    async def on_calendar(self, now: float) -> None:
        """Tell what is due by now; looking through all tenants' keys takes its time."""
        await self.reminding.on_tick(now)
        await self.daily_report.on_tick(now)

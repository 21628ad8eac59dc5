"""What watches by itself, on the services that others call."""

from broker.ports.clock import Clock
from broker.ports.key_store import KeyStore
from broker.services.boot import Boot, BootPolicy
from broker.services.daily_report import DailyReport
from broker.services.episodes import Episodes
from broker.services.failing import Failing
from broker.services.incidents import Incidents
from broker.services.journal import Journal
from broker.services.lookout import Lookout, WatchRules
from broker.services.probing import Probing
from broker.services.reminding import Reminding
from broker.services.sentinel import Sentinel


def wire_lookout(
    rules: WatchRules,
    failing: Failing,
    probing: Probing,
    journal: Journal,
    key_store: KeyStore,
    clock: Clock,
) -> Lookout:
    """The lookout of one replica; it hears of every probe and every fact."""
    keyring, health, marks, usage = failing.keyring, failing.health, failing.marks, failing.usage
    history = journal.history
    boot = Boot(rules.boot, keyring, health, marks, probing, journal, clock)
    sentinel = Sentinel(
        keyring,
        health,
        marks,
        usage,
        probing,
        rules.sentinel_s,
        looks_at_new=rules.boot.policy is not BootPolicy.OFF,
    )
    incidents = Incidents(keyring, health, marks, usage, clock.now())
    episodes = Episodes(failing, history, journal)
    reminding = Reminding(keyring, key_store, history, journal, rules.reminder_days)
    daily_report = DailyReport(
        keyring,
        health,
        marks,
        reminding,
        journal.tally,
        history,
        journal,
        rules.daily_report_at,
    )
    probing.listen(boot.on_probed)
    probing.listen(sentinel.on_probed)
    health.listen(incidents)
    return Lookout(boot, sentinel, incidents, episodes, reminding, daily_report)

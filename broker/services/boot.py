"""The start: system keys are probed, and a policy says which of them must be proved to be ready.

A replica that is not ready answers all the same. Readiness is for those who route: whoever asks
this replica, because there is no other, is told the truth, a lease on a key that nothing speaks
against or a denial that says what to mend. Ready once, it stays so: later trouble with keys is for
denials and alerts, and a fleet must not lose every replica over one dead key.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

import structlog

from broker.core.key import Key
from broker.core.scope import key_scope
from broker.core.words import Family, ProbeResult, State
from broker.ports.clock import Clock
from broker.ports.prober import Probed
from broker.services.health import HealthBook
from broker.services.journal import Journal
from broker.services.keyring import Keyring
from broker.services.marks import Marks
from broker.services.probe_line import Lane, Name
from broker.services.probing import Probing

PATIENCE_S = 30.0
"""A key whose probes prove nothing is let through after this long."""

_QUARANTINED = frozenset({State.OPEN, State.HALF_OPEN})

log = structlog.get_logger("keybroker")


class BootPolicy(StrEnum):
    """What has to be proved before this replica is ready."""

    OFF = "off"
    REPORT = "report"
    REQUIRE_ANY = "require-any"
    REQUIRE_ALL = "require-all"


@dataclass(frozen=True, slots=True)
class BootRules:
    """The policy, and the providers it is about; none named: all that have keys."""

    policy: BootPolicy = BootPolicy.REPORT
    providers: tuple[str, ...] = ()

    @property
    def requires(self) -> bool:
        """Can a key keep this replica from being ready?"""
        return self.policy in {BootPolicy.REQUIRE_ANY, BootPolicy.REQUIRE_ALL}


@dataclass(frozen=True, slots=True)
class _Seen:
    """Since when a revision is known, and what was proved of it; None: no probe has ended yet."""

    since: float
    result: ProbeResult | None = None


class Boot:
    """Judges, until it is ready, what probes found."""

    def __init__(
        self,
        rules: BootRules,
        keyring: Keyring,
        health: HealthBook,
        marks: Marks,
        probing: Probing,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._rules = rules
        self._keyring = keyring
        self._health = health
        self._marks = marks
        self._probing = probing
        self._journal = journal
        self._clock = clock
        self._seen: dict[Name, _Seen] = {}
        self._was_blocked = False
        self._began = clock.now()
        self._is_proved = not rules.requires
        self._unproved: tuple[str, ...] = () if self._is_proved else ("no key has been probed yet",)
        self._others: list[Callable[[], str]] = []

    @property
    def is_ready(self) -> bool:
        """Does nothing keep this replica from taking calls?"""
        return self._is_proved and not any(other() for other in self._others)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why this replica is not ready, one sentence each."""
        others = (other() for other in self._others)
        return (*self._unproved, *filter(None, others))

    def also_needs(self, reason: Callable[[], str]) -> None:
        """Be ready only when this gives no reason either; it does not block."""
        self._others.append(reason)

    async def probe_all(self) -> None:
        """Say at the start which keys work; nothing waits for it."""
        if self._rules.policy is BootPolicy.OFF:
            return
        self._began = self._clock.now()
        results: Counter[str] = Counter()
        async for done in self._probing.probe_now(self._enabled(), Lane.ROUTINE):
            self.on_probed(done.key, done.probed)
            results[done.probed.result.lower()] += 1
            log.info(
                "boot_probe",
                provider=done.key.provider,
                key_id=done.key.key_id,
                result=done.probed.result,
                detail=done.probed.detail,
            )
        log.info("boot_probe_done", **results)

    def on_probed(self, key: Key, probed: Probed) -> None:
        """Remember what was proved; a probe that proves nothing takes nothing back."""
        if self._is_proved:
            return
        name = (key.key_id, key.revision)
        seen = self._seen.get(name) or _Seen(self._clock.now())
        if probed.result is not ProbeResult.INCONCLUSIVE or seen.result is None:
            seen = replace(seen, result=probed.result)
        self._seen[name] = seen

    def on_tick(self, now: float) -> None:
        """Become ready when nothing keeps this replica from it."""
        if self._is_proved:
            return
        keys = [key for key in self._enabled() if self._is_required(key)]
        names = {(key.key_id, key.revision) for key in keys}
        self._seen = {name: self._seen.get(name) or _Seen(now) for name in names}
        for key in keys:
            if self._result(key, now) in {None, ProbeResult.INCONCLUSIVE}:
                self._probing.look_at(key)
        self._unproved = tuple(self._blocks(keys, now))
        if not self._unproved:
            self._become_ready(keys, now)
        elif not self._was_blocked and all(self._result(key, now) for key in keys):
            self._was_blocked = True
            message = f"not ready: {'; '.join(self._unproved)}"
            self._journal.record("boot_blocked", "", now, message)

    def _become_ready(self, keys: Iterable[Key], now: float) -> None:
        self._is_proved = True
        unproved = [key for key in keys if self._result(key, now) is ProbeResult.INCONCLUSIVE]
        self._seen.clear()
        for provider in sorted({key.provider for key in unproved}):
            names = [key.key_id for key in unproved if key.provider == provider]
            message = (
                f"{provider}: let through unproved, since no probe in {PATIENCE_S:.0f} s could tell"
                f" whether they work: {', '.join(names[:20])}"
            )
            log.warning("boot_let_through", provider=provider, keys=len(names))
            self._journal.record("boot_let_through", provider, now, message)
        if self._was_blocked:
            message = "ready: the required keys are mended"
            self._journal.record("boot_ready", "", now, message)

    def _blocks(self, keys: list[Key], now: float) -> Iterable[str]:
        """Why this replica is not ready, without names of keys: everybody may read it."""
        has_keys = {name for name in self._keyring.providers if self._keyring.has_keys(name)}
        named = self._rules.providers or has_keys
        if not named:
            yield "no provider has a key: add one"
        for provider in sorted(named):
            own = [key for key in keys if key.provider == provider]
            if provider not in has_keys:
                yield f"{provider}: is required and has no key: add one"
            elif own:  # else an operator has disabled all there is
                yield from self._blocks_of(provider, own, now)

    def _blocks_of(self, provider: str, keys: list[Key], now: float) -> Iterable[str]:
        total, results = len(keys), [self._result(key, now) for key in keys]
        rejected = results.count(ProbeResult.REJECTED)
        waiting = sum(self._is_waiting(key, now) for key in keys)
        if self._rules.policy is BootPolicy.REQUIRE_ANY:
            if rejected == total:
                yield f"{provider}: no key is accepted, {rejected} rejected: replace one of them"
            elif rejected + waiting == total:
                others = f"{waiting} not proved, {rejected} rejected"
                yield f"{provider}: no key is accepted yet, {others}"
            return
        if rejected:
            yield f"{provider}: {rejected} of {total} rejected: replace or remove them"
        if waiting:
            yield f"{provider}: {waiting} of {total} not proved yet"

    def _is_waiting(self, key: Key, now: float) -> bool:
        """Is nothing proved of a key, and too early to let it through?"""
        result, seen = self._result(key, now), self._seen[key.key_id, key.revision]
        is_early = now < max(seen.since, self._began) + PATIENCE_S
        return result is None or (result is ProbeResult.INCONCLUSIVE and is_early)

    def _result(self, key: Key, now: float) -> ProbeResult | None:
        """What was proved of a key; a rejection, also one of before, holds as its circuit does."""
        found = self._probing.found(key)
        result = found.probed.result if found else self._seen[key.key_id, key.revision].result
        if result is ProbeResult.AUTHENTICATED:
            return result
        scope = key_scope(key.provider, key.key_id, key.revision)
        record = self._health.circuit(scope, Family.CREDENTIAL, now)
        if record is not None and record.confirmed and record.standing(now).state in _QUARANTINED:
            return ProbeResult.REJECTED
        return None if result is ProbeResult.REJECTED else result

    def _is_required(self, key: Key) -> bool:
        named = self._rules.providers
        return not named or key.provider in named

    def _enabled(self) -> list[Key]:
        """The keys that no operator has disabled: what is taken out of use is not required."""
        return [
            key
            for name in self._keyring.providers
            if not self._marks.disabled_upstream(name, "")
            for key in self._keyring.keys(name)
            if not self._marks.disabled_key(key.key_id)
        ]

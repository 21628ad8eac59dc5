"""The sentinel: a key that nobody uses must not be found dead by the first who does."""

from hashlib import blake2b

from broker.core.key import Key
from broker.core.scope import key_scope
from broker.core.words import Family, State
from broker.ports.prober import Probed
from broker.services.health import HealthBook
from broker.services.keyring import Keyring
from broker.services.marks import Marks
from broker.services.probe_line import Name
from broker.services.probing import Probing
from broker.services.usage import Usage

EVERY_S = 60.0
SPREAD = 0.1
"""Intervals differ by this share up and down, lest keys that came together stay together."""

_QUARANTINED = frozenset({State.OPEN, State.HALF_OPEN})


class Sentinel:
    """Has system keys probed that had no successful call and no probe for `every_s`; 0: none.

    A key that is new is looked at at once, unless `looks_at_new` is False. Only where the free call
    proves a key. What an operator disabled is left alone, and what is quarantined is left to its
    circuit.
    """

    def __init__(
        self,
        keyring: Keyring,
        health: HealthBook,
        marks: Marks,
        usage: Usage,
        probing: Probing,
        every_s: float = EVERY_S,
        *,
        looks_at_new: bool = True,
    ) -> None:
        self._keyring = keyring
        self._health = health
        self._marks = marks
        self._usage = usage
        self._probing = probing
        self._every_s = every_s
        self._looks_at_new = looks_at_new
        self._due: dict[Name, float] = {}

    def on_tick(self, now: float) -> None:
        """Have those probed whose time has come."""
        if not self._every_s:
            return
        due: dict[Name, float] = {}
        for provider in self._keyring.providers.values():
            if not provider.is_probeable or self._marks.disabled_upstream(provider.name, ""):
                continue
            for key in self._keyring.keys(provider.name):
                name = (key.key_id, key.revision)
                first = now if self._looks_at_new else now + self._interval_s(name)
                due[name] = self._due.get(name, first)
                if now >= due[name]:
                    due[name] = self._look(key, name, now)
        self._due = due

    def on_probed(self, key: Key, _probed: Probed) -> None:
        """A key that was probed, whoever asked for it, is due an interval later."""
        self._due.pop((key.key_id, key.revision), None)

    def _look(self, key: Key, name: Name, now: float) -> float:
        """Have a key probed unless it is known to work or to be dead; say when it is next due."""
        found = self._probing.found(key)  # by another replica: of those here it was told
        seen = [found.ended] if found is not None else []
        succeeded_at = self._usage.succeeded_at(*name)
        if succeeded_at is not None:
            seen.append(succeeded_at)
        if seen and max(seen) + self._interval_s(name) > now:
            return max(seen) + self._interval_s(name)
        scope = key_scope(key.provider, key.key_id, key.revision)
        record = self._health.circuit(scope, Family.CREDENTIAL, now)
        is_quarantined = record is not None and record.standing(now).state in _QUARANTINED
        if not is_quarantined and not self._marks.disabled_key(key.key_id):
            self._probing.look_at(key)
        return now + self._interval_s(name)

    def _interval_s(self, name: Name) -> float:
        share = int.from_bytes(blake2b("/".join(name).encode(), digest_size=4).digest()) / 2**32
        return self._every_s * (1 + SPREAD * (2 * share - 1))

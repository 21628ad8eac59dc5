"""Episodes: a provider of which every key fails, and the emergency, that nothing can be leased.

Each is told once when it begins and once when it is over, with its downtime. What a person has
mended is over at once. What comes and goes by itself, limits and quotas and faults, is over after
5 healthy minutes: what fails again within these is the same episode.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from broker.ports.errors import StoreUnavailableError
from broker.ports.event_history import Event, EventHistory
from broker.services.failing import Cause, Diagnosis, Failing
from broker.services.history import told
from broker.services.journal import Journal
from broker.services.spans import in_words
from broker.services.standing import Standings

HEALTHY_S = 300.0
"""How long what comes and goes has to be away to be over."""

LIMIT_BEARS_S = 30.0
"""Rate limits are everyday: only those that let nothing through for this long are an episode."""

_MENDED = frozenset({Cause.CREDENTIAL, Cause.DISABLED})
_KINDS = frozenset({"provider_down", "provider_recovered", "emergency_began", "emergency_ended"})
_BEGINS = frozenset({"provider_down", "emergency_began"})
_EVERYTHING = ""
"""What the emergency is about; providers have names."""


@dataclass(frozen=True, slots=True)
class Episode:
    """Failing since `began`, with `down_s` until `down_since` or, if healthy now, altogether.

    An episode is not `told` while it may still prove to be an everyday one.
    """

    began: float
    cause: Cause
    down_since: float | None
    down_s: float = 0.0
    healthy_since: float | None = None
    told: bool = False

    def failing(self, cause: Cause, now: float) -> "Episode":
        """It goes on, or it is back within its healthy minutes."""
        down_since = now if self.down_since is None else self.down_since
        return replace(self, cause=cause, down_since=down_since, healthy_since=None)

    def healthy(self, now: float) -> "Episode":
        """It may be over."""
        if self.down_since is None:
            return self
        down_s = self.down_s + now - self.down_since
        return replace(self, down_s=down_s, down_since=None, healthy_since=now)

    def is_over(self, now: float, *, is_gone: bool) -> bool:
        """Is it healthy for long enough?"""
        if self.healthy_since is None:
            return False
        wait_s = 0.0 if self.cause in _MENDED and not is_gone else HEALTHY_S
        return now - self.healthy_since >= wait_s


class Episodes:
    """Looks every second; the event history tells a restart what is under way."""

    def __init__(self, failing: Failing, history: EventHistory, journal: Journal) -> None:
        self._failing = failing
        self._history = history
        self._journal = journal
        self._under_way: dict[str, Episode] = {}
        self._is_restored = False

    async def on_tick(self, now: float) -> None:
        """Begin and end what has begun and ended."""
        if not self._is_restored and not await self._restore():
            return
        found = {
            name: self._failing.diagnose(name, now, is_under_way=name in self._under_way)
            for name in self._failing.keyring.providers
        }
        for provider, diagnosis in found.items():
            self._follow(provider, diagnosis, now)
        self._follow(_EVERYTHING, self._emergency(found, now), now)

    def _emergency(self, found: Mapping[str, Diagnosis | None], now: float) -> Diagnosis | None:
        """Why nothing at all can be leased; begun, it lasts until a key serves again."""
        keyring = self._failing.keyring
        with_keys = {name: found[name] for name in found if keyring.has_keys(name)}
        causes: Counter[Cause] = Counter()
        for diagnosis in with_keys.values():
            if diagnosis is None:
                return None
            causes.update(diagnosis.keys_by_cause)
        if not causes:
            return None
        if _EVERYTHING not in self._under_way:
            standings = Standings(keyring, self._failing.health, self._failing.marks, now)
            every = keyring.keys()
            if any(standings.is_runnable(key) for key in every):
                return None
        return Diagnosis(causes)

    def _follow(self, subject: str, diagnosis: Diagnosis | None, now: float) -> None:
        """Take one look at what may begin, go on or be over."""
        episode = self._under_way.get(subject)
        if diagnosis is not None:
            episode = episode or Episode(now, diagnosis.cause, now)
            episode = episode.failing(diagnosis.cause, now)
            bears_s = LIMIT_BEARS_S if diagnosis.cause is Cause.LIMIT else 0.0
            if not episode.told and now - episode.began >= bears_s:
                episode = replace(episode, told=True)
                self._tell_begin(subject, diagnosis, episode, now)
            self._under_way[subject] = episode
        elif episode is not None:
            episode = self._under_way[subject] = episode.healthy(now)
            if not episode.told:
                del self._under_way[subject]
            elif episode.is_over(now, is_gone=self._is_gone(subject)):
                del self._under_way[subject]
                self._tell_end(subject, episode, now)

    def _is_gone(self, subject: str) -> bool:
        """Are there no keys any more: a file that is rewritten looks so for a moment."""
        keyring = self._failing.keyring
        return not (keyring.has_keys(subject) if subject else keyring.keys())

    def _tell_begin(self, subject: str, diagnosis: Diagnosis, episode: Episode, now: float) -> None:
        total = sum(diagnosis.keys_by_cause.values())
        what = f"none of {total} keys can be used ({diagnosis.in_words})"
        message = f"{subject}: {what}" if subject else f"nothing can be leased: {what}"
        attributes = {
            "cause": diagnosis.cause.value,
            "keys": str(total),
            "keys_by_cause": diagnosis.in_words,
            "began": f"{episode.began:.3f}",
        }
        kind = "provider_down" if subject else "emergency_began"
        self._journal.record(kind, subject, now, message, attributes=attributes)

    def _tell_end(self, subject: str, episode: Episode, now: float) -> None:
        down = in_words(episode.down_s)
        ended = now if episode.healthy_since is None else episode.healthy_since
        back = f"{subject} serves again" if subject else "keys can be leased again"
        if self._is_gone(subject):
            back = f"{subject or 'the broker'} has no keys any more"
        message = f"{back}, after {down} without ({episode.cause})"
        attributes = {
            "cause": episode.cause.value,
            "downtime_s": f"{episode.down_s:.0f}",
            "began": f"{episode.began:.3f}",
            "ended": f"{ended:.3f}",
        }
        kind = "provider_recovered" if subject else "emergency_ended"
        self._journal.record(kind, subject, now, message, attributes=attributes)

    async def _restore(self) -> bool:
        """Take up what the history says is under way; say whether it could be read."""
        latest: dict[str, Episode | None] = {}
        try:
            async for event in told(self._history, _KINDS):
                if event.provider in latest:
                    continue
                latest[event.provider] = None
                if event.kind in _BEGINS:
                    latest[event.provider] = _begun(event)
        except StoreUnavailableError:
            return False
        providers = {_EVERYTHING, *self._failing.keyring.providers}
        self._under_way = {
            subject: episode
            for subject, episode in latest.items()
            if episode is not None and subject in providers
        }
        self._is_restored = True
        return True


def _begun(event: Event) -> Episode:
    """The episode that an event told of; its cause shows at the next look."""
    causes = {cause.value: cause for cause in Cause}
    cause = causes.get(event.attributes.get("cause", ""), Cause.PROVIDER)
    return Episode(event.at, cause, event.at, told=True)

"""Names of models: configured, listed by providers, or known because they worked."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from broker.core.key import Key
from broker.core.provider import Provider

MAX_WORKED_MODELS = 10_000
MAX_LISTED_MODELS = 2_000
MAX_LISTINGS = 1_000
"""Names remembered per provider, and tenants whose listings are: what callers use and providers
list is theirs to invent."""


class ModelNames:
    """What models there are; what a tenant's key lists is told to that tenant alone."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self._providers = providers
        self._worked: dict[str, dict[str, bool]] = {name: {} for name in providers}
        self._listed: OrderedDict[tuple[str, str], frozenset[str]] = OrderedDict()
        self._named: dict[str, frozenset[str]] = {}
        self._offered: dict[str, tuple[str, ...]] = {}

    def configure(self, provider: str, keys: Iterable[Key]) -> None:
        """Take the models that the provider and its system keys name now."""
        on_keys = {name for key in keys for name in key.models if not is_glob(name)}
        self._named[provider] = frozenset(on_keys | set(self._providers[provider].models))
        self._offered.pop(provider, None)

    def note_worked(self, provider: str, model: str, owner: str = "") -> None:
        """Remember that a model gave a success with this owner's key, or is named on it."""
        worked = self._worked[provider]
        is_shared = not owner  # a tenant's models may bear names that are nobody else's business
        if worked.get(model, False) >= is_shared and model in worked:
            return
        if model in worked or len(worked) < MAX_WORKED_MODELS:
            worked[model] = is_shared
            self._offered.pop(provider, None)

    def note_listed(self, provider: str, models: Iterable[str], owner: str = "") -> None:
        """Remember the models that an authenticated probe of an owner's key listed."""
        listed = self._listed.get((owner, provider), frozenset()) | frozenset(models)
        self._listed[owner, provider] = frozenset(sorted(listed)[:MAX_LISTED_MODELS])
        self._listed.move_to_end((owner, provider))
        if len(self._listed) > MAX_LISTINGS + len(self._providers):
            stale = next(name for name in self._listed if name[0])
            del self._listed[stale]
        self._offered.pop(provider, None)

    def is_known(self, provider: str, model: str) -> bool:
        """Is it configured, listed to a system key, or did it work: else a caller made it up."""
        listed = self._listed.get(("", provider), frozenset())
        return model in self._worked[provider] or model in listed or model in self.named(provider)

    def named(self, provider: str) -> frozenset[str]:
        """Models configured by name, on the provider or on a system key."""
        named = self._named.get(provider)
        return frozenset(self._providers[provider].models) if named is None else named

    def listed(self, provider: str, owner: str = "") -> frozenset[str]:
        """Models configured by name, or listed to this owner's keys."""
        return self.named(provider) | self._listed.get((owner, provider), frozenset())

    def offered(self, provider: str) -> tuple[str, ...]:
        """Models configured, listed to system keys, or known to work: for metrics, not tenants."""
        offered = self._offered.get(provider)
        if offered is None:
            worked = self._worked[provider].items()
            names = self.listed(provider) | {name for name, is_shared in worked if is_shared}
            offered = self._offered[provider] = tuple(sorted(names))
        return offered


def is_glob(name: str) -> bool:
    """Does a key's model stand for more than one name?"""
    return any(sign in name for sign in "*?[")

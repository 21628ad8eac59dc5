"""Which providers there are: the catalogue's own, and what an operator adds or changes."""

import re
from collections.abc import Iterator, Mapping

from broker.config.forms import NAME, ProviderSetting
from broker.config.settings import Settings, variable
from broker.core.provider import Provider
from broker.core.verdicts.dialect import Dialect

MAX_NAME = 64

_BUILT_IN = ProviderSetting()


def configured_providers(
    settings: Settings, catalog: Mapping[str, Dialect]
) -> Mapping[str, Provider]:
    """The providers by name; `provider_faults` must have found nothing."""
    providers = {}
    for name, setting in _settings(settings, catalog).items():
        dialect = catalog[setting.dialect or name]
        providers[name] = Provider(
            name=name,
            dialect=dialect,
            base_url=(setting.base_url or dialect.base_url).rstrip("/"),
            models=setting.models,
            fallbacks=setting.targets,
            is_named=name in settings.providers,
        )
    return providers


def configured_names(settings: Settings, catalog: Mapping[str, Dialect]) -> list[str]:
    """The names of the providers, also while something is wrong with one."""
    return sorted(_settings(settings, catalog))


def provider_faults(settings: Settings, catalog: Mapping[str, Dialect]) -> Iterator[str]:
    """Names that mean nothing, and what is missing."""
    merged = _settings(settings, catalog)
    names, dialects = ", ".join(sorted(merged)), ", ".join(sorted(catalog))
    for index, (name, setting) in enumerate(settings.providers.items()):
        if not re.fullmatch(NAME, name) or len(name) > MAX_NAME:
            yield (
                f"{variable('providers')}: name {index + 1} of the object is not usable; use up to"
                f" {MAX_NAME} lower-case letters, digits, single - and _"
            )
            continue
        where = f"{variable('providers')}.{name}"
        dialect = catalog.get(setting.dialect or name)
        if dialect is None:
            yield f"{where}.dialect: is not in the catalogue; use one of {dialects}"
        elif not (setting.base_url or dialect.base_url):
            yield f"{where}.base_url: is missing, and the dialect has none; set it"
        for number, target in enumerate(setting.targets):
            if target.provider not in merged:
                yield f"{where}.fallbacks[{number}]: no such provider; use one of {names}"


def _settings(settings: Settings, catalog: Mapping[str, Dialect]) -> dict[str, ProviderSetting]:
    """What is set of each provider: nothing of a dialect that works as it is."""
    built_in = {name: _BUILT_IN for name, dialect in catalog.items() if dialect.base_url}
    return {**built_in, **settings.providers}

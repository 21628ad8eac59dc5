"""The sources of system keys that the settings name."""

import os
from collections.abc import Collection, Mapping

from broker.adapters.aws import AwsClients, SecretsManagerSource, Selector
from broker.adapters.env import EnvKeySource
from broker.adapters.toml import TomlKeySource
from broker.config import Settings
from broker.ports.key_source import KeySource


def key_sources(
    settings: Settings,
    environ: Mapping[str, str],
    providers: Collection[str],
    fingerprint_secret: bytes,
    aws: AwsClients,
) -> list[KeySource]:
    """The sources, in the order in which they are read: a key stays with the first to give it."""
    file = None if str(settings.env_file) == os.devnull else settings.env_file
    is_named = "env_file" in settings.model_fields_set
    sources: list[KeySource] = [
        EnvKeySource(environ, file, providers, fingerprint_secret, required=is_named)
    ]
    if settings.keys_file is not None:
        sources.append(TomlKeySource(settings.keys_file, environ, providers, fingerprint_secret))
    if settings.secrets_manager:
        selectors = [
            Selector(each.name or "", each.prefix or "", each.tag or "", each.provider or "")
            for each in settings.secrets_manager
        ]
        sources.append(SecretsManagerSource(selectors, providers, fingerprint_secret, aws))
    return sources

"""The sources of system keys that the settings name."""

import os
from collections.abc import Collection, Mapping

from broker.adapters.env import EnvKeySource
from broker.adapters.toml import TomlKeySource
from broker.config import Settings
from broker.ports.key_source import KeySource


def key_sources(
    settings: Settings,
    environ: Mapping[str, str],
    providers: Collection[str],
    fingerprint_secret: bytes,
) -> list[KeySource]:
    """The sources, in the order in which they are read: a key stays with the first to give it."""
    file = None if str(settings.env_file) == os.devnull else settings.env_file
    is_named = "env_file" in settings.model_fields_set
    sources: list[KeySource] = [
        EnvKeySource(environ, file, providers, fingerprint_secret, required=is_named)
    ]
    if settings.keys_file is not None:
        sources.append(TomlKeySource(settings.keys_file, environ, providers, fingerprint_secret))
    return sources

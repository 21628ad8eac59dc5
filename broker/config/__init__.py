"""Every setting: its name, default and meaning, and what is wrong with those given."""

from broker.config.faults import SettingsError
from broker.config.loading import load_settings
from broker.config.providers import configured_providers
from broker.config.settings import PREFIX, Settings

__all__ = ["PREFIX", "Settings", "SettingsError", "configured_providers", "load_settings"]

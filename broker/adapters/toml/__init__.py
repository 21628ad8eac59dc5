"""System keys from a TOML file."""

from broker.adapters.toml.key_source import TomlKeySource

__all__ = ["TomlKeySource"]

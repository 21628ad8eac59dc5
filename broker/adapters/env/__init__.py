"""System keys from the process environment and a `.env` file."""

from broker.adapters.env.key_source import EnvKeySource

__all__ = ["EnvKeySource"]

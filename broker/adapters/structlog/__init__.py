"""Logs: JSON lines for machines, colours for people, secrets for nobody."""

from broker.adapters.structlog.setup import configure_logging

__all__ = ["configure_logging"]

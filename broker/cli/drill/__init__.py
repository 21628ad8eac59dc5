"""`keybroker drill`: what is promised, tried with real processes and measured."""

from broker.cli.drill import rotation
from broker.cli.drill.group import app

__all__ = ["app", "rotation"]

"""The only place that wires: adapters into services, services into servers."""

from broker.app.running import App
from broker.app.wiring import build

__all__ = ["App", "build"]

"""What the operating system gives: time."""

from broker.adapters.system.clock import SystemClock

__all__ = ["SystemClock"]

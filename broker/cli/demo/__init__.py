"""`keybroker demo`: a whole outage in a minute, with real processes on this machine."""

from broker.cli.demo.command import app

__all__ = ["app"]

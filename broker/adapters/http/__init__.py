"""Calls to providers over HTTP."""

from broker.adapters.http.prober import HttpProber

__all__ = ["HttpProber"]

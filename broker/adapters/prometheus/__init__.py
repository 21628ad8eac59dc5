"""Metrics as Prometheus scrapes them."""

from broker.adapters.prometheus.meter import PrometheusMeter

__all__ = ["PrometheusMeter"]

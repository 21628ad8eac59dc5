"""Keybroker: leases provider API keys to LLM gateways and learns from their outcomes."""

"""Every decision of the broker, pure and synchronous: no I/O, no clock, no event loop."""

"""Use cases: what happens when a gateway, an operator or the clock asks for something."""

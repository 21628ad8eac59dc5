"""The command `keybroker`: `commands.py` lists its commands, each has a module of its own."""

"""`keybroker seal`: the keys that seal what is kept; importing the modules adds their commands."""

from broker.cli.seal import files, rotating, showing
from broker.cli.seal.group import app, in_order

in_order()

__all__ = ["app", "files", "rotating", "showing"]

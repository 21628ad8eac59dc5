"""`keybroker keys`: what operators do to keys; importing the modules adds their commands."""

from broker.cli.keys import acting, adding, changing, exporting, importing, listing
from broker.cli.keys.group import app, in_order

in_order()

__all__ = ["acting", "adding", "app", "changing", "exporting", "importing", "listing"]

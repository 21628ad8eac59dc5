"""The group of drills."""

from broker.cli.framework import new_group

app = new_group("Try with real processes what is promised, and measure it.")

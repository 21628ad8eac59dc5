"""Every command: where it lives and what the first page of help says of it.

The modules are imported when their command is asked for, so that help is there at once: importing
gRPC and the server takes longer than most commands run.
"""

from typing import Final, NamedTuple


class Entry(NamedTuple):
    """One command of the first level; the module's `app` is a `typer.Typer`."""

    module: str
    help: str


COMMANDS: Final[dict[str, Entry]] = {
    "serve": Entry("broker.cli.serve", "Run the broker."),
    "demo": Entry("broker.cli.demo", "Play an outage on this machine, and its recovery."),
    "drill": Entry("broker.cli.drill", "Try what is promised with real processes; measure it."),
    "check": Entry("broker.cli.check", "Test all system keys without a broker, for pipelines."),
    "config": Entry("broker.cli.config", "Check the settings, or print them with their origins."),
    "db": Entry("broker.cli.db", "Upgrade the database's schema, and check the database."),
    "status": Entry("broker.cli.status", "Show what works, what does not and since when."),
    "explain": Entry("broker.cli.explain", "Explain why a lease would be granted or denied."),
    "models": Entry("broker.cli.models", "List the models that can be leased now."),
    "events": Entry("broker.cli.events", "Show what happened, and follow what happens."),
    "keys": Entry("broker.cli.keys", "List, add, change and test keys."),
    "seal": Entry("broker.cli.seal", "Look after the keys that seal what is kept."),
    "tenants": Entry("broker.cli.tenants", "Say whose keys serve a tenant."),
    "upstreams": Entry("broker.cli.upstreams", "Take providers and models out of use and back."),
    "circuits": Entry("broker.cli.circuits", "List open circuits, and close them."),
    "lease": Entry("broker.cli.lease", "Try a lease: acquire, show, release."),
    "classify": Entry("broker.cli.classify", "Judge provider answers offline, as JSON lines."),
    "completion": Entry("broker.cli.completion", "Print a completion script for your shell."),
}

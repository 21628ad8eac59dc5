"""What the drill brings with it beyond the server, and whether it is here."""

from importlib.util import find_spec
from typing import Final

from broker.cli.exits import CommandError, Exit

NEEDED: Final = ("flask", "flask_cors", "matplotlib", "moto")


def check_extras() -> None:
    """Raise CommandError unless all is installed that the drill runs on."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        message = (
            f"the drill needs {', '.join(missing)}, which the server does not: install them with"
            " 'pip install keybroker-server[drill]'"
        )
        raise CommandError(Exit.FAILED, message)

"""What a drill ran on: neither the machine's name nor a path of it."""

import os
import platform
from importlib.metadata import version


def environment(database: str) -> dict[str, str]:
    """Names and versions; `database` is the server's own word."""
    return {
        "keybroker": version("keybroker-server"),
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
        "database": database,
        "Secrets Manager": f"moto {version('moto')}",
        "provider": "the simulated one of this repository",
    }

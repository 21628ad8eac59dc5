"""Optional tools that widen the tests where they are installed."""

import os
import shutil
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]


def require_tool(name: str) -> str:
    """The path of a tool, from `.tools/bin` or PATH.

    Without it the calling test is skipped; under CI it fails, since a skip would hide the gap.
    """
    path = os.pathsep.join([str(_ROOT / ".tools" / "bin"), os.environ.get("PATH", os.defpath)])
    tool = shutil.which(name, path=path)
    if tool is None:
        missing = f"{name} is not installed ('make tools' installs it)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return tool

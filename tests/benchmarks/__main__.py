"""`make bench`: JSON lines on standard output, a table on standard error."""

import json
import sys

import uvloop

from tests.benchmarks.core import core_figures
from tests.benchmarks.million import million_figures
from tests.benchmarks.tenants import tenant_figures
from tests.benchmarks.wire import wire_figures


def main() -> None:
    """Measure everything; takes about five minutes."""
    figures = [
        *core_figures(),
        *uvloop.run(wire_figures()),
        *uvloop.run(tenant_figures()),
        *uvloop.run(million_figures()),
    ]
    for figure in figures:
        print(
            json.dumps({"name": figure.name, "value": round(figure.value, 3), "unit": figure.unit})
        )
    width = max(len(figure.name) for figure in figures)
    for figure in figures:
        print(f"{figure.name:<{width}}  {figure.value:>12,.2f} {figure.unit}", file=sys.stderr)


if __name__ == "__main__":
    main()

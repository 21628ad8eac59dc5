"""What a person sees of the demo: what callers saw, how the keys are, what the broker tells."""

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from broker.cli.demo.outlook import Outlook
from broker.cli.demo.tally import Tally
from broker.cli.output import STYLES
from broker.cli.screens import table_of
from broker.cli.words import word


class DemoScene:
    """How things are now."""

    def __init__(self, outlook: Outlook, tally: Tally) -> None:
        self._outlook = outlook
        self._tally = tally

    @property
    def alarm(self) -> str:
        """Said while nothing of the operator's can be leased."""
        is_bad = self._outlook.status.emergency
        return "EMERGENCY: no system key can be leased" if is_bad else ""

    @property
    def news(self) -> Sequence[str]:
        """The events of interest."""
        return self._outlook.events

    @property
    def milestones(self) -> Sequence[str]:
        """What was waited for, and how long it took."""
        return [f"{stone.label} after {stone.seconds:.2f} s" for stone in self._tally.milestones]

    def pictures(self) -> Iterable[RenderableType]:
        """Callers and keys."""
        return callers(self._tally), _keys(self._outlook)


def callers(tally: Tally) -> Table:
    """What each group of callers saw; the last denial gives way where the terminal is narrow."""
    table = table_of("callers", "asked", "served", "saved", "denied", "failed")
    table.add_column("LAST DENIAL", header_style="bold")
    for group in tally.groups:
        counts = (group.asked, group.served, group.saved, group.denied, group.failed)
        denial = Text(group.denial, style="yellow", overflow="ellipsis", no_wrap=True)
        table.add_row(group.name, *map(str, counts), denial)
    return table


def _keys(outlook: Outlook) -> Table:
    table = table_of("system keys", "states")
    by_provider: dict[str, Counter[str]] = {}
    for key in outlook.system_keys():
        by_provider.setdefault(key.provider, Counter())[word(key, "state")] += 1
    for provider, states in sorted(by_provider.items()):
        cell = Text()
        for state, number in sorted(states.items()):
            cell.append(f"{'●' * number} {state}  ", style=STYLES.get(state, ""))
        table.add_row(provider, cell)
    return table

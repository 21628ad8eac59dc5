"""What a person sees of the drill while it plays."""

from collections.abc import Iterable, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from broker.cli.drill.outlook import Outlook
from broker.cli.drill.record import Result
from broker.cli.drill.report import TOLD
from broker.cli.drill.traffic import Traffic
from broker.cli.output import STYLES
from broker.cli.plain import plain
from broker.cli.screens import table_of


class DrillScene:
    """How things are now."""

    def __init__(self, outlook: Outlook, traffic: Traffic) -> None:
        self._outlook = outlook
        self._traffic = traffic

    @property
    def alarm(self) -> str:
        """Said while a replica has the key in quarantine."""
        is_bad = any(view.state == "quarantined" for view in self._outlook.views.values())
        return "QUARANTINED" if is_bad else ""

    @property
    def news(self) -> Sequence[str]:
        """The events of interest."""
        shown = (told for told in self._outlook.told if told.kind in TOLD)
        return [plain(f"{told.kind}: {told.message}") for told in shown]

    @property
    def milestones(self) -> Sequence[str]:
        """None: the report has them."""
        return ()

    def pictures(self) -> Iterable[RenderableType]:
        """Callers and replicas."""
        return self._callers(), self._replicas()

    def _callers(self) -> Table:
        table = table_of("callers", *Result)
        for group, counts in self._traffic.counts.items():
            table.add_row(group, *(str(counts[result]) for result in Result))
        return table

    def _replicas(self) -> Table:
        table = table_of("replica", "key", "revisions")
        for replica in self._outlook.channels:
            view = self._outlook.views.get(replica)
            cell = Text()
            for revision, stage in view.stages.items() if view else ():
                cell.append(f"{revision[:8]} {stage}  ", style=STYLES.get(stage, ""))
            state = (view.state if view else "") or "away"
            table.add_row(replica, Text(state, style=STYLES.get(state, "")), cell)
        return table

"""The picture of a drill: what callers got, how the revisions stood, and what was done when."""

from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from broker.cli.drill.bands import (
    QUARANTINED,
    bands,
    end_of,
    marks,
    rates,
    revisions,
    spread,
)
from broker.cli.drill.record import GROUPS, Record, Result, What

RESULTS: Final = {
    Result.SERVED: "#4c9a6a",
    Result.DENIED: "#e0a63a",
    Result.FAILED: "#c6403c",
    Result.BROKEN: "#2b2b2b",
}
STAGES: Final = {
    "in_use": "#4c9a6a",
    "incoming": "#e9d58b",
    "rejected": "#d98c88",
    QUARANTINED: "#c6403c",
    "draining": "#b9c0c7",
}
WORDS: Final = {
    Result.SERVED: "served",
    Result.DENIED: "denied: no key",
    Result.FAILED: "failed at the provider",
    Result.BROKEN: "failed otherwise",
    "in_use": "in use",
}
INK: Final = "#3b4148"
TROUBLE: Final = "#a5322f"
SHADES: Final = ("#f1f4f6", "#e6ebef")

LANE: Final = 0.8
"""What the lanes of a revision's replicas fill of its row."""


def draw(record: Record, path: Path) -> None:
    """Draw a record into a file, in the form that its name says."""
    shown = revisions(record)
    heights = [1.45, *[1.0] * len(GROUPS), 0.25 * max(len(shown), 2)]
    with mpl.rc_context({"font.size": 9, "axes.edgecolor": INK}):
        figure = Figure(figsize=(12.0, 1.1 * sum(heights) + 1.2), layout="constrained")
        axes: list[Axes] = list(
            figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
        )
        _stories(record, axes)
        _marks(record, axes)
        for group, each in zip(GROUPS, axes[1:], strict=False):
            _calls(record, group, each)
        _revisions(record, shown, axes[-1])
        _legends(figure)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=110)


def _stories(record: Record, axes: list[Axes]) -> None:
    """A shade behind each story, with its letter."""
    top = axes[0]
    top.set_axis_off()
    top.set_xlim(0, end_of(record))
    top.set_ylim(0, 1)
    played = [deed for deed in record.deeds if deed.what is What.STORY]
    for number, story in enumerate(played):
        for each in axes:
            shade = SHADES[number % len(SHADES)]
            each.axvspan(story.at, story.until, color=shade, zorder=0, linewidth=0)
        title = f" {story.story.upper()}"
        top.text(story.at, 0.99, title, weight="bold", size=11, color=INK, va="top")


def _marks(record: Record, axes: list[Axes]) -> None:
    """A line through everything for each mark, and its label above."""
    found = marks(record)
    end = end_of(record)
    places = spread([mark.at for mark in found], end * 0.015)
    for mark, place in zip(found, places, strict=True):
        colour = TROUBLE if mark.is_trouble else INK
        for each in axes[1:]:
            each.axvline(mark.at, color=colour, linewidth=0.7, linestyle=(0, (4, 2)), zorder=3)
        axes[0].plot([mark.at, place], [-0.04, 0.12], color=colour, linewidth=0.7, clip_on=False)
        axes[0].text(
            place, 0.14, mark.label, rotation=90, color=colour, size=8, ha="center", va="bottom"
        )


def _calls(record: Record, group: str, axes: Axes) -> None:
    """Calls a second of one group, what they came to on top of each other."""
    width = 0.5 if end_of(record) < 90 else 1.0
    counted = rates(record, group, width)
    bottom = [0.0] * len(counted[Result.SERVED])
    edges = [number * width for number in range(len(bottom) + 1)]
    for result, heights in counted.items():
        top = [low + height for low, height in zip(bottom, heights, strict=True)]
        if any(heights):
            axes.stairs(
                top, edges, baseline=bottom, fill=True, color=RESULTS[result], zorder=2, linewidth=0
            )
        bottom = top
    axes.set_ylabel("calls/s", color=INK)
    axes.set_title(group, loc="left", size=9, pad=3, color=INK)
    _tidy(axes)


def _revisions(record: Record, shown: dict[str, str], axes: Axes) -> None:
    """A row for each revision, in it a lane for each replica."""
    replicas, order = record.setup.replicas, list(shown)
    lane = LANE / len(replicas)
    for band in bands(record):
        low = order.index(band.revision) - LANE / 2 + replicas.index(band.replica) * lane
        span = (band.at, band.until - band.at)
        axes.broken_barh(
            [span], (low, lane * 0.9), facecolors=STAGES.get(band.stage, INK), zorder=2, linewidth=0
        )
    axes.set_yticks(range(len(order)), [f"{role} {name[:6]}" for name, role in shown.items()])
    axes.invert_yaxis()
    lanes = f", each for {' and '.join(replicas)}" if len(replicas) > 1 else ""
    axes.set_title(f"revisions of the key{lanes}", loc="left", size=9, pad=3, color=INK)
    axes.set_xlabel("seconds since the drill began")
    _tidy(axes)


def _legends(figure: Figure) -> None:
    results = [Patch(color=colour, label=WORDS[name]) for name, colour in RESULTS.items()]
    stages = [Patch(color=STAGES[name], label=WORDS.get(name, name)) for name in STAGES]
    figure.legend(handles=results, title="calls", loc="outside lower left", ncols=4, frameon=False)
    figure.legend(
        handles=stages, title="revisions", loc="outside lower right", ncols=5, frameon=False
    )


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK, labelsize=8)

"""Figures: what was measured, and what was promised of it."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number; None: what it measures did not come to pass.

    A figure with a bound is a promise. `elsewhere` is the same in the field's account of a drill.
    """

    name: str
    label: str
    value: float | None
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None
    elsewhere: str = ""

    @property
    def is_promised(self) -> bool:
        """Is there a bound that it must keep?"""
        return self.at_most is not None or self.at_least is not None

    @property
    def is_kept(self) -> bool:
        """Is the promise kept, or none made; what did not come to pass keeps none."""
        if self.value is None:
            return not self.is_promised
        is_low = self.at_least is not None and self.value < self.at_least
        is_high = self.at_most is not None and self.value > self.at_most
        return not (is_low or is_high)

    @property
    def shown(self) -> str:
        """The number as a person reads it."""
        if self.value is None:
            return "never"
        number = f"{self.value:.2f}" if self.unit == "s" else f"{self.value:g}"
        return f"{number} {self.unit}".rstrip()

    @property
    def promised(self) -> str:
        """The bounds as a person reads them; "" for none."""
        if not self.is_promised:
            return ""
        if self.at_most is not None and self.at_most == self.at_least:
            return f"{self.at_most:g}"
        bounds = [f"≥ {self.at_least:g}"] if self.at_least is not None else []
        if self.at_most is not None:
            bounds.append(f"≤ {self.at_most:g}" if self.at_most else "0")
        return f"{', '.join(bounds)} {self.unit}".rstrip()

    def as_json(self) -> dict[str, Any]:
        """The figure for programs."""
        value = None if self.value is None else round(self.value, 4)
        return {
            "label": self.label,
            "value": value,
            "unit": self.unit,
            "at_most": self.at_most,
            "at_least": self.at_least,
            "kept": self.is_kept if self.is_promised else None,
        }


@dataclass(frozen=True, slots=True)
class Counts:
    """What the calls of one group came to."""

    served: int = 0
    denied: int = 0
    failed: int = 0
    broken: int = 0

    @property
    def asked(self) -> int:
        """All of them."""
        return self.served + self.denied + self.failed + self.broken


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one story, from `at` `until` its end."""

    story: str
    at: float
    until: float
    figures: tuple[Figure, ...]
    counts: dict[str, Counts] = field(default_factory=dict)

    @property
    def is_kept(self) -> bool:
        """Is every promise of it kept?"""
        return all(figure.is_kept for figure in self.figures)

    @property
    def missed(self) -> list[Figure]:
        """The promises that are not kept."""
        return [figure for figure in self.figures if not figure.is_kept]

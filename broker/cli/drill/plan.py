"""What is to be drilled, as it was asked for."""

from dataclasses import asdict, dataclass
from typing import Any, Final

PROVIDER: Final = "openai"
"""The provider whose one system key is rotated."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The options; `pace_s` is how long each act is looked at."""

    rate: float
    replicas: int
    pace_s: float
    stories: tuple[str, ...]

    @property
    def poll_s(self) -> float:
        """How often the brokers read Secrets Manager when nothing is wrong."""
        return max(1.0, self.pace_s / 2)

    @property
    def outage_s(self) -> float:
        """How long after the revocation the good secret comes."""
        return max(2.0, self.pace_s / 2)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the replicas."""
        return tuple(f"replica-{number}" for number in range(1, self.replicas + 1))

    def as_json(self) -> dict[str, Any]:
        """The options for programs."""
        shown = asdict(self)
        return {**shown, "stories": list(self.stories), "poll_s": self.poll_s}

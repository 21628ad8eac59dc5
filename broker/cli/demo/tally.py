"""What the demo counts: requests as their callers saw them, and how long things took."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Group:
    """Callers of one kind: `saved` are requests that another key or model served.

    `denial` and `failure` tell of the last one.
    """

    name: str
    tenant: str = ""
    fallbacks: tuple[str, ...] = ()
    asked: int = 0
    served: int = 0
    saved: int = 0
    denied: int = 0
    failed: int = 0
    denial: str = ""
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Milestone:
    """Something that was waited for, and how long it took."""

    name: str
    label: str
    seconds: float


@dataclass(slots=True)
class Tally:
    """Everything that the summary tells."""

    groups: tuple[Group, ...]
    milestones: list[Milestone] = field(default_factory=list)
    rejected_calls: dict[str, int] = field(default_factory=dict)
    wrong_owner: int = 0

    @property
    def asked(self) -> int:
        """All requests."""
        return sum(group.asked for group in self.groups)

    @property
    def failed(self) -> int:
        """Requests that a caller saw fail, a denial not being one."""
        return sum(group.failed for group in self.groups)

    def as_json(self) -> dict[str, object]:
        """The summary for programs."""
        return {
            "requests": self.asked,
            "failed": self.failed,
            "served_with_a_key_of_others": self.wrong_owner,
            "groups": {
                group.name: {
                    "requests": group.asked,
                    "served": group.served,
                    "saved": group.saved,
                    "denied": group.denied,
                    "failed": group.failed,
                    "last_failure": group.failure,
                }
                for group in self.groups
            },
            "calls_on_rejected_keys": self.rejected_calls,
            "seconds": {stone.name: round(stone.seconds, 3) for stone in self.milestones},
        }

"""What one answer is about: the facts that the dialects' templates are filled with."""

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

_SHOWN_HEAD: Final = 8
_SHOWN_TAIL: Final = 4
_PLENTY: Final = 10_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many requests a key has left in its window, and when the window ends (seconds)."""

    limit: int = _PLENTY
    remaining: int = _PLENTY - 1
    reset_s: float = 0.006


@dataclass(frozen=True, slots=True)
class Case:
    """One request as a dialect sees it when it answers.

    `prompt` is the caller's own text. `retry_s` is how long a limit still lasts. `now` is aware.
    """

    request_id: str
    now: datetime
    model: str = ""
    secret: str = field(default="", repr=False)
    account: str = ""
    prompt: str = field(default="", repr=False)
    retry_s: float = 0.0
    allowance: Allowance = Allowance()

    @property
    def retry_after(self) -> str:
        """Whole seconds for the `retry-after` header, rounded up as providers do."""
        return str(max(1, math.ceil(self.retry_s)))

    def after(self, seconds: float) -> str:
        """The RFC 3339 instant `seconds` from now."""
        instant = self.now + timedelta(seconds=seconds)
        return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def words(self) -> dict[str, object]:
        """What a message template may name."""
        return {
            "model": self.model,
            "account": self.account or "default",
            "secret": self.secret,
            "masked": masked(self.secret),
            "tail": self.secret[-_SHOWN_TAIL:],
            "prompt": self.prompt,
            "retry": go_duration(self.retry_s),
            "retry_s": seconds_text(self.retry_s),
            "limit": self.allowance.limit,
            "request_id": self.request_id,
        }


def masked(secret: str) -> str:
    """A secret as OpenAI's errors show it: eight characters, stars, four; short ones whole."""
    hidden = len(secret) - _SHOWN_HEAD - _SHOWN_TAIL
    if hidden <= 0:
        return secret
    return secret[:_SHOWN_HEAD] + "*" * hidden + secret[-_SHOWN_TAIL:]


def seconds_text(seconds: float) -> str:
    """Seconds as protobuf's JSON writes a Duration: `0.7s`, `48s`."""
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"


def go_duration(seconds: float) -> str:
    """A duration as Go prints it: `700ms`, `1.5s`, `7m12s`, `1h0m3s`."""
    milliseconds = math.ceil(seconds * 1000 - 1e-6)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text

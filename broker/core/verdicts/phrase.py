"""A phrase of a provider's own error message: anchored at its start, never searched for."""

from dataclasses import dataclass

from broker.core.verdicts.cuttext import CutText

MAX_MESSAGE_CHARS = 1024
"""How much of a message phrases look at; what a provider means it says at the beginning."""

GAP = "{}"

MAX_GAP_CHARS = 200
"""The longest text one GAP stands for: the longest model and organisation names fit."""


@dataclass(frozen=True, slots=True)
class Wording:
    """Phrases of which one is enough; `openings` are their first parts, looked at in one go."""

    phrases: tuple["Phrase", ...]
    openings: tuple[str, ...]

    @classmethod
    def of(cls, *, starts: tuple[str, ...] = (), whole: tuple[str, ...] = ()) -> "Wording":
        """Read templates that begin a message, and others that are all of it."""
        phrases = (
            *(Phrase.of(text, whole=False) for text in starts),
            *(Phrase.of(text, whole=True) for text in whole),
        )
        return cls(phrases, tuple(phrase.parts[0] for phrase in phrases))

    def matches(self, message: str) -> bool:
        """Whether `message` (lower-case, stripped) is put in one of these ways."""
        if not message.startswith(self.openings):
            return False
        return any(phrase.matches(message) for phrase in self.phrases)


@dataclass(frozen=True, slots=True)
class Phrase:
    """A template such as `The model {} does not exist`, compared without case.

    `parts` are the lower-case literals between the `{}`. The first sits at the very start of the
    message; `whole` also pins the last to its very end, so that nothing a caller wrote can follow.
    """

    parts: tuple[str, ...]
    whole: bool

    @classmethod
    def of(cls, template: str, *, whole: bool) -> "Phrase":
        """Read a template in which `{}` stands for up to MAX_GAP_CHARS of anything."""
        return cls(tuple(template.lower().split(GAP)), whole)

    @property
    def is_closed(self) -> bool:
        """Whether the message must end in words of the provider."""
        return self.whole and bool(self.parts[-1])

    def matches(self, message: str) -> bool:
        """Whether `message` (lower-case, stripped) begins with, or is, this phrase; linear time."""
        parts = self.parts
        if not message.startswith(parts[0]):
            return False
        if self.whole and isinstance(message, CutText):
            return False
        position = len(parts[0])
        for part in parts[1:-1] if self.whole else parts[1:]:
            found = message.find(part, position, position + MAX_GAP_CHARS + len(part))
            if found < 0:
                return False
            position = found + len(part)
        return not self.whole or self._ends(message, position)

    def _ends(self, message: str, position: int) -> bool:
        if len(self.parts) == 1:
            return len(message) == position
        gap = len(message) - len(self.parts[-1]) - position
        return 0 <= gap <= MAX_GAP_CHARS and message.endswith(self.parts[-1])

"""A phrase of a provider's own error message: anchored at its start, never searched for."""

import re
from dataclasses import dataclass
from typing import Final

from broker.core.verdicts.cuttext import CutText

MAX_MESSAGE_CHARS = 1024
"""How much of a message phrases look at; what a provider means it says at the beginning."""

GAP = "{}"

WORD = "{word}"
"""A gap without white space, which no sentence around a caller's words fits into."""

MAX_GAP_CHARS = 600
"""The longest text one gap stands for: a list of a provider's models fits."""

_GAPS: Final = re.compile(r"(\{(?:word)?\})")


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

    `parts` are the lower-case literals between the gaps, `is_word` tells for each gap whether it is
    a WORD. The first part sits at the very start of the message; `whole` also pins the last to its
    very end, so that nothing a caller wrote can follow.
    """

    parts: tuple[str, ...]
    is_word: tuple[bool, ...]
    whole: bool

    @classmethod
    def of(cls, template: str, *, whole: bool) -> "Phrase":
        """Read a template in which a gap stands for up to MAX_GAP_CHARS of anything."""
        pieces = _GAPS.split(template)
        parts = tuple(part.lower() for part in pieces[::2])
        return cls(parts, tuple(gap == WORD for gap in pieces[1::2]), whole)

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
        last = len(parts) - 1
        for number, part in enumerate(parts[1:], start=1):
            if self.whole and number == last:
                return self._ends(message, position)
            found = message.find(part, position, position + MAX_GAP_CHARS + len(part))
            if found < 0 or not self._fits(number - 1, message[position:found]):
                return False
            position = found + len(part)
        return not self.whole or len(message) == position

    def _ends(self, message: str, position: int) -> bool:
        end = len(message) - len(self.parts[-1])
        if not 0 <= end - position <= MAX_GAP_CHARS or not message.endswith(self.parts[-1]):
            return False
        return self._fits(len(self.is_word) - 1, message[position:end])

    def _fits(self, gap: int, text: str) -> bool:
        return not self.is_word[gap] or not any(map(str.isspace, text))

"""What somebody who writes a rule needs to know of an answer that none matched, and no more.

An answer may hold prompts, answers and secrets. What leaves here is the provider's own: codes that
look like codes, names of members, and words of its message outside of quotes.
"""

import re
from typing import Final

from broker.core.outcome import Outcome
from broker.core.verdicts.answer import Answer, answers
from broker.core.verdicts.body import Body, read_body
from broker.core.verdicts.dialect import Dialect

MAX_MEMBERS: Final = 12
MAX_VALUES: Final = 4
MAX_WORDS_CHARS: Final = 160

CALLERS_FIELDS: Final = frozenset({"param"})
"""Fields that name what a caller sent."""

_CODE = re.compile(r"[a-z][a-z0-9_.#:/+ -]{0,47}|-?\d{1,6}", re.IGNORECASE | re.ASCII)
_JOINTS = re.compile(r"[_.#:/+ -]")
_QUOTED = re.compile(
    r"'[^']*+'?|\"[^\"]*+\"?|`[^`]*+`?|“[^”]*+”?|\{[^}]*+\}?|\[[^\]]*+\]?|<[^>]*+>?"
)
_PLAIN = re.compile(
    r"[(]?[^\W\d_]{1,20}(?:[-'][^\W\d_]{1,20})?[),;!?.…]{0,2}"  # a word
    r"|\d{1,3}|…"
    r"|[\u3000-\u9fff\uff00-\uffef]{1,60}"  # a sentence in Chinese or Japanese
)
_REST = re.compile(r"(?:[:.]\s|\n).*$", re.DOTALL)


def clues(dialect: Dialect, outcome: Outcome) -> dict[str, str]:
    """The shape of an answer in words that are safe to log; empty parts are left out."""
    body = read_body(outcome.body, is_cut=outcome.truncated, needles=dialect.errors.needles)
    answer = answers(dialect.errors, body, outcome.headers)[0]
    found = {
        "shape": _shape(body),
        "members": " ".join(_members(body)),
        "content_type": _harmless(outcome.headers.get("content-type", "").partition(";")[0]),
        "words": _words(answer.message),
    }
    return {name: text for name, text in (found | _fields(dialect, answer)).items() if text}


def _shape(body: Body) -> str:
    if body.roots:
        return "events" if body.is_stream else "json"
    return "page" if body.page else "words" if body.words else "nothing"


def _members(body: Body) -> list[str]:
    """The names in the body and in its `error`, which an API chose: `error.code`."""
    root = body.roots[-1] if body.roots else {}
    names = [name for name in root if _harmless(name)]
    inner = root.get("error")
    if isinstance(inner, dict):
        names += [f"error.{name}" for name in inner if _harmless(name)]
    return names[:MAX_MEMBERS]


def _fields(dialect: Dialect, answer: Answer) -> dict[str, str]:
    """The codes of the answer, by the names that the dialect's rules use."""
    names = {*dialect.errors.fields, *dialect.errors.headers} - CALLERS_FIELDS
    return {
        f"field_{name}": " ".join(filter(None, map(_harmless, answer.field(name)[:MAX_VALUES])))
        for name in sorted(names)
    }


def _harmless(text: str) -> str:
    """A code as it is; "" for what could be anything else."""
    text = text.strip()
    return text if _CODE.fullmatch(text) and not _looks_secret(text) else ""


def _looks_secret(text: str) -> bool:
    """Whether a part is too long for a word, or mixes letters and digits as no word does."""
    for part in _JOINTS.split(text):
        digits = sum(map(str.isdecimal, part))
        if len(part) > 24 or digits > 6 or 2 < digits < len(part):
            return True
    return False


def _words(message: str) -> str:
    """The first sentence up to a colon, without quotes and whatever no plain word is like."""
    text = _REST.sub("", _QUOTED.sub("…", message))
    parts = (part if _PLAIN.fullmatch(part) else "…" for part in text.split())
    return " ".join(parts)[:MAX_WORDS_CHARS].strip()

"""Takes the bytes of an answer apart: JSON, event streams, HTML pages, plain words, or a mix."""

import json
import re
from dataclasses import dataclass
from typing import Final

from broker.core.outcome import MAX_BODY_BYTES
from broker.core.verdicts.cuttext import CutText
from broker.core.verdicts.repair import repair

MAX_EVENTS: Final = 8
"""How many error events of a stream are read, from its end: the error is the last thing said."""

MAX_ROOTS: Final = 8
"""How many elements of a top-level array are read, from its end."""

_CLIENT_PREFIX = re.compile(
    # What SDKs and proxies put before the provider's words when they print an error:
    r"(?:Error code: \d{3} - "  # openai-python, anthropic-python
    r"|litellm\.\w{1,40}: (?:\w{1,40}: )?\w{1,40}Exception - "  # litellm
    r"|got status: \d{3}(?: [A-Za-z]{1,20}){0,4}\. "  # @google/generative-ai
    r"|(?:API|Codex) error: (?:\d{3} )?"  # claude-code, codex
    r"|\d{3}:? (?=\S)"  # openai-node, anthropic-typescript
    r"|b(?=['\"]\{)['\"])",  # a Python bytes literal
    re.IGNORECASE,
)
_PAGE = re.compile(r"<(?:!doctype|html|head|body)", re.IGNORECASE)
_EVENT_FIELDS = ("data:", "event:", "id:", ":")


@dataclass(frozen=True, slots=True)
class Body:
    """What an answer's body holds.

    `roots` are its JSON objects. `words` is the text when it is not JSON; `page` the text when it
    is HTML. `is_sound` is False when JSON broke anywhere but at its end.
    """

    roots: tuple[dict[str, object], ...] = ()
    words: str = ""
    page: str = ""
    is_sound: bool = True


_EMPTY = Body()


def read_body(data: bytes, *, is_cut: bool) -> Body:
    """What `data` holds; takes anything, and looks at no more than MAX_BODY_BYTES of it."""
    if not data:
        return _EMPTY
    is_cut = is_cut or len(data) > MAX_BODY_BYTES
    text = data[:MAX_BODY_BYTES].decode("utf-8", "replace").strip("\ufeff \t\r\n\0")
    prefix = _CLIENT_PREFIX.match(text)
    if prefix is not None:
        text = text[prefix.end() :]
        if prefix.group().startswith("b"):
            text = text.removesuffix(prefix.group()[-1])
    if text.startswith(("{", "[")):
        return _read_json(text)
    if _PAGE.match(text):
        return Body(page=text)
    if text.startswith(_EVENT_FIELDS):
        return _read_events(text)
    return Body(words=CutText(text) if is_cut else text)


def read_json_text(text: str) -> tuple[dict[str, object], ...]:
    """The objects of a text that is JSON from end to end; none when it is anything else.

    Nothing is repaired here: a caller may begin a message with JSON, but not end it.
    """
    if not text.lstrip().startswith(("{", "[")):
        return ()
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return ()
    return (value,) if isinstance(value, dict) else _objects(value)


def _read_json(text: str) -> Body:
    try:
        # Not strict: providers put raw line breaks into strings.
        value, is_sound = json.loads(text, strict=False), True
    except (ValueError, RecursionError):
        value, is_sound = repair(text)
    if isinstance(value, dict):
        return Body(roots=(value,), is_sound=is_sound)
    return Body(roots=_objects(value), is_sound=is_sound)


def _objects(value: object) -> tuple[dict[str, object], ...]:
    elements = value[-MAX_ROOTS:] if isinstance(value, list) else ()
    return tuple(element for element in elements if isinstance(element, dict))


def _read_events(text: str) -> Body:
    lines = [
        line
        for line in text.splitlines()
        if line.startswith("data:") and ("error" in line or "fail" in line)
    ]
    bodies = [_read_json(line[len("data:") :].strip()) for line in lines[-MAX_EVENTS:]]
    return Body(
        roots=tuple(root for body in bodies for root in body.roots),
        is_sound=all(body.is_sound for body in bodies),
    )

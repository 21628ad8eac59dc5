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

MAX_LINES: Final = 512
"""How many lines of a stream are looked at, from its end."""

MAX_ROOTS: Final = 8
"""How many elements of a top-level array are read, from its end."""

MAX_PREFIXES: Final = 3
"""How many layers of a client's own words are taken off: litellm prints what openai-python did."""

_CLIENT_PREFIX = re.compile(
    # What SDKs and proxies put before the provider's words when they print an error:
    r"(?:(?:[a-z_]{2,40}\.){1,5}\w{1,40}(?:Error|Exception|Exhausted|Unavailable): "  # Python
    r"|(?:\w{1,40}: )?\w{1,40}Exception - "  # litellm
    r"|Error code: \d{3} - "  # openai-python, anthropic-python
    r"|(?:headers: \{[^{}]{0,2000}+\}, )?status_code: \d{3}, body: "  # cohere-, elevenlabs-python
    r"|got status: \d{3}(?: [A-Za-z]{1,20}){0,4}\. "  # @google/generative-ai
    r"|\[(?=API Error: )"
    r"|API error \(status \d{3}[A-Za-z ]{0,40}\): (?:[a-z-]{1,40}: )?"
    r"|(?:Failed to authenticate\. )?(?:API|Codex|LLM) error:? (?:\d{3,5}:? )?"  # agents
    r"|\d{3} status code \([^()\n]{0,40}\)\s{1,2}"
    r"|\[\d{3}\] (?=\S)"
    r"|\d{3}:? (?:(?-i:[A-Z_]{4,40}\. ))?(?=\S)"  # openai-node, anthropic-typescript, google-genai
    r"|b(?=['\"]\{)['\"])",  # a Python bytes literal
    re.IGNORECASE,
)
_NAMED = re.compile(
    # An error that a client names before it quotes the provider:
    r"An error occurred \((\w{1,60})\) when calling the \w{1,60} operation"  # botocore
    r"(?: \(reached max retries: \d{1,3}\))?: "
    r"|([A-Z][A-Za-z.]{1,60}(?:Error|Exception)): (?=\S)"
)
_CLOSED = re.compile(
    r"received (\d{4}) \([a-z ]{1,40}\) ?(.{0,200}?)(?:; then sent \d{4} .*)?$", re.DOTALL
)
_PAGE = re.compile(r"<(?:!doctype|html|head|body)", re.IGNORECASE)
_EVENT_FIELDS = ("data:", "event:", "id:", ":")


@dataclass(frozen=True, slots=True)
class Body:
    """What an answer's body holds.

    `roots` are its JSON objects. `words` is the text when it is not JSON; `page` the text when it
    is HTML. `error_name` is the name that a client printed before the words. `close_code` is that
    of a WebSocket, whose close frame says in words what no HTTP answer can (RFC 6455). `is_stream`
    tells that the objects are events; `is_sound` is False when JSON broke anywhere but at its end.
    """

    roots: tuple[dict[str, object], ...] = ()
    words: str = ""
    page: str = ""
    error_name: str = ""
    close_code: int | None = None
    is_stream: bool = False
    is_sound: bool = True


_EMPTY = Body()


def read_body(data: bytes, *, is_cut: bool, needles: tuple[str, ...] = ()) -> Body:
    """What `data` holds; takes anything, and looks at no more than MAX_BODY_BYTES of it.

    Of an event stream it reads what has "error", "fail" or one of `needles` in it.
    """
    if not data:
        return _EMPTY
    is_cut = is_cut or len(data) > MAX_BODY_BYTES
    text = data[:MAX_BODY_BYTES].decode("utf-8", "replace").strip("\ufeff \t\r\n\0")
    if text.startswith(("{", "[{")):
        return _read_json(text)
    closed = _CLOSED.match(text)
    if closed is not None:
        return Body(words=closed[2], close_code=int(closed[1]))
    text, name = _without_prefixes(text)
    if text.startswith(("{", "[")):
        return _read_json(text)
    if _PAGE.match(text):
        return Body(page=text)
    if text.startswith(_EVENT_FIELDS):
        return _read_events(text, needles)
    words = _unquoted(text)
    return Body(words=CutText(words) if is_cut else words, error_name=name)


def _without_prefixes(text: str) -> tuple[str, str]:
    """A text without what clients put before it, and the error's name among that."""
    name = ""
    for _ in range(MAX_PREFIXES):
        prefix = _CLIENT_PREFIX.match(text)
        if prefix is not None and prefix.group() in {"b'", 'b"'}:
            return text[prefix.end() :].removesuffix(prefix.group()[-1]), name
        if prefix is None:
            prefix = _NAMED.match(text)
            if prefix is None:
                break
            name = prefix[1] or prefix[2]
        text = text[prefix.end() :]
    return text, name


def _unquoted(text: str) -> str:
    """The words of a text that is one JSON string, as some routers answer."""
    if not text.startswith('"'):
        return text
    try:
        words = json.loads(text, strict=False)
    except ValueError:
        return text[1:]
    return words if isinstance(words, str) else text


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


def _read_events(text: str, needles: tuple[str, ...]) -> Body:
    marks = ("error", "fail", *needles)
    bodies: list[Body] = []
    for line in reversed(text.splitlines()[-MAX_LINES:]):
        if line.startswith("data:") and any(mark in line for mark in marks):
            bodies.append(_read_json(line[len("data:") :].strip()))
            if len(bodies) == MAX_EVENTS:
                break
    return Body(
        roots=tuple(root for body in reversed(bodies) for root in body.roots),
        is_stream=True,
        is_sound=all(body.is_sound for body in bodies),
    )

"""What a dialect must be able to say."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from simulator.case import Case
from simulator.wire import Answer, Request, json_answer
from simulator.words import Refusal, RouteKind

Headers = tuple[tuple[str, str], ...]

GREETING: Final = "Hello from the simulator."
PROMPT_TOKENS: Final = 11
COMPLETION_TOKENS: Final = 6
EVENT_STREAM: Final[Headers] = (
    ("content-type", "text/event-stream; charset=utf-8"),
    ("cache-control", "no-cache"),
)


@dataclass(frozen=True, slots=True)
class Said:
    """One error as a provider words it; `message` is a template over `Case.words()`.

    A `raw` message is the whole body, as plain text.
    """

    status: int
    message: str
    type: str = ""
    code: str | None = None
    param: str | None = None
    raw: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """What a request asks for; `prompt` is the last thing the caller said.

    `wrong` is the error for a request whose content cannot be served.
    """

    kind: RouteKind
    model: str = ""
    streams: bool = False
    prompt: str = ""
    wrong: Said | None = None


class Dialect(ABC):
    """One provider's way of speaking; stateless.

    `base` is the path of its base URL, with the API version where the real one has it; `aliases`
    lead to the same. `said` is total over Refusal.
    """

    name: ClassVar[str]
    base: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    models: ClassVar[tuple[str, ...]]
    said: ClassVar[Mapping[Refusal, Said]]
    content_type: ClassVar[str] = "application/json"

    @abstractmethod
    def secret_of(self, request: Request) -> str:
        """The secret that the request presents, or "" when it presents none."""

    @abstractmethod
    def route(self, request: Request) -> Route | None:
        """What the request wants, or None for a path that does not exist."""

    @abstractmethod
    def error(self, refusal: Refusal, said: Said, case: Case) -> object:
        """The JSON document of an error."""

    @abstractmethod
    def headers(self, case: Case, refusal: Refusal | None = None) -> Headers:
        """The headers of an answer besides its content type; no refusal means success."""

    @abstractmethod
    def completion(self, case: Case) -> object:
        """The JSON document of a success."""

    @abstractmethod
    def events(self, case: Case, pieces: Sequence[str]) -> list[bytes]:
        """The server-sent events of a success, one chunk each."""

    @abstractmethod
    def model_list(self, models: Sequence[str]) -> object:
        """The JSON document that lists `models`."""

    def refuse(self, refusal: Refusal, case: Case, said: Said | None = None) -> Answer:
        """The whole answer to a request that is refused; `said` replaces the usual wording."""
        said = said or self.said[refusal]
        headers = self.headers(case, refusal)
        if said.raw:
            body = said.message.format_map(case.words()).encode()
            return Answer(said.status, (("content-type", "text/plain"), *headers), body)
        document = self.error(refusal, said, case)
        return json_answer(said.status, document, headers, self.content_type)

    def error_event(self, refusal: Refusal, case: Case) -> bytes:
        """An error as one server-sent event inside a stream that began well."""
        return sse(self.error(refusal, self.said[refusal], case))

    def succeed(self, case: Case) -> Answer:
        """The whole answer to a request that is served at once."""
        return json_answer(200, self.completion(case), self.headers(case), self.content_type)

    def stream(self, case: Case, pieces: int) -> Answer:
        """The answer to a request that is served as a stream of `pieces` pieces of text."""
        events = self.events(case, _cut(GREETING, pieces))
        return Answer(200, (*EVENT_STREAM, *self.headers(case)), chunks=tuple(events))

    def list_models(self, models: Sequence[str], case: Case) -> Answer:
        """The answer to a request for the models."""
        # The list is no inference: providers send no allowance with it.
        headers = (("x-request-id", case.request_id),)
        return json_answer(200, self.model_list(models), headers, self.content_type)

    def local_path(self, request: Request) -> str | None:
        """The request's path below the dialect's base, or None outside of it."""
        for base in (*self.aliases, self.base):
            if request.path.startswith(base + "/"):
                return request.path.removeprefix(base)
        return None


def sse(document: object, event: str = "") -> bytes:
    """One server-sent event."""
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {json.dumps(document, ensure_ascii=False)}\n\n".encode()


def text_in(document: Mapping[str, object], *path: str | int) -> str:
    """The string at `path` in a JSON document, or "" when there is none."""
    here: object = document
    for step in path:
        if isinstance(here, dict) and isinstance(step, str):
            here = here.get(step)
        elif isinstance(here, list) and isinstance(step, int) and here:
            here = here[step] if -len(here) <= step < len(here) else None
        else:
            return ""
    return here if isinstance(here, str) else ""


def _cut(text: str, pieces: int) -> list[str]:
    """`text` in at most `pieces` pieces of equal length, then repeated until there are enough."""
    size = -(-len(text) // pieces)
    cut = [text[at : at + size] for at in range(0, len(text), size)]
    return [cut[n % len(cut)] for n in range(pieces)]

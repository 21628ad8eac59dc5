"""What happens to one request: the provider's side of the story, decided on arrival."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from simulator.case import Case
from simulator.dialects import DIALECTS, Dialect
from simulator.dialects.base import Route
from simulator.faults import FaultRule, Pace, Target
from simulator.keys import Key
from simulator.ledger import Call
from simulator.switchboard import Switchboard
from simulator.wire import Answer, Request, json_answer
from simulator.words import AFTER_AUTHENTICATION, Ending, Fault, Refusal, RouteKind, Trouble

ELSEWHERE: Final = "elsewhere"
"""The dialect name of calls to the host that redirects lead to."""
_ELSEWHERE_PATH: Final = "/_elsewhere"
_NOT_FOUND: Final = json_answer(404, {"error": {"message": "There is no such path."}})
_BAD_GATEWAY: Final = Answer(
    502,
    (("content-type", "text/html"), ("server", "cloudflare")),
    b"<!doctype html><html><head><title>502 Bad Gateway</title></head>"
    b"<body><center><h1>502 Bad Gateway</h1></center><hr><center>cloudflare</center></body></html>",
)
_ENDINGS: Final[Mapping[Trouble, Ending]] = {
    Fault.RESET: Ending.RESET,
    Fault.CLOSE: Ending.CLOSE,
    Fault.GARBAGE: Ending.GARBAGE,
}
_REDIRECTS: Final[Mapping[Trouble, int]] = {Fault.REDIRECT_302: 302, Fault.REDIRECT_307: 307}


@dataclass(frozen=True, slots=True)
class Play:
    """How to answer: after `hang` is over and `delay_s`, in `spread_s`, with this `ending`.

    `key` is in flight from the decision until the server has performed the play.
    """

    answer: Answer
    call: Call
    key: Key | None = None
    hang: asyncio.Event | None = None
    delay_s: float = 0.0
    spread_s: float = 0.0
    ending: Ending = Ending.WHOLE


def decide(board: Switchboard, request: Request) -> Play:
    """Decide the answer to a provider request, and record it.

    The state of this moment decides, also for an answer that is sent much later.
    """
    dialect = DIALECTS.get(request.path.lstrip("/").partition("/")[0])
    route = dialect.route(request) if dialect else None
    if dialect is None or route is None:
        return _astray(board, request, dialect)
    secret = dialect.secret_of(request)
    key = board.keys.presented(dialect.name, secret)
    label = board.keys.label_of(secret)
    call = Call(board.clock(), dialect.name, label, route.model, request.path, route.kind)
    board.ledger.record(call)
    if key is not None:
        key.calls += 1
        key.in_flight += 1
    case = Case(
        request_id=f"req_{next(board.numbers):024x}",
        now=board.wall(),
        model=route.model,
        secret=secret,
        account=key.account if key else "",
        prompt=route.prompt,
    )
    return _Desk(board, dialect, request, route, case, call, key).serve()


def _astray(board: Switchboard, request: Request, dialect: Dialect | None) -> Play:
    """Answer a path that no dialect has; what a redirect led here is recorded with its secret."""
    presented = (spoken.secret_of(request) for spoken in DIALECTS.values())
    label = board.keys.label_of(next((secret for secret in presented if secret), ""))
    followed = request.path.startswith(_ELSEWHERE_PATH + "/")
    name = ELSEWHERE if followed else dialect.name if dialect else ""
    call = Call(board.clock(), name, label, "", request.path)
    board.ledger.record(call)
    return Play(json_answer(200, {}) if followed else _NOT_FOUND, call)


@dataclass(frozen=True, slots=True)
class _Desk:
    """One request with everything that is known about it."""

    board: Switchboard
    dialect: Dialect
    request: Request
    route: Route
    case: Case
    call: Call
    key: Key | None

    def serve(self) -> Play:
        """Decide between fault, refusal and success, in the order in which a provider would."""
        whom = Target(self.dialect.name, self.route.model, self.call.key, self.route.kind)
        rule = self.board.faults.meet(whom, streams=self.route.streams)
        play = (
            (self._fail(rule.trouble) if rule else None)
            or self._refuse_caller()
            or (self._refuse_content(rule) if rule else None)
            or self._succeed(self.board.faults.pace(whom), rule)
        )
        return replace(
            play,
            delay_s=play.delay_s + self.board.faults.delay_s(whom),
            hang=rule.over if rule and rule.trouble is Fault.HANG else None,
            ending=Ending.HALF if rule and rule.trouble is Fault.HALF_BODY else play.ending,
        )

    def _fail(self, trouble: Trouble) -> Play | None:
        """What happens to everybody, whatever key they have."""
        if trouble in AFTER_AUTHENTICATION or trouble is Fault.HANG:
            return None
        if isinstance(trouble, Refusal):
            return self._refuse(trouble)
        if trouble in _REDIRECTS:
            port = self.request.headers.get("host", "").rpartition(":")[2]
            place = f"http://localhost:{port}{_ELSEWHERE_PATH}{self.request.raw_path}"
            return self._play(Answer(_REDIRECTS[trouble], (("location", place),)))
        return replace(self._play(_BAD_GATEWAY), ending=_ENDINGS.get(trouble, Ending.WHOLE))

    def _refuse_caller(self) -> Play | None:
        """What the key, or its lack, forbids."""
        lists = self.route.kind is RouteKind.LIST_MODELS
        if self.key is None or self.key.revoked:
            if lists and self.dialect.name in self.board.public_lists:
                return None
            return self._refuse(Refusal.UNKNOWN_KEY if self.case.secret else Refusal.MISSING_KEY)
        if self.route.wrong:
            answer = self.dialect.refuse(Refusal.BAD_REQUEST, self.case, self.route.wrong)
            return self._play(answer)
        return None if lists else self._refuse_use(self.key)

    def _refuse_use(self, key: Key) -> Play | None:
        """What the state of a living key forbids."""
        model = self.route.model
        forbidden = (
            (Refusal.MODEL_FORBIDDEN, model in key.forbidden),
            (Refusal.MODEL_UNKNOWN, not key.serves(model)),
            (Refusal.EMPTY_WALLET, self.board.keys.is_broke(key)),
            (Refusal.TOO_MANY_IN_FLIGHT, key.is_crowded),
        )
        for refusal, holds in forbidden:
            if holds:
                return self._refuse(refusal)
        return self._refuse_excess(key)

    def _refuse_excess(self, key: Key) -> Play | None:
        """What the key's limits forbid; a request that any limit refuses counts against none."""
        now = self.board.clock()
        meters = key.meters_over(self.route.model)
        full = next((meter for meter in meters if not meter.admits(now)), None)
        if full is None:
            for meter in meters:
                meter.count(now)
            return None
        left_s = full.left_s(now)
        case = replace(self.case, retry_s=left_s, allowance=full.allowance(now))
        refusal = Refusal.DAILY_LIMITED if full.daily else Refusal.RATE_LIMITED
        return self._play(self.dialect.refuse(refusal, case))

    def _refuse_content(self, rule: FaultRule) -> Play | None:
        """What only a caller with a living key gets to see."""
        if rule.trouble is Fault.ERROR_IN_200:
            return self._play(replace(self.dialect.refuse(rule.cause, self.case), status=200))
        if isinstance(rule.trouble, Refusal):
            return self._refuse(rule.trouble)
        return None

    def _succeed(self, pace: Pace, rule: FaultRule | None) -> Play:
        if self.route.kind is RouteKind.LIST_MODELS:
            return self._play(self.dialect.list_models(self._models(), self.case))
        case = self._metered()
        if not self.route.streams:
            return replace(self._play(self.dialect.succeed(case)), delay_s=pace.seconds)
        answer = self.dialect.stream(case, pace.pieces)
        if rule and rule.trouble is Fault.ERROR_IN_STREAM:
            kept = answer.chunks[: (len(answer.chunks) + 1) // 2]
            answer = replace(answer, chunks=(*kept, self.dialect.error_event(rule.cause, case)))
        return replace(self._play(answer), spread_s=pace.seconds)

    def _metered(self) -> Case:
        """The case with what the tightest limit leaves."""
        now = self.board.clock()
        meters = self.key.meters_over(self.route.model) if self.key else []
        left = [meter.allowance(now) for meter in meters if meter.requests]
        if not left:
            return self.case
        return replace(self.case, allowance=min(left, key=lambda each: each.remaining))

    def _models(self) -> list[str]:
        if self.key is None or self.key.revoked:
            return list(self.dialect.models)
        hidden = self.key.forbidden | self.key.unknown
        return [model for model in self.key.models or self.dialect.models if model not in hidden]

    def _refuse(self, refusal: Refusal) -> Play:
        return self._play(self.dialect.refuse(refusal, self.case))

    def _play(self, answer: Answer) -> Play:
        return Play(answer, self.call, self.key)

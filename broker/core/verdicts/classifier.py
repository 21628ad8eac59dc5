"""From an outcome to a verdict: pure, total, and ignorant of any provider's name.

The answer's body decides before its status does; a rule decides before either is guessed from.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final, NamedTuple

from broker.core.outcome import Outcome
from broker.core.verdict import Verdict
from broker.core.verdicts.answer import Answer, answers, is_marked, status_within
from broker.core.verdicts.body import Body, read_body
from broker.core.verdicts.dialect import Dialect
from broker.core.verdicts.headroom import headroom
from broker.core.verdicts.hints import retry_hint_s
from broker.core.verdicts.rule import PROVIDER_STATUSES, Rule
from broker.core.words import Evidence, Kind, ScopeKind, TransportError

__all__ = ["DEFAULT_SCOPE", "classify", "headroom"]

DEFAULT_SCOPE: Mapping[Kind, ScopeKind] = MappingProxyType(
    {
        Kind.OK: ScopeKind.REQUEST,
        Kind.RATE_LIMITED: ScopeKind.KEY_MODEL,
        Kind.QUOTA_EXHAUSTED: ScopeKind.ACCOUNT,
        Kind.INVALID_CREDENTIAL: ScopeKind.KEY,
        Kind.PERMISSION_DENIED: ScopeKind.KEY_MODEL,
        Kind.MODEL_NOT_FOUND: ScopeKind.KEY_MODEL,
        Kind.OVERLOADED: ScopeKind.UPSTREAM,
        Kind.SERVER_ERROR: ScopeKind.UPSTREAM,
        Kind.UNREACHABLE: ScopeKind.UPSTREAM,
        Kind.REGION_UNSUPPORTED: ScopeKind.REQUEST,
        Kind.INVALID_REQUEST: ScopeKind.REQUEST,
        Kind.CONTENT_POLICY: ScopeKind.REQUEST,
        Kind.CANCELLED: ScopeKind.REQUEST,
        Kind.UNKNOWN: ScopeKind.REQUEST,
    }
)
"""How far a verdict of each kind reaches unless its rule says otherwise."""

_HINTED: Final = frozenset(
    {Kind.RATE_LIMITED, Kind.QUOTA_EXHAUSTED, Kind.OVERLOADED, Kind.SERVER_ERROR}
)
"""Kinds that waiting heals; rate-limit headers of any other answer are no hint."""

_NEUTRAL: Final = frozenset({TransportError.CALLER_DEADLINE, TransportError.CALLER_CANCELLED})

_STATUS_KINDS: Final = {
    401: Kind.INVALID_CREDENTIAL,
    402: Kind.QUOTA_EXHAUSTED,
    403: Kind.PERMISSION_DENIED,
    407: Kind.UNREACHABLE,  # a proxy on the way asks for its own credentials
    408: Kind.SERVER_ERROR,
    429: Kind.RATE_LIMITED,
    451: Kind.REGION_UNSUPPORTED,
    499: Kind.CANCELLED,
    503: Kind.OVERLOADED,
    529: Kind.OVERLOADED,
}
"""What a status means alone, where its class does not say it."""

_CLASS_KINDS: Final = {2: Kind.OK, 4: Kind.INVALID_REQUEST, 5: Kind.SERVER_ERROR}

_MAY_TELL_ERRORS: Final = re.compile(r"json|event-stream", re.IGNORECASE)


_NO_KEY_SCOPES: Final = frozenset(
    {ScopeKind.REQUEST, ScopeKind.UPSTREAM, ScopeKind.UPSTREAM_PRINCIPAL, ScopeKind.KEY_MODEL}
)


class _Reading(NamedTuple):
    """What rules are asked about, and the verdict when none of them matches.

    `is_doubtful` tells that the body may begin with a caller's words, which may be a whole error
    body: then it reaches no further than the request.
    """

    body: Body
    status: int | None
    guess: Verdict
    is_doubtful: bool = False


def classify(dialect: Dialect, outcome: Outcome) -> Verdict:
    """What one outcome means; never raises, whatever the bytes and headers."""
    transport, status = outcome.transport_error, outcome.http_status
    if transport in _NEUTRAL:
        return _TRANSPORT_VERDICTS[transport]
    if status is not None and 200 <= status < 300:
        body = _error_in_success(dialect, outcome)
        if body is None:
            return _fallback(status, transport)
        reading = _read_success(dialect, body, status)
    else:
        reading = _read_failure(outcome)
    found = answers(dialect.errors, reading.body, outcome.headers)
    shelf = dialect.book.under(reading.status)
    for answer in found:
        is_worded = answer.message.startswith(shelf.openings)
        for rule in shelf.rules:
            if rule.wording is not None and not is_worded:
                continue
            if reading.is_doubtful and rule.scope is not ScopeKind.REQUEST:
                continue
            if _matches(rule, outcome, answer, reading.body.page):
                return _rule_verdict(dialect, outcome, rule, answer, reading.body)
    guess = reading.guess
    if guess.kind in _HINTED:
        hint = retry_hint_s(dialect.hints, outcome.headers, found[0])
        return guess if hint is None else replace(guess, retry_hint_s=hint)
    return guess


def _read_success(dialect: Dialect, body: Body, status: int) -> _Reading:
    named = status_within(dialect.errors, body.roots[-1])
    if named is None:
        return _Reading(body, status, _UNREAD_ERROR)
    return _Reading(body, named, _fallback(named, None))


def _read_failure(outcome: Outcome) -> _Reading:
    status = outcome.http_status
    body = read_body(outcome.body, is_cut=outcome.truncated)
    guess = _fallback(status, outcome.transport_error)
    if status is None:
        status = body.close_code
        if status is None and body.words:
            body = Body()  # where no answer came, words are the client's own
    if body.error_name and status not in PROVIDER_STATUSES:
        body = replace(body, error_name="")  # a parameter may be named like an error
    is_whole = body.is_sound and not body.is_stream
    return _Reading(body, status, guess, is_doubtful=not is_whole and _is_provoked(status))


def _is_provoked(status: int | None) -> bool:
    """Whether an answer is about what the caller sent."""
    return status is not None and status // 100 == 4 and status not in PROVIDER_STATUSES


def _error_in_success(dialect: Dialect, outcome: Outcome) -> Body | None:
    """The error that came with a success status, as in streams that fail after they began."""
    data, marks = outcome.body, dialect.errors.success_marks
    # Quotes inside JSON strings are escaped, so that no caller's words contain a needle.
    if not data or not any(mark.needle in data for mark in marks):
        return None
    content_type = outcome.headers.get("content-type", "")
    if content_type and not _MAY_TELL_ERRORS.search(content_type):
        return None  # a transcript or a file, whose words are the caller's
    needles = dialect.errors.needles
    body = read_body(data, is_cut=outcome.truncated, needles=needles)
    if body.is_stream and dialect.errors.raw_streams:
        return None
    roots = tuple(root for root in body.roots if is_marked(root, marks))
    return Body(roots=roots, is_sound=body.is_sound) if roots else None


def _matches(rule: Rule, outcome: Outcome, answer: Answer, page: str) -> bool:
    for test in rule.fields:
        if not test.accepts(answer.field(test.name)):
            return False
    for test in rule.headers:
        if not test.accepts((outcome.headers.get(test.name, "").strip().lower(),)):
            return False
    if rule.wording is not None and not rule.wording.matches(answer.message):
        return False
    return not rule.page_marks or (bool(page) and _has_page_mark(rule, page))


def _has_page_mark(rule: Rule, page: str) -> bool:
    lowered = page.lower()
    return any(mark in lowered for mark in rule.page_marks)


def _rule_verdict(
    dialect: Dialect, outcome: Outcome, rule: Rule, answer: Answer, body: Body
) -> Verdict:
    evidence, scope = rule.evidence, rule.scope
    if not body.is_sound:
        # Whoever broke the JSON may have been the caller, with a quote that nobody escaped.
        evidence = Evidence.WEAK
        scope = scope if scope in _NO_KEY_SCOPES else ScopeKind.KEY_MODEL
    hint = None
    if rule.kind in _HINTED:
        hint = retry_hint_s(dialect.hints, outcome.headers, answer)
    return Verdict(
        kind=rule.kind,
        scope=scope,
        evidence=evidence,
        rule=rule.name,
        retry_hint_s=hint,
        quota_window=rule.quota_window,
        missing_auth=rule.missing_auth,
    )


def _fallback(status: int | None, transport: TransportError | None) -> Verdict:
    """What is left to go by: a status that refuses stands, also when its body broke off."""
    if transport is not None and (status is None or status < 400):
        return _TRANSPORT_VERDICTS[transport]
    verdict = _STATUS_VERDICTS.get(status)
    return _status_verdict(status) if verdict is None else verdict


def _status_verdict(status: int | None) -> Verdict:
    kind = _status_kind(status)
    evidence = Evidence.CERTAIN if kind is Kind.OK else Evidence.WEAK
    name = "none" if status is None else str(status)
    return Verdict(kind, DEFAULT_SCOPE[kind], evidence, f"status:{name}")


def _status_kind(status: int | None) -> Kind:
    if status is None:
        return Kind.UNKNOWN
    kind = _STATUS_KINDS.get(status)
    if kind is not None:
        return kind
    return _CLASS_KINDS.get(status // 100, Kind.UNKNOWN)


def _transport_verdict(error: TransportError) -> Verdict:
    kind = Kind.CANCELLED if error in _NEUTRAL else Kind.UNREACHABLE
    return Verdict(kind, DEFAULT_SCOPE[kind], Evidence.CERTAIN, f"transport:{error}")


_UNREAD_ERROR: Final = Verdict(
    Kind.UNKNOWN, ScopeKind.REQUEST, Evidence.WEAK, "success:error-without-a-rule"
)
_STATUS_VERDICTS: Final[Mapping[int | None, Verdict]] = {
    status: _status_verdict(status) for status in range(100, 600)
}
_TRANSPORT_VERDICTS: Final = {error: _transport_verdict(error) for error in TransportError}

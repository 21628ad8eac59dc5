"""What a rule must not do, whoever writes it: let a caller's words open a shared circuit."""

from collections.abc import Iterator
from typing import Final

from broker.catalog.schema import RuleTable
from broker.core.verdicts.classifier import DEFAULT_SCOPE
from broker.core.verdicts.phrase import GAP, Phrase
from broker.core.words import Evidence, Kind, ScopeKind

OPENING_KINDS: Final = frozenset(
    {
        Kind.RATE_LIMITED,
        Kind.QUOTA_EXHAUSTED,
        Kind.INVALID_CREDENTIAL,
        Kind.PERMISSION_DENIED,
        Kind.MODEL_NOT_FOUND,
    }
)
"""Kinds that open a circuit of a key."""

PROVIDER_STATUSES: Final = frozenset({401, 402, 403, 429})
"""Answers that a caller's input does not cause, so that their text begins with no echo of it."""


def rule_faults(rule: RuleTable, field_names: frozenset[str]) -> Iterator[str]:
    """What is wrong with a rule of a dialect whose errors have the fields `field_names`."""
    texts = rule.starts or rule.whole
    if not (rule.status or rule.fields or rule.headers or texts or rule.page):
        yield "a rule without a condition matches every answer"
    for name in sorted(rule.fields.keys() - field_names):
        yield f"no field is named {name!r} in [errors.fields]"
    if rule.page and (texts or rule.fields):
        yield "a page has neither fields nor a message"
    if rule.page and (rule.scope or DEFAULT_SCOPE[rule.kind]) is not ScopeKind.REQUEST:
        yield "the text of a page may only lead to a verdict on the request"
    if rule.missing_auth and (rule.kind, rule.evidence) != (Kind.INVALID_CREDENTIAL, Evidence.WEAK):
        yield "missing_auth goes with INVALID_CREDENTIAL and WEAK evidence"
    if rule.kind in OPENING_KINDS:
        yield from _text_faults(rule)


def _text_faults(rule: RuleTable) -> Iterator[str]:
    """A caller can begin a message (a parameter's name), not end it: see design, no poisoning."""
    is_provoked = not rule.status or not PROVIDER_STATUSES.issuperset(rule.status)
    model_only = rule.kind is Kind.MODEL_NOT_FOUND and set(rule.status) <= {404} and rule.status
    if is_provoked and not model_only:
        for text in rule.starts:
            yield f"{text!r} opens a circuit: use `whole`, or a status of 401, 402, 403 or 429"
    for text in (*rule.starts, *rule.whole):
        if text.startswith(GAP):
            yield f"{text!r} begins with words that a caller may write"
    for text in rule.whole:
        if is_provoked and not Phrase.of(text, whole=True).is_closed:
            yield f"{text!r} ends with words that a caller may write"

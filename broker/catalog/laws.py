"""What a rule must not do, whoever writes it: let a caller's words open a shared circuit."""

from collections.abc import Iterator
from typing import Final

from broker.catalog.schema import RuleTable
from broker.core.verdicts.classifier import DEFAULT_SCOPE
from broker.core.verdicts.phrase import GAP, WORD, Phrase
from broker.core.verdicts.rule import PROVIDER_STATUSES
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

MODEL_STATUSES: Final = frozenset({404, 410})
"""Answers of which a caller's input causes no more than that a model is not there."""

MODEL_SCOPES: Final = frozenset({ScopeKind.KEY_MODEL, ScopeKind.REQUEST})
"""Scopes that keep a wrong model's name from blaming more than that model."""

CALLERS_FIELDS: Final = frozenset({"param"})
"""Fields that name what a caller sent: such a name alone opens nothing."""


def rule_faults(rule: RuleTable, field_names: frozenset[str] | None) -> Iterator[str]:
    """What is wrong with a rule of a dialect whose errors have the fields `field_names`.

    None: nobody knows them yet, as another part of the file cannot be read.
    """
    texts = rule.starts or rule.whole
    if not (rule.status or rule.fields or rule.headers or texts or rule.page):
        yield "a rule without a condition matches every answer"
    unknown = rule.fields.keys() - field_names if field_names is not None else frozenset()
    for name in sorted(unknown):
        yield f"no field is named {name!r} in [errors.fields]"
    if rule.page and (texts or rule.fields):
        yield "a page has neither fields nor a message"
    if rule.page and (rule.scope or DEFAULT_SCOPE[rule.kind]) is not ScopeKind.REQUEST:
        yield "the text of a page may only lead to a verdict on the request"
    if rule.missing_auth and (rule.kind, rule.evidence) != (Kind.INVALID_CREDENTIAL, Evidence.WEAK):
        yield "missing_auth goes with INVALID_CREDENTIAL and WEAK evidence"
    # A missing key opens nothing: a field is enough to tell of one.
    if rule.kind in OPENING_KINDS and not (rule.missing_auth and rule.fields):
        yield from _text_faults(rule)
        if rule.fields and CALLERS_FIELDS.issuperset(rule.fields) and not texts:
            yield "a parameter's name is the caller's: add words of the provider"


def _text_faults(rule: RuleTable) -> Iterator[str]:
    """A caller can begin a message (a parameter's name), not end it: see design, no poisoning."""
    is_provoked = not rule.status or not PROVIDER_STATUSES.issuperset(rule.status)
    is_about_model = rule.kind is Kind.MODEL_NOT_FOUND and rule.scope in {None, *MODEL_SCOPES}
    model_statuses = MODEL_STATUSES | PROVIDER_STATUSES
    model_only = is_about_model and rule.status and model_statuses.issuperset(rule.status)
    if is_provoked and not model_only:
        for text in rule.starts:
            yield f"{text!r} opens a circuit: use `whole`, or a status of 401, 402, 403 or 429"
    for text in (*rule.starts, *rule.whole):
        if text.startswith(GAP) or (text.startswith(WORD) and not is_about_model):
            yield f"{text!r} begins with words that a caller may write"
    for text in rule.whole:
        # A field beside it keeps a parameter of that name apart from a model that is one word.
        is_one_word = is_about_model and rule.fields and text.endswith(WORD)
        is_closed = is_one_word or Phrase.of(text, whole=True).is_closed
        if is_provoked and not model_only and not is_closed:
            yield f"{text!r} ends with words that a caller may write"

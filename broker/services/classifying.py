"""What the broker would conclude from an outcome, and what that would do to health, in words."""

from collections.abc import Mapping
from dataclasses import dataclass

from broker.core.consequences import is_counted
from broker.core.outcome import Outcome
from broker.core.policy import DAY_S, FAMILIES, HOUR_S, MINUTE_S, POLICIES, Policy
from broker.core.verdict import Verdict
from broker.core.verdicts.classifier import classify
from broker.core.verdicts.dialect import Dialect
from broker.core.window import FAILED_SHARE, MAX_CONSECUTIVE, MIN_OUTCOMES
from broker.core.words import Evidence, Kind, ScopeKind
from broker.services.errors import DialectUnknownError
from broker.services.keyring import Keyring

_UNITS = ((DAY_S, "d"), (HOUR_S, "h"), (MINUTE_S, "min"), (1.0, "s"))


@dataclass(frozen=True, slots=True)
class Classified:
    """A verdict and why; `rule_file` is "" when a built-in rule decided."""

    verdict: Verdict
    dialect: str
    rule_file: str
    explanation: str


@dataclass(frozen=True, slots=True)
class Classifying:
    """Judges outcomes as reports are judged, and learns nothing from them."""

    keyring: Keyring
    catalog: Mapping[str, Dialect]

    def by_dialect(self, name: str, outcome: Outcome) -> Classified:
        """The verdict in a catalogue file's language; raises DialectUnknownError."""
        dialect = self.catalog.get(name)
        if dialect is None:
            raise DialectUnknownError(name, self.catalog)
        return _classified(dialect, outcome)

    def by_provider(self, name: str, outcome: Outcome) -> Classified:
        """The verdict in a provider's language; raises ProviderUnknownError."""
        return _classified(self.keyring.provider(name).dialect, outcome)


def _classified(dialect: Dialect, outcome: Outcome) -> Classified:
    verdict = classify(dialect, outcome)
    is_from_file = any(rule.name == verdict.rule for rule in dialect.rules)
    rule_file = verdict.rule.partition(":")[0] if is_from_file else ""
    if rule_file:
        matched = f"The rule {verdict.rule} matched, which {rule_file}.toml holds."
    else:
        matched = (
            f"None of the {len(dialect.rules)} rules of {dialect.name} matched;"
            f" {verdict.rule} decided."
        )
    parts = (_looked_at(outcome), matched, _meant(verdict), _effect(verdict))
    return Classified(verdict, dialect.name, rule_file, " ".join(parts))


def _looked_at(outcome: Outcome) -> str:
    seen = [f"HTTP status {outcome.http_status}" if outcome.http_status else "no HTTP status"]
    if outcome.transport_error is not None:
        seen.append(f"transport error {outcome.transport_error}")
    seen.append(f"{len(outcome.headers)} headers")
    cut = ", cut" if outcome.truncated else ""
    seen.append(f"a body of {len(outcome.body)} bytes{cut}" if outcome.body else "no body")
    return f"Looked at: {', '.join(seen)}."


def _meant(verdict: Verdict) -> str:
    hint = f", retry hint {_span(verdict.retry_hint_s)}" if verdict.retry_hint_s else ""
    window = f", quota window {verdict.quota_window}" if verdict.quota_window else ""
    evidence = verdict.evidence.lower()
    return (
        f"It means {verdict.kind} for the {verdict.scope} with {evidence} evidence{hint}{window}."
    )


def _effect(verdict: Verdict) -> str:
    """What a report of it would do to health."""
    policy = POLICIES.get(verdict.kind)
    if verdict.missing_auth:
        return "Opens nothing: the gateway sent no key, which is its bug; a probe checks the key."
    if policy is None or verdict.scope is ScopeKind.REQUEST:
        return "Changes no health."
    if is_counted(verdict):
        return (
            "The key is innocent. Counts against the upstream once it is final, which opens with"
            f" {MIN_OUTCOMES} or more outcomes in its window of which {FAILED_SHARE:.0%} failed, or"
            f" {MAX_CONSECUTIVE} failures in a row: in {_opening(policy)}"
        )
    if verdict.kind is Kind.INVALID_CREDENTIAL and verdict.evidence is Evidence.WEAK:
        denied = POLICIES[Kind.PERMISSION_DENIED]
        return (
            f"Opens the key_model in {_opening(denied)} A probe is queued and decides: REJECTED"
            f" quarantines the whole key."
        )
    width = "account (without one, the key)" if "account" in verdict.scope else verdict.scope
    probed = " A probe is queued." if verdict.kind is Kind.INVALID_CREDENTIAL else ""
    return f"Opens the {width} in {_opening(policy)}{probed}"


def _opening(policy: Policy) -> str:
    base, cap = _span(policy.base_s), _span(policy.cap_s)
    hinted = ", or as long as the provider says" if policy.hint_cap_s else ""
    healing = FAMILIES[policy.family].healing
    return (
        f"family {policy.family} for {base}, growing {policy.factor:g}-fold up to {cap}{hinted}."
        f" Heals by {healing}."
    )


def _span(seconds: float) -> str:
    """A duration in the largest unit that it is a whole number of."""
    for size, unit in _UNITS:
        if seconds >= size and not seconds % size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:g} s"

"""Turns a checked catalogue file into the value that the core works with."""

from collections.abc import Mapping
from types import MappingProxyType
from zoneinfo import ZoneInfo

from broker.catalog.schema import DialectFile, HeaderHintTable, HintsTable, RuleTable
from broker.core.verdicts.classifier import DEFAULT_SCOPE
from broker.core.verdicts.dialect import (
    EACH,
    Dialect,
    ErrorSites,
    FreeProbe,
    HeaderHint,
    Hints,
    JsonPath,
    KeyTravel,
    LimitHeaders,
    QuotaResets,
    SuccessMark,
)
from broker.core.verdicts.phrase import Wording
from broker.core.verdicts.rule import Rule, ValueTest


def build_dialect(name: str, file: DialectFile, rules: Mapping[str, RuleTable]) -> Dialect:
    """The dialect of `file`, its inherited tables filled in; `rules` go by their full names."""
    built = [build_rule(full_name, rule) for full_name, rule in rules.items()]
    # Structured fields outrank words, and only words tell a missing key from a bad one. Among
    # equals the file's order holds: sorting is stable.
    built.sort(key=lambda rule: (not rule.missing_auth, not (rule.fields or rule.headers)))
    return Dialect(
        name=name,
        title=file.title,
        base_url=(file.base_url or "").rstrip("/"),
        errors=_error_sites(file),
        rules=tuple(built),
        key_travel=_key_travel(file),
        probe=_probe(file),
        hints=_hints(file),
        limits=tuple(LimitHeaders(pair.limit, pair.remaining) for pair in file.limits or ()),
        resets=_resets(file),
        help_url=file.help_url or "",
        status_url=file.status_url or "",
    )


def build_rule(full_name: str, rule: RuleTable) -> Rule:
    """One rule under the name that verdicts will show."""
    texts = rule.starts or rule.whole
    return Rule(
        name=full_name,
        kind=rule.kind,
        scope=rule.scope or DEFAULT_SCOPE[rule.kind],
        evidence=rule.evidence,
        quota_window=rule.quota_window,
        missing_auth=rule.missing_auth,
        statuses=frozenset(rule.status),
        fields=tuple(ValueTest.of(name, words) for name, words in rule.fields.items()),
        headers=tuple(ValueTest.of(name, words) for name, words in rule.headers.items()),
        wording=Wording.of(starts=rule.starts, whole=rule.whole) if texts else None,
        page_marks=tuple(mark.lower() for mark in rule.page),
    )


def json_path(text: str) -> JsonPath:
    """`error.details[].reason` as steps."""
    return tuple(
        step for part in text.replace("[]", f".{EACH}").split(".") for step in (part,) if step
    )


def _error_sites(file: DialectFile) -> ErrorSites:
    errors = file.errors
    return ErrorSites(
        fields=MappingProxyType(
            {name: tuple(map(json_path, paths)) for name, paths in errors.fields.items()}
        ),
        headers=MappingProxyType(dict(errors.headers)),
        message=tuple(map(json_path, errors.message or ())),
        nested=tuple(map(json_path, errors.nested or ())),
        success_marks=tuple(map(_success_mark, errors.success or ())),
        status=tuple(map(json_path, errors.status or ())),
        error_name=errors.error_name or "",
        raw_streams=errors.raw_streams,
    )


def _success_mark(text: str) -> SuccessMark:
    path, _, value = text.partition("=")
    if path.endswith("!"):
        return SuccessMark(json_path(path[:-1]), differs=value)
    return SuccessMark(json_path(path), equals=value)


def _key_travel(file: DialectFile) -> KeyTravel:
    if file.key is None:
        return KeyTravel()
    extra = MappingProxyType(dict(file.key.extra_headers))
    return KeyTravel(file.key.header, file.key.prefix, extra)


def _probe(file: DialectFile) -> FreeProbe | None:
    if file.probe is None:
        return None
    return FreeProbe(
        path=file.probe.path,
        authenticates=file.probe.authenticates,
        method=file.probe.method,
        model_names=json_path(file.probe.models) if file.probe.models else (),
        model_prefix=file.probe.model_prefix,
    )


def _hints(file: DialectFile) -> Hints:
    hints = file.hints or HintsTable()
    return Hints(
        headers=tuple(map(_header_hint, hints.headers)),
        fields=tuple(map(json_path, hints.fields)),
        phrases=tuple(phrase.lower() for phrase in hints.phrases),
        resets=tuple(map(_header_hint, hints.resets)),
        zone=None if file.resets is None else ZoneInfo(file.resets.time_zone),
    )


def _header_hint(hint: HeaderHintTable) -> HeaderHint:
    return HeaderHint(hint.name, hint.form, hint.when_zero or "")


def _resets(file: DialectFile) -> QuotaResets:
    if file.resets is None:
        return QuotaResets()
    return QuotaResets(ZoneInfo(file.resets.time_zone), file.resets.hour)

"""Reads the catalogue's files and reports every fault in them at once."""

import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ValidationError

from broker.catalog.build import build_dialect
from broker.catalog.laws import rule_faults
from broker.catalog.schema import DialectFile, ErrorsTable, RuleTable
from broker.core.verdicts.dialect import Dialect


class CatalogError(Exception):
    """Catalogue files that cannot be used; `faults` are `file: place: what is wrong`."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        """Keep every fault: whoever mends a file wants the whole list."""
        self.faults = faults
        super().__init__("\n".join(faults))


def load_catalog() -> Mapping[str, Dialect]:
    """The dialects that come with the broker, by name; raises CatalogError."""
    return read_catalog(catalog_texts())


def catalog_texts() -> Mapping[str, str]:
    """The files that come with the broker: name without `.toml`, and text."""
    folder = resources.files("broker.catalog")
    return {
        file.name.removesuffix(".toml"): file.read_text(encoding="utf-8")
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.name.endswith(".toml")
    }


def read_catalog(texts: Mapping[str, str]) -> Mapping[str, Dialect]:
    """The dialects in `texts` (name to TOML), by name; raises CatalogError."""
    files, faults = parse_files(texts)
    dialects = {}
    for name, file in files.items():
        line = _line_of_descent(name, files)
        if line is None:
            faults.append(f"{name}: extends: no usable file is named {file.extends!r}")
            continue
        whole = _inherit([files[ancestor] for ancestor in line])
        rules = _rules(line, files)
        inherited = frozenset(rule.name for ancestor in line[1:] for rule in files[ancestor].rules)
        faults.extend(f"{name}: {fault}" for fault in _file_faults(file, whole, inherited))
        if not file.abstract and not faults:
            dialects[name] = build_dialect(name, whole, rules)
    if faults:
        raise CatalogError(tuple(faults))
    return MappingProxyType(dialects)


def parse_files(texts: Mapping[str, str]) -> tuple[dict[str, DialectFile], list[str]]:
    """The files that can be read at all, and the faults of all others."""
    files, faults = {}, []
    for name, text in texts.items():
        try:
            tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            faults.append(f"{name}: {error}")
            continue
        try:
            files[name] = DialectFile.model_validate(tables)
        except ValidationError as error:
            faults.extend(
                f"{name}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}"
                for fault in error.errors()
            )
            faults.extend(f"{name}: {fault}" for fault in _faults_of_readable_rules(tables))
    return files, faults


def _faults_of_readable_rules(tables: Mapping[str, object]) -> Iterator[str]:
    """The laws that rules break in a file of which another part cannot be read."""
    rules = tables.get("rules")
    for number, table in enumerate(rules if isinstance(rules, list) else ()):
        try:
            rule = RuleTable.model_validate(table)
        except ValidationError:
            continue
        for fault in rule_faults(rule, None):
            yield f"rules.{number} ({rule.name}): {fault}"


def _line_of_descent(name: str, files: Mapping[str, DialectFile]) -> list[str] | None:
    """The file and all that it extends, nearest first; None when the line breaks or closes."""
    line, parent = [name], files[name].extends
    while parent is not None:
        if parent not in files or parent in line:
            return None
        line.append(parent)
        parent = files[parent].extends
    return line


def _inherit(line: list[DialectFile]) -> DialectFile:
    """The first file with what it leaves out taken from the next ones."""
    child, *ancestors = line
    for ancestor in ancestors:
        errors = ErrorsTable(
            message=child.errors.message or ancestor.errors.message,
            nested=child.errors.nested or ancestor.errors.nested,
            success=child.errors.success or ancestor.errors.success,
            status=child.errors.status or ancestor.errors.status,
            error_name=child.errors.error_name or ancestor.errors.error_name,
            raw_streams=child.errors.raw_streams or ancestor.errors.raw_streams,
            fields=ancestor.errors.fields | child.errors.fields,
            headers=ancestor.errors.headers | child.errors.headers,
        )
        child = child.model_copy(
            update={
                "errors": errors,
                "key": child.key or ancestor.key,
                # A free call is one of its base URL.
                "probe": child.probe or (None if child.base_url else ancestor.probe),
                "hints": child.hints or ancestor.hints,
                "limits": child.limits or ancestor.limits,
                "resets": child.resets or ancestor.resets,
            }
        )
    return child


def _rules(line: list[str], files: Mapping[str, DialectFile]) -> dict[str, RuleTable]:
    """Own rules before inherited ones, without those that are replaced."""
    rules: dict[str, RuleTable] = {}
    taken: set[str] = set()
    for name in line:
        own = {rule.name: rule for rule in files[name].rules}
        rules |= {f"{name}:{key}": rule for key, rule in own.items() if key not in taken}
        taken |= own.keys()
    return rules


def _file_faults(file: DialectFile, whole: DialectFile, inherited: frozenset[str]) -> Iterator[str]:
    names = [rule.name for rule in file.rules]
    names_of_fields = frozenset(whole.errors.fields) | frozenset(whole.errors.headers)
    for number, rule in enumerate(file.rules):
        place = f"rules.{number} ({rule.name})"
        if rule.name in names[:number]:
            yield f"{place}: an earlier rule has the same name"
        if rule.replaces is not (rule.name in inherited):
            fault = "no inherited rule has" if rule.replaces else "an inherited rule has"
            yield f"{place}: {fault} this name: choose another, or `replaces = true` to replace it"
        for fault in rule_faults(rule, names_of_fields):
            yield f"{place}: {fault}"
    if whole.errors.error_name not in {None, *names_of_fields}:
        yield f"errors.error_name: no field is named {whole.errors.error_name!r}"
    if not whole.errors.message and not whole.abstract:
        yield "errors.message: nothing says where the provider's words are"
    if file.resets is not None and not _is_zone(file.resets.time_zone):
        yield f"resets.time_zone: no time zone is named {file.resets.time_zone!r}"


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True

"""The tables of README and docs, generated from the code: `make docs`.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; test_documentation keeps it true.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from broker.catalog import load_catalog
from broker.cli.exits import MEANINGS
from broker.config import Settings
from broker.config.settings import variable
from broker.core.circuit import TRANSITIONS, Action, Event
from broker.core.denial import DENIALS
from broker.core.policy import FAMILIES, POLICIES
from broker.core.verdicts.dialect import Dialect
from broker.core.words import Kind, State

ROOT = Path(__file__).parents[1]
DOCUMENTS = (
    ROOT / "README.md",
    ROOT / "docs" / "design.md",
    ROOT / "docs" / "adding-a-provider.md",
)

_MARK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def rendered(text: str) -> str:
    """The document with every marked table made anew."""
    return _MARK.sub(lambda mark: f"{mark[1]}{TABLES[mark[2]]()}{mark[3]}", text)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    cells = [list(head), *(list(row) for row in rows)]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    rule = f"| {' | '.join('---' for _ in cells[0])} |"
    return "\n".join([lines[0], rule, *lines[1:]]) + "\n"


def _states() -> str:
    """Each state's answer to each event."""
    rows = (
        [state.value.replace("_", "-"), *(_cell(TRANSITIONS[state, event]) for event in Event)]
        for state in State
    )
    return _table(["state", *(event.value.replace("_", " ") for event in Event)], rows)


def _cell(action: Action) -> str:
    return "–" if action is Action.IGNORE else action.name.lower()


def _verdicts() -> str:
    """What each kind of failure costs."""
    rows = []
    for kind in Kind:
        policy = POLICIES.get(kind)
        if policy is None:
            rows.append([kind.value, "request", "–", "–", "–", "–"])
            continue
        family = FAMILIES[policy.family]
        opens = f"{_span(policy.base_s)} ×{policy.factor:g} → {_span(policy.cap_s)}"
        step = _span(family.ramp_step_s)
        scope = policy.scope.value
        rows.append([kind.value, scope, policy.family.value, opens, family.healing.value, step])
    return _table(
        ["kind", "default scope", "family", "open for (no hint)", "heals by", "ramp step"], rows
    )


def _denials() -> str:
    """What each denial means for its caller."""
    rows = (
        [reason.value, "yes" if rule.has_wait else "–", rule.action.value, rule.advice]
        for reason, rule in DENIALS.items()
    )
    return _table(["reason", "retry_delay", "action", "what to do"], rows)


def _exits() -> str:
    """What the command's exit codes mean."""
    return _table(["code", "means"], ([str(int(code)), said] for code, said in MEANINGS.items()))


def _settings() -> str:
    """Every setting: name, default, meaning."""
    rows = (
        [f"`{variable(name)}`", _default(field.default), field.description or ""]
        for name, field in Settings.model_fields.items()
    )
    return _table(["setting", "default", "meaning"], rows)


def _dialects() -> str:
    """Every provider that the catalogue knows, and what it takes to use it."""
    rows = (
        [
            f"[`{name}`](../broker/catalog/{name}.toml)",
            dialect.title,
            f"`{dialect.base_url}`" if dialect.base_url else "one by deployment",
            f"`{dialect.key_travel.header_name}: {dialect.key_travel.header_prefix}…`",
            _proof(dialect),
            f"{dialect.resets.hour}:00 {dialect.resets.time_zone}",
            f"[keys]({dialect.help_url})" if dialect.help_url else "–",
        ]
        for name, dialect in load_catalog().items()
    )
    head = ["dialect", "provider", "base URL", "key", "free probe", "day ends", "help"]
    return _table(head, rows)


def _proof(dialect: Dialect) -> str:
    if dialect.probe is None:
        return "–"
    return f"`{dialect.probe.path}`" + ("" if dialect.probe.authenticates else " (proves no key)")


def _default(value: object) -> str:
    is_shown = isinstance(value, str | int | float | Path) and value != ""
    return f"`{value}`" if is_shown else "–"


def _span(seconds: float) -> str:
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


TABLES: Mapping[str, Callable[[], str]] = {
    "states": _states,
    "verdicts": _verdicts,
    "denials": _denials,
    "exits": _exits,
    "settings": _settings,
    "dialects": _dialects,
}


def main() -> None:
    """Write every table anew."""
    for path in DOCUMENTS:
        path.write_text(rendered(path.read_text()))


if __name__ == "__main__":
    main()

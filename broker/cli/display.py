"""How things that several commands show are written."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Final

from broker.cli.times import age, span_of
from broker.cli.words import word
from keybroker.v1 import circuit_pb2, denial_pb2, scope_pb2

CIRCUIT_COLUMNS: Final = ("scope", "family", "state", "reason", "since", "until", "reported by")


def circuit_row(circuit: circuit_pb2.Circuit, at: datetime) -> tuple[str, ...]:
    """A circuit for a table of CIRCUIT_COLUMNS."""
    return (
        scope_name(circuit.scope),
        word(circuit, "family"),
        word(circuit, "state"),
        word(circuit, "reason"),
        age(circuit.since, at),
        age(circuit.until, at) or "a trial or probe",
        circuit.reported_by or "a probe",
    )


def scope_name(scope: scope_pb2.Scope) -> str:
    """What a scope is about, in words."""
    kind = word(scope, "kind")
    of_model = f" on {scope.model}" if scope.model else ""
    names: Mapping[str, Callable[[], str]] = {
        "key": lambda: f"key {scope.key_id} ({scope.revision})",
        "key_model": lambda: f"key {scope.key_id} ({scope.revision}){of_model}",
        "account": lambda: f"account {scope.account or 'default'}{_owned(scope)}",
        "account_model": lambda: f"account {scope.account or 'default'}{_owned(scope)}{of_model}",
        "upstream": lambda: f"upstream {_upstream(scope)}",
        "upstream_principal": lambda: f"upstream {_upstream(scope)} as {scope.principal} sees it",
    }
    return names[kind]() if kind in names else kind


def denial_fields(denial: denial_pb2.Denial) -> Iterator[tuple[str, str]]:
    """A denial, field by field."""
    yield "denied", word(denial, "reason")
    yield "message", denial.message
    yield "what to do", word(denial, "action").replace("_", " ")
    if denial.HasField("retry_delay"):
        yield "retry in", span_of(denial.retry_delay)
    yield "alternatives", ", ".join(upstream_name(t.provider, t.model) for t in denial.alternatives)
    yield "keys", keys_by_state(denial.keys_by_state) if denial.keys_by_state else ""
    yield "help", denial.help_url


def keys_by_state(counts: Mapping[str, int]) -> str:
    """`2 healthy, 1 quarantined`."""
    return ", ".join(f"{counts[state]} {state}" for state in sorted(counts)) or "none"


def upstream_name(provider: str, model: str) -> str:
    """`provider/model`, or the provider where all of it is meant."""
    return f"{provider}/{model}" if model else provider


def yes(is_so: bool) -> str:  # noqa: FBT001 - a value to show
    """A truth for a table."""
    return "yes" if is_so else "no"


def _upstream(scope: scope_pb2.Scope) -> str:
    at = f" at {scope.endpoint}" if scope.endpoint else ""
    return f"{upstream_name(scope.provider, scope.model)}{at}"


def _owned(scope: scope_pb2.Scope) -> str:
    owner = f" of tenant {scope.owner}" if scope.owner else ""
    return f" at {scope.provider}{owner}"

"""`keybroker status`: everything at a glance."""

from collections.abc import Iterator
from datetime import UTC, datetime

from broker.cli.display import (
    CIRCUIT_COLUMNS,
    circuit_row,
    keys_by_state,
    upstream_name,
    yes,
)
from broker.cli.framework import command, new_app
from broker.cli.output import Output
from broker.cli.session import Session
from broker.cli.times import age
from broker.cli.words import word
from keybroker.v1 import status_pb2

app = new_app()


@command(app, "status", examples=("keybroker status", "keybroker status --format json | jq .store"))
def status(session: Session) -> None:
    """Show what works, what does not and since when.

    Providers with their keys by state, circuits that are not closed, incidents, sources of keys,
    the database, and the replica that answers.
    """
    answer = session.call(session.status.GetStatus, status_pb2.GetStatusRequest())
    if session.out.is_json:
        session.out.json(answer.status)
    else:
        _show(session.out, answer.status)


def _show(out: Output, shown: status_pb2.BrokerStatus) -> None:
    at = shown.time.ToDatetime(tzinfo=UTC)
    if shown.emergency:
        out.line("EMERGENCY: nothing can be leased at all.", style="bold red")
    for reason in shown.not_ready:
        out.line(f"Not ready: {reason}")
    for incident in shown.incidents:
        out.line(f"Incident since {age(incident.since, at)}: {incident.message}")
    out.fields(_replica(shown, at))
    if shown.providers:
        out.heading("Providers")
        out.table(
            ("provider", "runnable", "keys", "last success"),
            (
                (
                    p.provider,
                    yes(p.runnable),
                    keys_by_state(p.keys_by_state),
                    age(p.last_success_time, at) or "–",
                )
                for p in shown.providers
            ),
        )
    if shown.circuits:
        beyond = f" (the latest of {shown.circuit_count})" * (
            shown.circuit_count > len(shown.circuits)
        )
        out.heading(f"Circuits that are not closed{beyond}")
        out.table(CIRCUIT_COLUMNS, (circuit_row(circuit, at) for circuit in shown.circuits))
    if shown.disabled_upstreams:
        out.heading("Disabled")
        out.table(
            ("upstream", "since", "by", "reason"),
            (
                (
                    upstream_name(d.provider, d.model),
                    age(d.disabled.at, at),
                    d.disabled.by,
                    d.disabled.reason,
                )
                for d in shown.disabled_upstreams
            ),
        )
    if shown.sources:
        out.heading("Sources of keys")
        out.table(
            ("source", "keys", "read", "faults"),
            (
                (s.source, str(s.key_count), age(s.read_time, at), "; ".join(s.faults) or "none")
                for s in shown.sources
            ),
        )


def _replica(shown: status_pb2.BrokerStatus, at: datetime) -> Iterator[tuple[str, str]]:
    replica, store = shown.replica, shown.store
    yield "replica", f"{replica.name}, version {replica.version}, up {_uptime(replica, at)}"
    pending = f", {store.pending_facts} facts pending" if store.pending_facts else ""
    fault = f": {store.fault}" if store.fault else ""
    yield "store", f"{store.kind or 'store'} {word(store, 'state')}{pending}{fault}"
    if shown.HasField("seal"):
        fault = f": {shown.seal.fault}" if shown.seal.fault else ""
        yield "secrets", f"{word(shown.seal, 'state')}{fault or ', they can be read'}"


def _uptime(replica: status_pb2.ReplicaStatus, at: datetime) -> str:
    return age(replica.start_time, at).removesuffix(" ago") or "?"

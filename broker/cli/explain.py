"""`keybroker explain`: why a lease would be granted or denied."""

from collections.abc import Iterator
from typing import Annotated

import typer

from broker.cli.asking import AskOptions
from broker.cli.display import denial_fields, upstream_name, yes
from broker.cli.exits import Exit
from broker.cli.framework import command, new_app
from broker.cli.output import Output
from broker.cli.session import Session
from broker.cli.times import span_of
from broker.cli.words import word
from keybroker.v1 import status_pb2

app = new_app()


@command(
    app,
    "explain",
    examples=(
        "keybroker explain openai gpt-4o",
        "keybroker explain openai gpt-4o --tenant acme --fallback anthropic/claude-sonnet-4-5",
    ),
    exits=(Exit.NOT_FOUND,),
)
def explain(
    session: Session,
    ask: AskOptions,
    provider: Annotated[str, typer.Argument(metavar="PROVIDER", help="The provider.")],
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The model.")],
    principal: Annotated[
        str,
        typer.Option(
            "--as", metavar="PRINCIPAL", help="Decide for this gateway instead of the caller."
        ),
    ] = "",
) -> None:
    """Explain what a request for a lease would be answered now, key by key.

    It is a dry run by the very code that decides: nothing is taken or counted. It exits with 0
    also when the lease would be denied: that is the explanation.
    """
    request = status_pb2.ExplainAcquireRequest(
        acquire=ask.request(provider, model), principal=principal
    )
    answer = session.call(session.status.ExplainAcquire, request)
    if session.out.is_json:
        session.out.json(answer)
        return
    out = session.out
    out.fields(_granted(answer) if answer.HasField("would_grant") else denial_fields(answer.denial))
    for upstream in answer.upstreams:
        _show_upstream(out, upstream, is_told=upstream.denial.message == answer.denial.message)


def _granted(answer: status_pb2.ExplainAcquireResponse) -> Iterator[tuple[str, str]]:
    grant = answer.would_grant
    yield "would grant", grant.key_id
    yield "revision", grant.revision
    yield "for", upstream_name(grant.provider, grant.model)
    yield "as", grant.provider_model
    yield "provenance", word(grant, "provenance")
    yield "trial", yes(grant.trial) if grant.trial else ""
    yield "degraded", yes(grant.degraded) if grant.degraded else ""


def _show_upstream(out: Output, upstream: status_pb2.UpstreamExplanation, *, is_told: bool) -> None:
    """One upstream; a denial that `is_told` already is not repeated."""
    target = upstream.target
    out.heading(f"{upstream_name(target.provider, target.model)}: {upstream.policy}")
    if upstream.keys:
        out.table(
            ("key", "provenance", "leasable", "why"),
            (
                (key.key_id, word(key, "provenance"), yes(key.leasable), _why(key))
                for key in upstream.keys
            ),
        )
    if upstream.HasField("denial") and not is_told:
        out.line(f"{word(upstream.denial, 'reason')}: {upstream.denial.message}")


def _why(key: status_pb2.KeyExplanation) -> str:
    """What the filters that refuse say; else that all admit."""
    refusals = []
    for answer in key.answers:
        if not answer.admits:
            wait = f", again in {span_of(answer.retry_delay)}" * answer.HasField("retry_delay")
            refusals.append(f"{word(answer, 'filter')}: {answer.detail}{wait}")
    return "; ".join(refusals) or "every filter admits it"

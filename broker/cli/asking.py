"""What a request for a lease may say, for the commands that make one."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

import typer

from broker.cli.exits import CommandError, Exit
from keybroker.v1 import denial_pb2, lease_pb2


class AskOptions:
    """The options of a request beside its upstream."""

    OPTIONS: ClassVar[Mapping[str, Any]] = {
        "tenant": Annotated[
            str | None,
            typer.Option("--tenant", metavar="TENANT", help="The tenant that is served."),
        ],
        "fallback": Annotated[
            list[str] | None,
            typer.Option(
                "--fallback",
                metavar="PROVIDER/MODEL",
                help="What to try when there is nothing; may be repeated.",
            ),
        ],
        "exclude": Annotated[
            list[str] | None,
            typer.Option("--exclude", metavar="KEY_ID", help="Not this key; may be repeated."),
        ],
        "affinity": Annotated[
            str | None,
            typer.Option("--affinity", metavar="TEXT", help="The affinity key of a conversation."),
        ],
    }

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given

    @classmethod
    def from_options(cls, given: Mapping[str, Any]) -> Self:
        """Keep what was given."""
        return cls(given)

    def request(self, provider: str, model: str) -> lease_pb2.AcquireLeaseRequest:
        """The request; raises CommandError."""
        given = self._given
        return lease_pb2.AcquireLeaseRequest(
            tenant_id=given["tenant"] or "",
            provider=provider,
            model=model,
            fallbacks=[_target(text) for text in given["fallback"] or ()],
            excluded_key_ids=given["exclude"] or (),
            affinity_key=given["affinity"] or "",
        )


def _target(text: str) -> denial_pb2.Target:
    provider, _, model = text.partition("/")
    if not (provider and model):
        problem = "write provider/model, such as anthropic/claude-sonnet-4-5"
        raise CommandError(Exit.USAGE, f"--fallback: {text!r} is no upstream: {problem}")
    return denial_pb2.Target(provider=provider, model=model)

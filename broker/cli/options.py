"""The options that commands share: which broker to call and how, and in which form to answer."""

import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Protocol, Self

import typer

from broker.cli.exits import CommandError, Exit

CLIENT_VARIABLES: Final = frozenset(
    f"KEYBROKER_{name}" for name in ("ADDRESS", "TOKEN", "CA", "CLIENT_CERT", "CLIENT_KEY")
)
"""What the commands read from the environment; none of it is a setting of the server."""


class Format(StrEnum):
    """How answers are written."""

    TABLE = "table"
    JSON = "json"


FORMAT = Annotated[Format | None, typer.Option("--format", help="How to answer.  [default: table]")]
ADDRESS = Annotated[
    str | None,
    typer.Option("--address", metavar="HOST:PORT", help="The broker.  [env: KEYBROKER_ADDRESS]"),
]
TOKEN_FILE = Annotated[
    Path | None,
    typer.Option(
        "--token-file", metavar="FILE", help="File with the token.  [env: KEYBROKER_TOKEN]"
    ),
]
CA = Annotated[
    Path | None,
    typer.Option("--ca", metavar="FILE", help="CAs of the broker, as PEM.  [env: KEYBROKER_CA]"),
]
CLIENT_CERT = Annotated[
    Path | None,
    typer.Option(
        "--client-cert", metavar="FILE", help="Own certificate.  [env: KEYBROKER_CLIENT_CERT]"
    ),
]
CLIENT_KEY = Annotated[
    Path | None,
    typer.Option("--client-key", metavar="FILE", help="Its key.  [env: KEYBROKER_CLIENT_KEY]"),
]
TIMEOUT = Annotated[
    float | None,
    typer.Option("--timeout", min=0.1, metavar="SECONDS", help="How long to wait.  [default: 10]"),
]

ALL_OPTIONS: Final[Mapping[str, Any]] = {
    "address": ADDRESS,
    "token_file": TOKEN_FILE,
    "ca": CA,
    "client_cert": CLIENT_CERT,
    "client_key": CLIENT_KEY,
    "timeout": TIMEOUT,
    "format": FORMAT,
}


class FromOptions(Protocol):
    """What a command may ask for as a parameter: it is made of the options that it names."""

    OPTIONS: ClassVar[Mapping[str, Any]]

    @classmethod
    def from_options(cls, given: Mapping[str, Any]) -> Self:
        """Make it of what was given for these options; None where nothing was."""
        ...


class RootOptions:
    """The shared options before a command's name; the commands fall back on them."""

    OPTIONS: ClassVar[Mapping[str, Any]] = ALL_OPTIONS

    @classmethod
    def from_options(cls, _given: Mapping[str, Any]) -> Self:
        """Nothing: that they are read is enough."""
        return cls()


def makers(function: Callable[..., Any]) -> dict[str, type[FromOptions]]:
    """The parameters of a command that are made of options, and their types."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.annotation for p in parameters if hasattr(p.annotation, "from_options")}


def with_options(function: Callable[..., None]) -> Callable[..., None]:
    """The command with options in place of the parameters that are made of them."""
    made, signature = makers(function), inspect.signature(function)
    keyword = inspect.Parameter.KEYWORD_ONLY
    context = inspect.Parameter("ctx", keyword, annotation=typer.Context)
    own = [
        p.replace(kind=keyword)
        for p in signature.parameters.values()
        if p.name not in {*made, context.name}
    ]
    added = [
        inspect.Parameter(name, keyword, annotation=annotation, default=None)
        for kind in reversed(made.values())
        for name, annotation in kind.OPTIONS.items()
    ]

    def make(above: dict[str, Any], given: dict[str, Any]) -> None:
        """Put what is made of options in their place."""
        for name, kind in made.items():
            read = {option: given.pop(option) for option in kind.OPTIONS}
            for option in read.keys() & ALL_OPTIONS.keys():
                if read[option] is None:
                    read[option] = above.get(option)
                above[option] = read[option]
            given[name] = kind.from_options(read)

    @wraps(function)
    def run(*, ctx: typer.Context, **given: object) -> None:
        with _ending_well():
            make(ctx.ensure_object(dict), given)
            if context.name in signature.parameters:
                given[context.name] = ctx
            function(**given)

    run.__signature__ = signature.replace(parameters=[context, *own, *added])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in (context, *own, *added)}
    return run


@contextmanager
def _ending_well() -> Iterator[None]:
    """Let a command run to the last byte of its output, and tell why it did not."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        raise typer.Exit(Exit.PIPE_CLOSED) from None
    except OSError as error:
        _drop_output()
        problem = error.strerror or type(error).__name__
        message = f"the answer cannot be written ({problem}); see what was done before repeating"
        raise CommandError(Exit.FAILED, message) from None
    except UnicodeEncodeError:
        message = "an argument or a variable is no text in UTF-8; write it so"
        raise CommandError(Exit.USAGE, message) from None


def _drop_output() -> None:
    """What is left in the buffer has nowhere to go: the interpreter must not try at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

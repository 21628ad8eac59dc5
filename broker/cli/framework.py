"""What all commands share: how they are found, what their help looks like, what they refuse."""

import os
import re
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, TypeAlias, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from broker.cli.commands import COMMANDS
from broker.cli.exits import AT_A_BROKER, CommandError, Exit, exit_lines
from broker.cli.options import makers, with_options

TOO_MANY = (
    "too many arguments, not repeated here since one may be a secret: secrets are read from"
    " standard input, a file or a prompt, and must never stand on a command line; see"
    " '{path} --help'"
)

Click: TypeAlias = Any
"""Classes of the click that typer carries in itself, under private names."""

Function = TypeVar("Function", bound=Callable[..., None])


class Command(TyperCommand):
    """A command that does not repeat arguments which it did not expect: they may be secrets."""

    allow_extra_args = True

    def parse_args(self, ctx: Click, args: list[str]) -> list[str]:
        """Read the arguments; whatever is wrong with them is this command's."""
        try:
            return super().parse_args(ctx, args)
        except typer.TyperException as error:
            if getattr(error, "ctx", ctx) is None:
                error.ctx = ctx  # type: ignore[attr-defined]
            raise

    def collect_usage_pieces(self, ctx: Click) -> list[str]:
        """What to write after its name: ARGUMENT, or [ARGUMENT] where it may be left out."""
        return [re.sub(r"^{(\w+)}", r"\1", piece) for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Click, formatter: Click) -> None:
        """List arguments and options; an argument's name says enough without its Python type."""
        for kind in ("argument", "option"):
            params = [param for param in self.get_params(ctx) if param.param_type_name == kind]
            rows = [row for param in params if (row := param.get_help_record(ctx))]
            if kind == "argument":
                rows = [(name.partition(" ")[0], text) for name, text in rows]
            if rows:
                with formatter.section(f"{kind.title()}s"):
                    formatter.write_dl(rows)

    def invoke(self, ctx: Click) -> Click:
        """Run it, unless arguments are left over."""
        if ctx.args:
            raise CommandError(Exit.USAGE, TOO_MANY.format(path=ctx.command_path))
        return super().invoke(ctx)


class Group(TyperGroup):
    """Commands under one name; the name alone shows its help, as vault does."""

    def parse_args(self, ctx: Click, args: list[str]) -> list[str]:
        """Read the arguments, or show help when there are none."""
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help(), err=True)
            raise typer.Exit(Exit.NO_COMMAND)
        return super().parse_args(ctx, args)


class RootGroup(Group):
    """The commands of the first level, imported when they are needed."""

    def list_commands(self, ctx: Click) -> list[str]:
        """Their names, in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: Click, cmd_name: str) -> Click:
        """Import a command; None when there is none of this name."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        if cmd_name != "serve":
            # gRPC reads it when it is imported; its log lines would stand between the answers.
            os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        command = get_command(import_module(entry.module).app)
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Click, args: list[str]) -> Click:
        """Find the command; the names are what a typing error is compared with."""
        names: dict[str, Click] = dict.fromkeys(COMMANDS)
        self.commands = names
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: Click, incomplete: str) -> Click:
        """Complete names and options, without importing any command: a shell waits for it."""
        names = {name: TyperCommand(name, help=entry.help) for name, entry in COMMANDS.items()}
        ctx.command = TyperGroup(name=self.name, commands={**names}, params=self.params)
        return ctx.command.shell_complete(ctx, incomplete)

    def format_commands(self, ctx: Click, formatter: Click) -> None:
        """List them for the help, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


def new_app() -> typer.Typer:
    """An app of one command."""
    return typer.Typer(cls=Group, add_completion=False, rich_markup_mode=None)


def new_group(help_text: str) -> typer.Typer:
    """An app of commands under one name."""
    group = new_app()
    settings = {"help_option_names": ["-h", "--help"]}
    group.callback(cls=Group, help=help_text, context_settings=settings)(_nothing)
    return group


def _nothing() -> None:
    """A group does nothing by itself."""


def command(
    app: typer.Typer, name: str, *, examples: Sequence[str], exits: Sequence[Exit] = ()
) -> Callable[[Function], Function]:
    """Add the function to `app`, with the options that it shares with others.

    `exits` are the codes beyond those of every command that calls a broker.
    """

    def add(function: Function) -> Function:
        is_at_broker = any("address" in kind.OPTIONS for kind in makers(function).values())
        common = AT_A_BROKER if is_at_broker else (Exit.USAGE,)
        app.command(
            name,
            cls=Command,
            epilog=_epilog(examples, (*common, *exits)),
            context_settings={"help_option_names": ["-h", "--help"]},
        )(with_options(function))
        return function

    return add


def _epilog(examples: Sequence[str], exits: Sequence[Exit]) -> str:
    r"""Examples and exit codes; `\b` keeps the lines as they are."""
    shown = [f"  {line}" for line in examples]
    codes = [f"  {line}" for line in exit_lines(exits)]
    return "\n".join(["\b", "Examples:", *shown, "", "\b", "Exit codes:", *codes])

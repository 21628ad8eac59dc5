"""`keybroker keys update` and `delete`."""

import sys
from typing import Annotated

import typer
from google.protobuf.field_mask_pb2 import FieldMask

from broker.cli.exits import CommandError, Exit
from broker.cli.framework import command
from broker.cli.keys.group import KEY_ID, app
from broker.cli.keys.rendering import show_or_print
from broker.cli.keys.setting import UNSET_PATHS, SettingOptions
from broker.cli.session import Session
from keybroker.v1 import admin_pb2


@command(
    app,
    "update",
    examples=(
        "keybroker keys update acme-openai --weight 2 --concurrency 20",
        "keybroker keys update acme-openai --unset models --unset expires-at",
    ),
    exits=(Exit.REFUSED, Exit.NOT_FOUND, Exit.STORE),
)
def update(
    session: Session,
    setting: SettingOptions,
    key_id: KEY_ID,
    unset: Annotated[
        list[str] | None,
        typer.Option(
            "--unset",
            metavar="WHAT",
            help=f"Take away: {', '.join(UNSET_PATHS)}; may be repeated.",
        ),
    ] = None,
) -> None:
    """Change what is set on a tenant's key.

    Only what is given changes; --model replaces all models. The secret is changed by 'keybroker
    keys rotate'.
    """
    paths = [*setting.paths, *(_unset_path(text) for text in unset or ())]
    twice = {path for path in paths for other in paths if path.startswith(f"{other}.")} | {
        path for path in paths if paths.count(path) > 1
    }
    if twice:
        message = f"{', '.join(sorted(twice))}: is both set and unset; give one of the two"
        raise CommandError(Exit.USAGE, message)
    if not paths:
        message = "nothing to change was given; see 'keybroker keys update --help'"
        raise CommandError(Exit.USAGE, message)
    request = admin_pb2.UpdateKeyRequest(
        key_id=key_id, settings=setting.settings, update_mask=FieldMask(paths=paths)
    )
    key = session.call(session.admin.UpdateKey, request).key
    show_or_print(session.out, key, f"Changed {key.key_id}.")


def _unset_path(text: str) -> str:
    path = UNSET_PATHS.get(text)
    if path is None:
        known = ", ".join(UNSET_PATHS)
        raise CommandError(Exit.USAGE, f"--unset: {text!r} is none of {known}")
    return path


@command(
    app,
    "delete",
    examples=("keybroker keys delete acme-openai", "keybroker keys delete acme-openai --yes"),
    exits=(Exit.REFUSED, Exit.NOT_FOUND, Exit.STORE),
)
def delete(
    session: Session,
    key_id: KEY_ID,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a tenant's key and its sealed secrets.

    At a terminal it asks first. The key's leases end. The tenant's policy stays: a tenant that
    loses its last key is not served by system keys unless 'keybroker tenants policy' says so.
    """
    if not yes:
        _confirm(key_id)
    answer = session.call(session.admin.DeleteKey, admin_pb2.DeleteKeyRequest(key_id=key_id))
    if session.out.is_json:
        session.out.json(answer)
    else:
        session.out.line(f"Deleted {key_id}.")


def _confirm(key_id: str) -> None:
    if sys.stdin is None or not sys.stdin.isatty():
        message = "there is no terminal to ask at; say --yes to delete without being asked"
        raise CommandError(Exit.USAGE, message)
    if not typer.confirm(f"Delete {key_id} for good?", err=True):
        raise CommandError(Exit.FAILED, f"{key_id} was not deleted; answer y to delete it")

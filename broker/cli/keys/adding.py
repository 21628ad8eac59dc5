"""`keybroker keys add` and `rotate`: the commands that read a secret."""

import secrets
import time
from typing import Annotated, Final

import typer

from broker.cli.exits import Exit
from broker.cli.faults import CallError
from broker.cli.framework import command
from broker.cli.keys.group import KEY_ID, app
from broker.cli.keys.rendering import show_or_print
from broker.cli.keys.setting import SettingOptions
from broker.cli.output import note
from broker.cli.secret_input import NO_SECRET, SECRET_FILE, read_secret
from broker.cli.session import Session
from broker.cli.times import now
from keybroker.v1 import admin_pb2, key_pb2

RETRIES: Final = (0.2, 1.0)
"""Seconds before a call whose answer was lost is made again."""


MAX_AGE_S: Final = 300.0
"""A key that is older was not made by a call just now, even where clocks differ a little."""


@command(
    app,
    "add",
    examples=(
        "keybroker keys add --tenant acme --provider openai < secret.txt",
        "pass show openai/acme | keybroker keys add --tenant acme --provider openai \\",
        "    --key-id acme-openai --model 'gpt-4o*' --concurrency 20",
    ),
    exits=(Exit.REFUSED, Exit.NOT_FOUND, Exit.STORE),
)
def add(
    session: Session,
    setting: SettingOptions,
    *,
    tenant: Annotated[
        str, typer.Option("--tenant", metavar="TENANT", help="The tenant that owns it.")
    ],
    provider: Annotated[
        str, typer.Option("--provider", metavar="NAME", help="The provider it belongs to.")
    ],
    key_id: Annotated[
        str,
        typer.Option(
            "--key-id", metavar="KEY_ID", help="The id it shall have.  [default: one is made]"
        ),
    ] = "",
    secret_file: SECRET_FILE = None,
    _no_secret: NO_SECRET = None,
) -> None:
    """Add a key of a tenant.

    Its secret comes from standard input, a file or a prompt, never from the command line. The
    first key that a tenant gets for a provider makes the tenant served by its own keys alone,
    unless 'keybroker tenants policy' says otherwise. System keys are not added here: put them
    into the environment, the .env file or the key file.
    """
    request = admin_pb2.CreateKeyRequest(
        tenant_id=tenant,
        provider=provider,
        key_id=key_id or f"{provider[:40]}-{secrets.token_hex(5)}",
        settings=setting.settings,
        secret=key_pb2.SecretValue(plaintext=read_secret(secret_file).reveal()),
    )
    key = _created(session, request)
    show_or_print(session.out, key, f"Added {key.key_id}; a probe tests it now.")


def _created(session: Session, request: admin_pb2.CreateKeyRequest) -> key_pb2.Key:
    """The key that was created, be it by a call whose answer was lost.

    The request names its id, so that however often it is made there is one key at the end.
    """
    for attempt in range(len(RETRIES) + 1):
        try:
            return session.call(session.admin.CreateKey, request).key
        except CallError as error:
            if attempt and _is_ours(error, request):
                return _found(session, request)
            if error.reason or error.code is not Exit.UNREACHABLE or attempt == len(RETRIES):
                raise _with_id(error, request.key_id) from None
        note("No answer came; asking again, which never makes two keys.")
        time.sleep(RETRIES[attempt])
    raise AssertionError  # the last attempt returns or raises


def _is_ours(error: CallError, request: admin_pb2.CreateKeyRequest) -> bool:
    """Does a refusal tell that an earlier attempt got through?"""
    if error.reason == "KEY_DUPLICATE":
        return error.metadata.get("duplicate_of") == request.key_id
    return error.reason == "KEY_EXISTS"


def _found(session: Session, request: admin_pb2.CreateKeyRequest) -> key_pb2.Key:
    """The key of this id, if it is the one that was asked for and no older one."""
    wanted = admin_pb2.GetKeyRequest(key_id=request.key_id)
    key = session.call(session.admin.GetKey, wanted).key
    age_s = now().timestamp() - key.create_time.seconds
    if (key.owner, key.provider) != (request.tenant_id, request.provider) or age_s > MAX_AGE_S:
        message = (
            f"there is an older key {request.key_id!r} already: 'keybroker keys show"
            f" {request.key_id}' tells what it is; name another to make a new one"
        )
        raise CallError(Exit.REFUSED, message, "KEY_EXISTS")
    return key


def _with_id(error: CallError, key_id: str) -> CallError:
    """After a lost answer the id is what makes a repeat safe."""
    if error.reason or error.code is not Exit.UNREACHABLE:
        return error
    message = f"{error.message}; when it answers, repeat with --key-id {key_id}: it makes no second"
    return CallError(error.code, f"{message} key")


@command(
    app,
    "rotate",
    examples=("keybroker keys rotate acme-openai < new-secret.txt",),
    exits=(Exit.REFUSED, Exit.NOT_FOUND, Exit.STORE),
)
def rotate(
    session: Session,
    key_id: KEY_ID,
    secret_file: SECRET_FILE = None,
    _no_secret: NO_SECRET = None,
) -> None:
    """Give a tenant's key a new secret.

    It comes from standard input, a file or a prompt. It is leased once a probe has shown that
    the provider accepts it; until then, and when it is rejected, the old one stays in use.
    'keybroker keys show' tells how it went.
    """
    request = admin_pb2.RotateKeyRequest(
        key_id=key_id, secret=key_pb2.SecretValue(plaintext=read_secret(secret_file).reveal())
    )
    key = session.call(session.admin.RotateKey, request).key
    show_or_print(session.out, key, f"Rotated {key.key_id}; a probe decides when it is leased.")

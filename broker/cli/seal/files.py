"""`keybroker seal init`, `add` and `show`: key files on this machine, without a broker."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from broker.adapters.keyfiles import KeyFile, KeyFileError, Purpose
from broker.adapters.seal import AesKeyWrapper
from broker.cli.exits import CommandError, Exit
from broker.cli.framework import command
from broker.cli.output import Output, note
from broker.cli.seal.group import app

FILE = Annotated[Path, typer.Argument(metavar="FILE", help="The key file.")]


@command(app, "init", examples=("keybroker seal init /etc/keybroker/seal.key",))
def init(out: Output, file: FILE) -> None:
    """Make a key file with one new sealing key, never over another file.

    Only its user may read it. Brokers that share a database need the same file each; a broker that
    has its database for itself makes its own at its first start.
    """
    if not file.parent.is_dir():
        raise CommandError(Exit.USAGE, f"there is no folder {file.parent}; make it first")
    if file.is_symlink() or file.exists():
        message = f"{file} is there already; name another, or use 'keybroker seal add {file}'"
        raise CommandError(Exit.USAGE, message)
    key_file = KeyFile(file, Purpose.SEAL)
    try:
        keys = key_file.obtain()
    except KeyFileError as error:
        raise CommandError(Exit.USAGE, str(error)) from None
    _tell(out, file, keys, f"Made {file} with sealing key {_ids(keys)[0]}.")
    if not out.is_json:
        note("Back it up, apart from the database: without it nothing that it sealed opens again.")
        note("It must belong to the brokers' user; KEYBROKER_SEAL_KEY_FILE names it to them.")


@command(app, "add", examples=("keybroker seal add /etc/keybroker/seal.key",))
def add(out: Output, file: FILE) -> None:
    """Add a new sealing key to a key file, behind those that are there.

    It seals nothing until 'keybroker seal rotate --to' names it. Brokers that share a database need
    the same keys: add it once, and give every broker this very file.
    """
    key_file = KeyFile(file, Purpose.SEAL)
    try:
        made = key_file.append()
        keys = key_file.read() or (made,)
    except KeyFileError as error:
        raise CommandError(Exit.USAGE, str(error)) from None
    (key_id,) = _ids([made])
    _tell(out, file, keys, f"Added sealing key {key_id} to {file}.", key_id)
    if not out.is_json:
        note("Copy the file to every broker on the database, and back it up; no restart is needed.")
        note(f"Then: keybroker seal rotate --to {key_id}")


@command(app, "show", examples=("keybroker seal show /etc/keybroker/seal.key",))
def show(out: Output, file: FILE) -> None:
    """Show the ids of the keys in a key file, and that it can be used.

    Two files hold the same keys where they show the same ids.
    """
    try:
        keys = KeyFile(file, Purpose.SEAL).read()
    except KeyFileError as error:
        raise CommandError(Exit.USAGE, str(error)) from None
    if keys is None:
        raise CommandError(Exit.USAGE, f"there is no file {file}; correct the path")
    _tell(out, file, keys, "\n".join(_ids(keys)))


def _tell(out: Output, file: Path, keys: Sequence[bytes], text: str, added: str = "") -> None:
    if not out.is_json:
        for line in text.splitlines():
            out.line(line)
        return
    ids = _ids(keys)
    out.json({"file": str(file), "key_ids": ids, **({"added_key_id": added} if added else {})})


def _ids(keys: Sequence[bytes]) -> list[str]:
    return [AesKeyWrapper(key).key_id for key in keys]

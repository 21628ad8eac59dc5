"""What is wrong with sealing keys, and what a person can do about it."""

import re
from collections.abc import Collection, Sequence

from broker.adapters.keyfiles import KeyFile

KEY_ID = re.compile(r"[0-9a-f]{16}|kms/[A-Za-z0-9-]{1,64}")
"""What an id looks like; one from the database may be anything."""

_MAX_NAMED = 3
_IF_LOST = "If it is lost for good, forget what it sealed with 'keybroker seal drop'."
_PUT_BACK = "from a backup; no restart is needed"


def named(key_ids: Collection[str]) -> str:
    """Keys by id, as far as what was stored looks like one."""
    ids = sorted(key_id for key_id in key_ids if KEY_ID.fullmatch(key_id))
    if not ids or len(ids) > _MAX_NAMED:
        return "another key" if len(key_ids) == 1 else f"{len(key_ids)} other keys"
    return f"key {' or '.join(ids)}"


def missing(file: KeyFile, sealed_by: Collection[str], may_make: bool) -> str:  # noqa: FBT001
    """The file is not there."""
    if sealed_by:
        return (
            f"{file.path} is missing, and {named(sealed_by)} sealed what is kept: put the file"
            f" back {_PUT_BACK}. {_IF_LOST}"
        )
    if may_make:
        return f"{file.path} is missing: put it back {_PUT_BACK}."
    return (
        f"{file.path} is missing: copy it from another broker on this database, or for the first"
        f" one make it with 'keybroker seal init {file.path}'; no restart is needed."
    )


def does_not_fit(
    file: KeyFile | None,
    in_file: Sequence[str],
    services: Collection[str],
    sealed_by: Collection[str],
) -> str:
    """The keys at hand sealed nothing of what is kept."""
    if file is not None and in_file:
        return (
            f"{file.path} holds key {in_file[0]}, but {named(sealed_by)} sealed what"
            f" is kept: put the right file back {_PUT_BACK}. {_IF_LOST}"
        )
    if services:
        where = f"put it back as {file.path}" if file else "set KEYBROKER_SEAL_KEY_FILE to its file"
        return (
            f"{named(services)} is at hand, but {named(sealed_by)} sealed what is kept: {where}."
            f" {_IF_LOST}"
        )
    return "there is no sealing key: set KEYBROKER_SEAL_KEY_FILE or KEYBROKER_SEAL_KMS_KEYS."


def agreed_is_missing(key_id: str, file: KeyFile | None) -> str:
    """The brokers agreed on a key that this one does not have."""
    where = f"add it to {file.path}" if file else "set KEYBROKER_SEAL_KEY_FILE to its file"
    return (
        f"nothing is sealed here: {named([key_id])} seals on this database and is not at hand;"
        f" {where}, or to KEYBROKER_SEAL_KMS_KEYS. What other keys sealed is opened."
    )


def no_longer_holds(file: KeyFile, key_id: str) -> str:
    """The key that seals was taken out of the file, and lives in this process alone."""
    return (
        f"{file.path} no longer holds key {key_id}, which seals: put it back before the broker"
        " ends, or take another with 'keybroker seal rotate --to'."
    )


def went_missing(file: KeyFile, key_id: str) -> str:
    """The file is gone, and the key that seals lives in this process alone."""
    return (
        f"{file.path} is missing, and key {key_id}, which seals, with it: put it back before the"
        " broker ends, or make another with 'keybroker seal init', and take that with 'keybroker"
        " seal rotate --to'."
    )


def made_by_hand(file: KeyFile | None) -> str:
    """No key can be made by this broker."""
    if file is None:
        return "name the key: it is kept where the broker makes none"
    return (
        "name the key: the broker makes none where others need it too; add one with 'keybroker"
        f" seal add {file.path}', and give every broker the file"
    )

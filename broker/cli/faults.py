"""What a call's failure means: one sentence that says what to do, and an exit code."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Final, NamedTuple, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from broker.cli.exits import CommandError, Exit

DOMAIN: Final = "keybroker"
PREFIX: Final = "ERROR_REASON_"


class _Meaning(NamedTuple):
    """An exit code, and the sentence for this command's users; "" takes the broker's own."""

    exit: Exit
    sentence: str = ""


_CALLER_UNKNOWN: Final = (
    "the broker knows no caller by this token, or none came with the call: set KEYBROKER_TOKEN, or"
    " give --token-file"
)
REASONS: Final[Mapping[str, _Meaning]] = {
    "TOKEN_REJECTED": _Meaning(Exit.FORBIDDEN, _CALLER_UNKNOWN),
    "ROLE_MISSING": _Meaning(
        Exit.FORBIDDEN,
        "{principal} may not do this: use the token of a principal with the role {roles}",
    ),
    "TENANT_FORBIDDEN": _Meaning(
        Exit.FORBIDDEN,
        "{principal} may not lease {for_whom}: use the token of one that may",
    ),
    "INVALID_FIELD": _Meaning(Exit.USAGE),
    "FIELDS_CONTRADICT": _Meaning(Exit.USAGE),
    "PAGE_TOKEN_INVALID": _Meaning(Exit.FAILED, "the list changed while it was read: try again"),
    "PROVIDER_UNKNOWN": _Meaning(
        Exit.NOT_FOUND, "no provider {provider!r} is configured: use one of {known_providers}"
    ),
    "KEY_UNKNOWN": _Meaning(
        Exit.NOT_FOUND,
        "there is no key {key_id!r}: 'keybroker keys list' shows those that there are",
    ),
    "LEASE_UNKNOWN": _Meaning(Exit.NOT_FOUND),
    "DIALECT_UNKNOWN": _Meaning(Exit.NOT_FOUND),
    "KEY_EXISTS": _Meaning(
        Exit.REFUSED,
        "there is a key {key_id!r} already: 'keybroker keys show {key_id}' tells what it is; name"
        " another to make a new one",
    ),
    "KEY_DUPLICATE": _Meaning(
        Exit.REFUSED,
        "key {duplicate_of!r} of the same tenant and provider has this secret already: use that"
        " key, or give another secret",
    ),
    "KEY_SOURCE_OWNED": _Meaning(
        Exit.REFUSED, "key {key_id!r} comes from a source, {source}: change it there"
    ),
    "LEASE_EXPIRED": _Meaning(Exit.REFUSED),
    "LEASE_ENDED": _Meaning(Exit.REFUSED),
    "KEY_UNUSABLE": _Meaning(Exit.REFUSED),
    "DRAINING": _Meaning(
        Exit.UNREACHABLE, "the broker is shutting down: try again when it is back"
    ),
    "INTERNAL": _Meaning(
        Exit.FAILED, "a bug in the broker: its log tells more under reference {reference}"
    ),
    "STORE_UNAVAILABLE": _Meaning(
        Exit.STORE,
        "the broker's database cannot be used ({cause}): mend that, and look at what was done"
        " before trying again",
    ),
    "SEALED": _Meaning(Exit.STORE, "the broker can neither seal nor open secrets: {cause}"),
    "SOURCE_STALE": _Meaning(
        Exit.STORE,
        "the keys of {provider} are too old to be leased: make their source, {source}, readable",
    ),
    "SEALING_KEY_MISSING": _Meaning(Exit.REFUSED),
    "IMPORT_TOO_LARGE": _Meaning(Exit.USAGE),
}
"""Every reason of the API. The broker's own messages name its API, these this command."""


class CallError(CommandError):
    """A call that failed; `reason` is the broker's, "" when it was not the broker that spoke."""

    def __init__(
        self, code: Exit, message: str, reason: str = "", metadata: Mapping[str, str] | None = None
    ) -> None:
        """Keep what a command may want to act on."""
        super().__init__(code, message)
        self.reason = reason
        self.metadata = metadata or {}


def call_error(error: grpc.RpcError, where: str, timeout_s: float) -> CallError:
    """What a failed call to the broker at `where` means."""
    call = cast("grpc.Call", error)  # each one that a stub raises is both
    info, details = _info(call), (call.details() or "").strip()
    if info is None:
        return _unspoken(call.code(), details, where, timeout_s)
    reason, metadata = info.reason.removeprefix(PREFIX), dict(info.metadata)
    meaning = REASONS.get(reason, _Meaning(Exit.FAILED))
    message = details or f"the broker answered {reason}"
    if meaning.sentence:
        # A broker of another version may tell less than the sentence needs.
        with suppress(KeyError):
            message = meaning.sentence.format_map(_in_words(metadata))
    return CallError(meaning.exit, message, reason, metadata)


def _in_words(metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata for a person."""
    words = dict(metadata)
    if "known_providers" in words:
        words["known_providers"] = ", ".join(words["known_providers"].split(","))
    if "tenant_id" in words:
        tenant = words["tenant_id"]
        words["for_whom"] = f"for tenant {tenant!r}" if tenant else "without a --tenant"
    return words


def _unspoken(code: grpc.StatusCode, details: str, where: str, timeout_s: float) -> CallError:
    """A status that the broker did not explain: mostly one that never reached it."""
    if code is grpc.StatusCode.UNAVAILABLE:
        return CallError(
            Exit.UNREACHABLE,
            f"no broker answers at {where} ({_cause(details)}); start one with 'keybroker serve',"
            " or name another with --address or KEYBROKER_ADDRESS",
        )
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return CallError(
            Exit.UNREACHABLE,
            f"no answer from {where} within {timeout_s:g} s; check the address, or allow more"
            " with --timeout",
        )
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return CallError(
            Exit.FAILED,
            f"the broker at {where} does not know this call: it is older than this command, or no"
            " Keybroker; upgrade it or correct the address",
        )
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return CallError(Exit.FORBIDDEN, _CALLER_UNKNOWN)
    if code is grpc.StatusCode.PERMISSION_DENIED:
        message = f"{where} does not allow this ({details}); use another token"
        return CallError(Exit.FORBIDDEN, message)
    return CallError(Exit.FAILED, f"the call to {where} failed: {code.name}: {_cause(details)}")


def _cause(details: str) -> str:
    """The end of gRPC's chain of causes says most."""
    for known, said in (
        ("Connection refused", "connection refused"),
        ("certificate has expired", "its certificate has expired: the broker needs a new one"),
        ("Hostname Verification", "its certificate is for another name: use the one that it names"),
        ("http1.x server", "it speaks HTTP/1: write the address of gRPC, not that of /status"),
        ("CERTIFICATE_VERIFY_FAILED", "its certificate is not signed by a known CA: give --ca"),
        ("WRONG_VERSION_NUMBER", "it does not speak TLS"),
        ("handshake", "the TLS handshake failed: it may speak no TLS, or want --client-cert"),
        ("Socket closed", "the connection was closed: it may demand TLS, then write https://"),
        ("DNS resolution failed", "the host is not known"),
        ("lookup", "the host is not known"),
    ):
        if known.lower() in details.lower():
            return said
    return details[-200:] or "no reason given"


def _info(call: grpc.Call) -> ErrorInfo | None:
    """The broker's ErrorInfo, if there is one."""
    for name, value in call.trailing_metadata() or ():
        if name != "grpc-status-details-bin" or not isinstance(value, bytes):
            continue
        try:
            details = Status.FromString(value).details
        except DecodeError:
            return None
        for detail in details:
            info = ErrorInfo()
            if detail.Unpack(info) and info.domain == DOMAIN:
                return info
    return None

"""Sealing keys that AWS KMS keeps: it wraps the data keys, and never gives the key out."""

import asyncio
import hashlib
import re
from typing import Any, Final

from broker.adapters.aws.client import AwsClients
from broker.adapters.aws.errors import AwsCallError, Trouble, unreadable
from broker.ports.errors import SealBrokenError, SealUnavailableError

CALL_S: Final = 6.0
"""How long one call may take in all, with what is tried again."""

MAX_WRAPPED_BYTES: Final = 6144
"""KMS gives no longer ciphertexts, and takes none."""

_ARN: Final = re.compile(
    r"arn:aws[a-z-]{0,16}:kms:(?P<region>[a-z0-9-]{1,32}):\d{1,12}:key/(?P<key>[A-Za-z0-9-]{1,64})"
)
_BROKEN: Final = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})
_UNUSABLE: Final = {
    "DisabledException": "it is disabled: enable it",
    "KMSInvalidStateException": "it is about to be deleted, or not ready: cancel the deletion",
    "NotFoundException": "there is no such key in that account and region",
    "InvalidKeyUsageException": "it is no symmetric key for encryption",
}


def kms_key_id(arn: str) -> str:
    """The id of a sealing key in KMS, the same for a key's replicas in other regions.

    Raises ValueError for what is no ARN of a key; an alias could point to another one tomorrow.
    """
    return f"kms/{_parsed(arn)['key']}"


class KmsKeyWrapper:
    """One key in KMS, which is called for each data key.

    The context goes to KMS as a hash, as its encryption context, since KMS logs that in the clear.
    Whatever KMS refuses but a ciphertext is for whoever looks after KMS: no secret is to blame.
    """

    def __init__(self, arn: str, clients: AwsClients) -> None:
        """Raises ValueError for what is no ARN of a key."""
        self._arn = arn
        self._region = _parsed(arn)["region"]
        self._key_id = kms_key_id(arn)
        self._clients = clients
        self.fault = f"AWS KMS has not answered yet for {self._key_id}"

    @property
    def key_id(self) -> str:
        """`kms/` and the end of its ARN."""
        return self._key_id

    async def wrap(self, data_key: bytes, context: bytes) -> bytes:
        """Have KMS encrypt a data key."""
        try:
            answer = await self._call("encrypt", Plaintext=data_key, **_bound_to(context))
        except AwsCallError as error:
            raise self._unavailable(error) from None
        return self._bytes(answer.get("CiphertextBlob"))

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Have KMS decrypt a data key."""
        if not 1 <= len(wrapped) <= MAX_WRAPPED_BYTES:
            raise SealBrokenError(_DOES_NOT_OPEN)
        try:
            answer = await self._call("decrypt", CiphertextBlob=wrapped, **_bound_to(context))
        except AwsCallError as error:
            if error.code in _BROKEN:
                self.fault = ""
                raise SealBrokenError(_DOES_NOT_OPEN) from None
            raise self._unavailable(error) from None
        return self._bytes(answer.get("Plaintext"))

    async def _call(self, operation: str, **parameters: object) -> dict[str, Any]:
        given = {"KeyId": self._arn, **parameters}
        try:
            async with asyncio.timeout(CALL_S):
                return await self._clients.call("kms", operation, given, self._region)
        except TimeoutError:
            raise AwsCallError("AWS did not answer in time", Trouble.AWAY) from None

    def _bytes(self, answered: object) -> bytes:
        if not isinstance(answered, bytes) or not answered:
            raise self._unavailable(unreadable())
        self.fault = ""
        return answered

    def _unavailable(self, error: AwsCallError) -> SealUnavailableError:
        """Why nothing can be wrapped or unwrapped, and what to do."""
        why = _UNUSABLE.get(error.code, str(error))
        if error.trouble in {Trouble.DENIED, Trouble.DENIED_KMS}:
            why = "AWS does not allow it: grant this broker kms:Encrypt and kms:Decrypt on it"
        self.fault = f"the sealing key {self._key_id} in AWS KMS cannot be used: {why}"
        return SealUnavailableError(self.fault)


_DOES_NOT_OPEN: Final = "the sealed secret does not open"


def _bound_to(context: bytes) -> dict[str, object]:
    return {"EncryptionContext": {"keybroker": hashlib.sha256(context).hexdigest()}}


def _parsed(arn: str) -> re.Match[str]:
    found = _ARN.fullmatch(arn)
    if found is None:
        raise ValueError(
            "is no ARN of a KMS key, such as arn:aws:kms:eu-central-1:111122223333:key/…; an alias"
            " does not do"
        )
    return found

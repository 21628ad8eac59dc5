"""KMS as far as a sealing key needs it, in this process, with what may go wrong."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from secrets import token_bytes
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from broker.adapters.aws import AwsCallError, AwsClients, KmsKeyWrapper, Trouble

REGION = "eu-central-1"


def arn(name: str = "1234abcd") -> str:
    return f"arn:aws:kms:{REGION}:111122223333:key/{name}"


class FakeKms(AwsClients):
    """Encrypts under a key made of the ARN; `trouble` is what every call answers instead."""

    def __init__(self) -> None:
        super().__init__()
        self.trouble: AwsCallError | None = None
        self.calls: Counter[str] = Counter()
        self.seen: list[Mapping[str, Any]] = []

    async def call(
        self, service: str, operation: str, parameters: Mapping[str, Any], region: str = ""
    ) -> dict[str, Any]:
        assert (service, region) == ("kms", REGION)
        self.calls[operation] += 1
        self.seen.append(parameters)
        if self.trouble is not None:
            raise self.trouble
        cipher = AESGCM(hashlib.sha256(parameters["KeyId"].encode()).digest())
        aad = json.dumps(parameters["EncryptionContext"]).encode()
        if operation == "encrypt":
            nonce = token_bytes(12)
            return {"CiphertextBlob": nonce + cipher.encrypt(nonce, parameters["Plaintext"], aad)}
        blob = parameters["CiphertextBlob"]
        try:
            return {"Plaintext": cipher.decrypt(blob[:12], blob[12:], aad)}
        except (InvalidTag, ValueError):
            raise refused("InvalidCiphertextException") from None


def refused(code: str) -> AwsCallError:
    return AwsCallError(f"AWS refused the call ({code})", Trouble.REFUSED, code)


def a_kms_key(name: str = "1234abcd", kms: FakeKms | None = None) -> KmsKeyWrapper:
    return KmsKeyWrapper(arn(name), kms or FakeKms())

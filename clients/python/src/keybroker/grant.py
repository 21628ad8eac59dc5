"""What a lease grants, out of its message, whose repr would print the secret."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from keybroker.denial import Target
from keybroker.errors import BrokerError
from keybroker.secret import Secret
from keybroker.v1 import key_pb2, lease_pb2
from keybroker.words import Provenance, read_word


@dataclass(frozen=True, slots=True)
class Grant:
    """The right to use one key for one upstream. `lease_id` is shown to nobody."""

    lease_id: str = field(repr=False)
    secret: Secret
    header_name: str
    header_prefix: str
    extra_headers: Mapping[str, str]
    key_id: str
    revision: str
    target: Target
    provider_model: str
    base_url: str
    provenance: Provenance
    granted_at: datetime
    expires_at: datetime
    trial: bool
    degraded: bool
    attempt: int

    @property
    def headers(self) -> dict[str, str]:
        """Headers that authenticate to the provider: they hold the secret."""
        return {**self.extra_headers, self.header_name: self.header_prefix + self.secret.reveal()}

    @staticmethod
    def take(message: lease_pb2.Lease) -> "Grant":
        """Move a lease out of its message: the secret does not stay behind there."""
        if not message.HasField("api_key"):
            raise BrokerError("this lease authenticates in a way newer than this client: update it")
        key = message.api_key
        secret = Secret(key.secret.plaintext)
        key.secret.ClearField("plaintext")
        return Grant(
            lease_id=message.lease_id,
            secret=secret,
            header_name=key.header_name,
            header_prefix=key.header_prefix,
            extra_headers=dict(key.extra_headers),
            key_id=message.key_id,
            revision=message.revision,
            target=Target(message.provider, message.model),
            provider_model=message.provider_model,
            base_url=message.base_url,
            provenance=read_word(Provenance, key_pb2.Provenance, message.provenance),
            granted_at=instant(message.grant_time),
            expires_at=instant(message.expire_time),
            trial=message.trial,
            degraded=message.degraded,
            attempt=message.attempt,
        )


def instant(value: Timestamp) -> datetime:
    """An aware datetime, by the broker's clock."""
    return value.ToDatetime(UTC)

"""A secret as it is kept at rest, and what binds it to its place."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Binding:
    """Whose secret it is; one that was moved to another tenant, key or revision does not open.

    `tenant` is "" for system keys. `base_url` is where a tenant's secret is sent, if the key says
    so: whoever can write rows must not have it sent to another place.
    """

    tenant: str
    provider: str
    key_id: str
    revision: str
    base_url: str = ""

    def aad(self) -> bytes:
        """The additional authenticated data: unambiguous, whatever the names hold."""
        parts = [self.tenant, self.provider, self.key_id, self.revision]
        if self.base_url:
            parts.append(self.base_url)
        encoded = (part.encode() for part in parts)
        return b"".join(len(part).to_bytes(4) + part for part in encoded)


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """A secret under a data key of its own, which is wrapped by the sealing key `sealed_by`.

    Both byte strings begin with their 12-byte nonce and end with their 16-byte tag. Neither is a
    secret.
    """

    sealed_by: str
    wrapped_key: bytes = field(repr=False)
    ciphertext: bytes = field(repr=False)

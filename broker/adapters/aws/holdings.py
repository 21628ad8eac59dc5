"""What the source knows of each secret, and the keys that this amounts to."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from broker.adapters.aws.documents import MAX_BYTES, Document, DocumentReader
from broker.adapters.aws.secrets_api import SecretValue
from broker.adapters.aws.selector import Selector
from broker.adapters.sources.building import KeyBuilder
from broker.core.key import Key
from broker.ports.key_source import SourceFault, SourceSnapshot

MAX_FAULTS: Final = 20
"""Faults of one secret that are told; the others are counted."""


@dataclass(slots=True)
class Holding:
    """One secret in one version, and what it said before: a new version is a new holding.

    `has_looked_back` says whether `before` is known, which is None where there is none.
    """

    selector: Selector
    place: str
    value: SecretValue
    before: SecretValue | None = None
    has_looked_back: bool = False
    _read: dict[str, Document] = field(default_factory=dict, repr=False)

    def document(self, reader: DocumentReader) -> Document:
        """What the version says; read once."""
        return self._document(self.value, reader)

    def document_before(self, reader: DocumentReader) -> Document:
        """What the version before says; read once."""
        return self._document(self.before, reader) if self.before else Document()

    def _document(self, value: SecretValue, reader: DocumentReader) -> Document:
        document = self._read.get(value.version_id)
        if document is None:
            document = self._read[value.version_id] = self._parsed(value, reader)
        return document

    def _parsed(self, value: SecretValue, reader: DocumentReader) -> Document:
        if value.text is None:
            return Document(faults=("is binary: keep keys as text, in SecretString",))
        if len(value.text.encode(errors="replace")) > MAX_BYTES:
            return Document(faults=(f"is longer than {MAX_BYTES} bytes",))
        return reader.read(value.text, value.name, self.place, self.selector.provider)


def snapshot_of(
    holdings: Sequence[Holding], reader: DocumentReader, fingerprint_secret: bytes
) -> SourceSnapshot:
    """The keys of all secrets, in their order: of two equal ones the first stays."""
    builder = KeyBuilder(fingerprint_secret)
    faults: list[SourceFault] = []
    versions: dict[str, str] = {}
    for holding in holdings:
        document, told = holding.document(reader), len(builder.faults)
        key_count = len(builder.keys)
        for declared in document.declared:
            builder.add(declared)
        for key in builder.keys[key_count:]:
            versions[key.key_id] = holding.value.version_id
        messages = [*document.faults, *(fault.message for fault in builder.faults[told:])]
        faults += [SourceFault(holding.place, message) for message in messages[:MAX_FAULTS]]
        if len(messages) > MAX_FAULTS:
            message = f"has {len(messages) - MAX_FAULTS} more faults"
            faults.append(SourceFault(holding.place, message))
    previous = KeyBuilder(fingerprint_secret)
    for holding in holdings:
        for declared in holding.document_before(reader).declared:
            previous.add(declared)
    keys = tuple(builder.keys)
    before = tuple(_previous(keys, previous.keys))
    return SourceSnapshot(keys, tuple(faults), before, versions)


def _previous(keys: Iterable[Key], before: Iterable[Key]) -> Iterator[Key]:
    """The secrets that keys had before, unless they would be sent elsewhere now."""
    by_id = {key.key_id: key for key in keys}
    in_use = {(key.provider, key.secret) for key in by_id.values()}
    for old in before:
        key = by_id.get(old.key_id)
        is_other = (old.provider, old.secret) not in in_use
        if key is not None and is_other and old.base_url == key.base_url:
            yield replace(key, secret=old.secret, revision=old.revision)

"""Sealed copies of what sources of keys gave last."""

from broker.adapters.copies.file_source_copies import FileSourceCopies

__all__ = ["FileSourceCopies"]

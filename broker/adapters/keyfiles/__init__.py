"""Secrets that the broker makes for itself at its first start, each in a file of its own."""

from broker.adapters.keyfiles.key_file import KeyFile
from broker.adapters.keyfiles.text import KeyFileError, Purpose

__all__ = ["KeyFile", "KeyFileError", "Purpose"]

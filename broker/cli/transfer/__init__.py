"""Files of keys: what is read for an import, and written by an export."""

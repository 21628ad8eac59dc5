"""Provider knowledge as data: one TOML file a dialect, read once at start."""

from broker.catalog.loader import CatalogError, load_catalog, read_catalog

__all__ = ["CatalogError", "load_catalog", "read_catalog"]

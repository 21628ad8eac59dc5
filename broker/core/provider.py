"""A configured API endpoint that keys belong to."""

from dataclasses import dataclass

from broker.core.denial import Target
from broker.core.verdicts.dialect import Dialect


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider by its configured name; it speaks the `dialect` of a catalogue file.

    `base_url` is its own or its dialect's. `models` are those an operator configured by name;
    `fallbacks` are offered first when the provider has nothing to lease. `is_named` says that an
    operator named it; else it is there because the catalogue knows it.
    """

    name: str
    dialect: Dialect
    base_url: str
    models: tuple[str, ...] = ()
    fallbacks: tuple[Target, ...] = ()
    is_named: bool = True

    @property
    def is_probeable(self) -> bool:
        """Is there a free call that proves a key?"""
        return self.dialect.probe is not None and self.dialect.probe.authenticates

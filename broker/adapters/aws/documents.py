"""What the text of one secret says of keys.

    sk-…                                                a key
    {"secret": "sk-…", "weight": 2, "models": […], …}   a key, and what a TOML file may say of it
    ["sk-…", {"secret": "sk-…", "name": "batch"}]       several
    {"openai": …, "anthropic": …}                       one of these for each provider

A key's name is the one it is given, else the end of the secret's name, or `default` where that is
the provider's. In a list it is the fingerprint, as in the environment: so that taking a key out of
the list renames no other.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from broker.adapters.sources.attributes import Attributes
from broker.adapters.sources.building import Declared
from broker.adapters.sources.fields import read_attributes

MAX_BYTES: Final = 65_536
"""What Secrets Manager stores at most."""

MAX_KEYS: Final = 1000
"""More keys than one secret can sensibly hold."""

_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True, slots=True)
class Document:
    """The keys that a secret declares, and what is wrong with it; quotes nothing of it."""

    declared: tuple[Declared, ...] = ()
    faults: tuple[str, ...] = ()


class DocumentReader:
    """Reads secrets that hold keys of `providers`."""

    def __init__(self, providers: Collection[str]) -> None:
        self._providers = sorted(providers)

    def read(self, text: str, name: str, place: str, provider: str) -> Document:
        """The keys in a secret of this name; of `provider`, unless that is "" and the text says."""
        try:
            value = _parsed(text)
        except ValueError as error:
            return Document(faults=(str(error),))
        end = name.rpartition("/")[2]
        of_all = provider or (end if end in self._providers else "")
        if isinstance(value, dict) and self._is_by_provider(value, provider, of_all):
            return self._by_provider(value, place)
        if of_all not in self._providers:
            message = "says of no provider: end its name in one, or name the provider beside it"
            return Document(faults=(f"{message} in KEYBROKER_SECRETS_MANAGER",))
        reading = _Reading(place)
        reading.take(value, of_all, _name_of_key(end, of_all))
        return reading.document()

    def _is_by_provider(self, value: Mapping[str, object], given: str, of_all: str) -> bool:
        if given or "secret" in value:
            return False
        return not of_all or any(field in self._providers for field in value)

    def _by_provider(self, value: Mapping[str, object], place: str) -> Document:
        reading = _Reading(place)
        for number, (provider, part) in enumerate(value.items(), start=1):
            if provider in self._providers:
                reading.take(part, provider, "default", f" of {provider}")
            else:
                near = get_close_matches(provider[:64], self._providers, n=1)
                known = ", ".join(self._providers)
                hint = f"did you mean {near[0]}?" if near else f"use one of {known}"
                message = f"field {number} is about no provider that is configured: {hint}"
                reading.faults.append(message)
        return reading.document()


class _Reading:
    """One secret as it is read; what is found grows."""

    def __init__(self, place: str) -> None:
        self.faults: list[str] = []
        self._place = place
        self._declared: list[Declared] = []

    def document(self) -> Document:
        """What was found, as far as there is not too much of it."""
        declared, faults = self._declared, self.faults
        if max(len(declared), len(faults)) > MAX_KEYS:
            message = f"holds more than {MAX_KEYS} keys: those after them are not used"
            faults = [*faults[:MAX_KEYS], message]
        return Document(tuple(declared[:MAX_KEYS]), tuple(faults))

    def take(self, value: object, provider: str, name: str, whose: str = "") -> None:
        """A key, or a list of them."""
        if not isinstance(value, list):
            self._take_key(value, provider, name, f"the secret{whose}")
            return
        for number, item in enumerate(value, start=1):
            self._take_key(item, provider, "", f"secret {number}{whose}")

    def _take_key(self, value: object, provider: str, name: str, which: str) -> None:
        attributes: Attributes | None = Attributes()
        text = value
        if isinstance(value, dict):
            attributes, problems = read_attributes(value)
            self.faults += [f"{which}: {said}; the key is not used" for _, said in problems]
            if "secret" not in value:
                self.faults.append(f"{which}: the key has no secret")
                return
            text = value["secret"]
        if not isinstance(text, str):
            self.faults.append(f"{which} must be a text, or an object with a text as its secret")
        elif not text.strip():
            self.faults.append(f"{which} has no value; the key is not used")
        else:
            label = f"{which} in {self._place}"
            self._declared.append(Declared(provider, text.strip(), attributes, 0, label, name))


def _parsed(text: str) -> Any:  # noqa: ANN401 - JSON may be anything
    """The value that a secret's text is; raises ValueError, which quotes nothing."""
    text = text.strip().removeprefix("\ufeff")
    if not text:
        raise ValueError("has no value")
    if text[0] not in '{["':
        return text
    try:
        value = json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_number)
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except UnicodeEncodeError:
        raise ValueError("has half a character, which no text can have") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"is not JSON: look at {place}") from None
    except _OddError:
        raise
    except ValueError:
        raise ValueError("is not JSON: it has a number that is too long") from None
    return value


class _OddError(ValueError):
    """Something that is JSON to some parsers, and not to be guessed at."""


def _distinct(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise _OddError("sets a field twice in one object")
    return fields


def _no_number(_name: str) -> float:
    raise _OddError("is not JSON: it has a number that is none")


def _name_of_key(end: str, provider: str) -> str:
    """A key's name after the end of its secret's name."""
    name = _NOT_IN_NAMES.sub("-", end).lstrip("._-")[:64]
    return "default" if end == provider or not name else name

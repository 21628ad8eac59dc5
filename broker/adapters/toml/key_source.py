"""Keys from a TOML file: a table a key, under the name of its provider.

    [[openai]]
    name = "batch"
    secret = "sk-…"                       # or { env = "NAME" }, or { file = "/run/secrets/x" }
    models = ["gpt-4o", "o*"]             # or { "gpt-4o" = "the provider's name for it" }
    weight = 2
    priority = -1
    limits = { concurrency = 4, requests_per_minute = 60, tokens_per_minute = 90000 }
    account = "main"
    expires_at = 2027-01-31T00:00:00Z
    base_url = "https://eu.example.com/v1"

A key's id is its provider and its name, `default` where it has none.
"""

import re
import tomllib
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from broker.adapters.sources.building import Declared, KeyBuilder
from broker.adapters.sources.fault import WHOLE_FILE, Fault, placed
from broker.adapters.sources.fields import read_attributes
from broker.adapters.sources.steady import Sight, Steady
from broker.adapters.sources.watched_file import WatchedFile
from broker.adapters.toml.lines import Place, lines_of
from broker.adapters.toml.secrets import Secrets
from broker.ports.errors import SourceUnavailableError
from broker.ports.key_source import SourceSnapshot

_MEANINGS = {
    "Cannot overwrite a value": "this is set twice",
    "Duplicate inline table key": "this is set twice",
    "Cannot declare": "this table is there twice: begin each key with [[provider]]",
    "Expected '=' after a key": "this is no field = value",
}
"""What the parser means, where it does not say so."""

PAUSE_S = 0.1
"""Between two looks that must agree."""

Lines = Mapping[tuple[str, int], Mapping[str, int]]
"""By provider and number of the table: the lines of its fields."""


class TomlKeySource:
    """System keys of `providers` from a file, which must be there."""

    def __init__(
        self,
        file: Path,
        environ: Mapping[str, str],
        providers: Collection[str],
        fingerprint_secret: bytes,
        *,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._name = file.name
        self._file = WatchedFile(file)
        self._secrets = Secrets(environ, file.parent)
        self._providers = sorted(providers)
        self._fingerprint_secret = fingerprint_secret
        self._had_keys = False
        self._data: bytes | None = None
        self._sight = Sight(SourceSnapshot(()))
        self._steady = Steady(self._look, pause_s)

    @property
    def name(self) -> str:
        """The source's name in status and events."""
        return self._name

    @property
    def is_remote(self) -> bool:
        """A file that lies here may be read every second."""
        return False

    async def load(self) -> SourceSnapshot:
        """Read it anew; the same snapshot again where nothing changed."""
        return await self._steady.load()

    def _look(self) -> Sight:
        try:
            data = self._file.read()
        except OSError as error:
            problem = error.strerror or error
            message = f"{self._name} cannot be read: {problem}; what was read stays in use"
            raise SourceUnavailableError(message) from None
        if data != self._data or self._secrets.have_changed():
            self._sight = self._parsed(data)
            self._data = data
        return self._sight

    def _parsed(self, data: bytes) -> Sight:
        builder = KeyBuilder(self._fingerprint_secret)
        self._secrets.begin()
        document, faults = _document(data)
        lines = _by_table(lines_of(data.decode("utf-8-sig"))) if document else {}
        for provider, tables in document.items():
            self._add_provider(provider, tables, lines, builder)
        faults += builder.faults
        if self._had_keys and not builder.keys and not faults:
            message = "has no keys any more: what it had stays in use until it has some again"
            faults.append(Fault(WHOLE_FILE, f"{message}, or the broker is restarted"))
        self._had_keys = self._had_keys or bool(builder.keys)
        snapshot = SourceSnapshot(tuple(builder.keys), placed(faults, self._name))
        return Sight(snapshot, may_be_cut=not data.endswith(b"\n"))

    def _add_provider(
        self, provider: str, tables: object, lines: Lines, builder: KeyBuilder
    ) -> None:
        line = lines.get((provider, 0), {}).get("", WHOLE_FILE)
        if provider not in self._providers:
            near = get_close_matches(provider, self._providers, n=1)
            hint = (
                f"did you mean {near[0]}?" if near else f"use one of {', '.join(self._providers)}"
            )
            builder.fault(line, f"is about no provider that is configured: {hint}")
            return
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            builder.fault(line, f"must be a table a key, each under [[{provider}]]")
            return
        for number, table in enumerate(tables):
            self._add_key(provider, table, lines.get((provider, number), {}), builder)

    def _add_key(
        self, provider: str, table: dict[str, Any], places: Mapping[str, int], builder: KeyBuilder
    ) -> None:
        line = places.get("", WHOLE_FILE)
        attributes, problems = read_attributes(table)
        for field, problem in problems:
            whole = places.get(field.partition(".")[0], line)
            builder.fault(places.get(field, whole), f"{problem}; the key is not used")
        at = places.get("secret", line)
        if "secret" not in table:
            builder.fault(line, "the key has no secret")
            return
        try:
            text = self._secrets.read(table["secret"])
        except ValueError as error:
            builder.fault(at, f"secret {error}; the key is not used")
            return
        named = attributes.name if attributes else ""
        label = f"the secret of {provider}/{named or 'default'} (line {line})"
        builder.add(Declared(provider, text, attributes, at, label, "default"))


def _by_table(lines: Mapping[Place, int]) -> Lines:
    found: dict[tuple[str, int], dict[str, int]] = {}
    for place, line in lines.items():
        found.setdefault((place.provider, place.number), {})[place.field] = line
    return found


def _document(data: bytes) -> tuple[dict[str, Any], list[Fault]]:
    """The file as a table; {} with a fault where it is none."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return {}, [Fault(1, "the file is UTF-16: save it as UTF-8")]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return {}, [Fault(line, "is not UTF-8")]
    try:
        return tomllib.loads(text), []
    except RecursionError:
        return {}, [Fault(WHOLE_FILE, "is nested too deeply")]
    except ValueError as error:
        return {}, [_syntax_fault(str(error), text)]


def _syntax_fault(message: str, text: str) -> Fault:
    """What the parser says, without what it quotes: that could be a secret."""
    found = re.search(r"at line (\d+)", message)
    line = int(found[1]) if found else text.rstrip().count("\n") + 1
    for beginning, meaning in _MEANINGS.items():
        if message.startswith(beginning):
            return Fault(line, f"is not TOML: {meaning}")
    plain = re.sub(r"\(.*|'[^']{2,}'|\".*\"", "", message, flags=re.DOTALL).strip()
    return Fault(line, f"is not TOML: {plain[:1].lower()}{plain[1:]}".removesuffix(": "))

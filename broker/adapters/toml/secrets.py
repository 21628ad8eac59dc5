"""Where a key's secret stands: in the file itself, in a variable, or in a file of its own."""

from collections.abc import Mapping
from pathlib import Path

from broker.adapters.sources.watched_file import WatchedFile

_FORMS = 'must be a text, { env = "NAME" } or { file = "/path" }'


class Secrets:
    """Finds the secrets that tables name; the files are watched like the one that names them."""

    def __init__(self, environ: Mapping[str, str], folder: Path) -> None:
        self._environ = environ
        self._folder = folder
        self._files: dict[str, WatchedFile] = {}
        self._named: dict[str, str] = {}

    def begin(self) -> None:
        """Read the file anew: only what it names from now on is watched."""
        self._named = {}

    def have_changed(self) -> bool:
        """Does a file that was named hold something else now?"""
        return any(self._text(name) != text for name, text in list(self._named.items()))

    def read(self, value: object) -> str:
        """The secret; raises ValueError, which says what is wrong and quotes nothing."""
        if isinstance(value, str):
            return _checked(value, "has no value")
        match value:
            case {"env": str(name), **rest} if not rest:
                return _checked(self._environ.get(name, ""), "names a variable that is not set")
            case {"file": str(name), **rest} if not rest and name and "\0" not in name:
                text = self._named[name] = self._text(name)
                if text.startswith("\0"):
                    raise ValueError(f"names a file that cannot be read: {text[1:]}")
                return _checked(text, "names a file that is empty")
            case _:
                raise ValueError(_FORMS)

    def _text(self, name: str) -> str:
        """What a file holds; after a NUL, why it cannot be read."""
        file = self._files.setdefault(name, WatchedFile(self._folder / name))
        try:
            return file.read().decode("utf-8", "replace").strip() or ""
        except OSError as error:
            return f"\0{error.strerror or error}"


def _checked(text: str, problem: str) -> str:
    if not text.strip():
        raise ValueError(problem)
    return text.strip()

"""A table of a TOML file whose fields are taken one by one, and what is wrong with them, by file and line."""

import difflib
import json
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from . import FactoryError
from .toml import Place

_REQUIRED = object()
_TYPES = {str: "a text in quotes", int: "a whole number", bool: "true or false", list: "a list"}


class ConfigError(FactoryError):
    """The configuration is wrong: names file, line and field."""


class Section:
    """A table of the file, from which fields are taken; what is left at the end is unknown."""

    def __init__(
        self, path: Path, lines: Dict[Place, int], table: dict, name: str = "", place: Place = ()
    ):
        self.path = path
        self.name = name
        self._lines = lines
        self._table = table
        self._place = place
        self._left = list(table)

    def _line_of(self, key: Optional[str]) -> int:
        place = self._place if key is None else (*self._place, key)
        while True:
            if place in self._lines:
                return self._lines[place]
            # A table without a header begins with the first that is in it.
            inside = [n for each, n in self._lines.items() if each[: len(place)] == place]
            if inside or not place:
                return min(inside, default=1)
            place = place[:-1]

    def error(self, key: Optional[str], sentence: str) -> ConfigError:
        """What is wrong with a field of this section, or with all of it."""
        name = ".".join(part for part in (self.name, key) if part) or "the file"
        return ConfigError(f"{self.path}, line {self._line_of(key)}: {name} {sentence}")

    def has(self, key: str) -> bool:
        return key in self._table

    def has_table(self, key: str) -> bool:
        return isinstance(self._table.get(key), dict)

    def take(self, key: str, kind: type, default=_REQUIRED, within: Optional[range] = None):
        """A field's value. ConfigError where it is missing, of another type, or out of range."""
        if key in self._left:
            self._left.remove(key)
        if key not in self._table:
            if default is _REQUIRED:
                raise self.error(key, "is missing.")
            return default
        value = self._table[key]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.error(key, f"must be {_TYPES[kind]}.")
        if kind is str and not value and default is _REQUIRED:
            raise self.error(key, "is empty.")
        if within is not None and value not in within:
            raise self.error(key, f"must be from {within[0]} to {within[-1]}.")
        return value

    def choice(self, key: str, choices: Sequence[str], default=_REQUIRED) -> str:
        value = self.take(key, str, default)
        if value not in choices:
            near = difflib.get_close_matches(value, choices, 1)
            hint = f'; did you mean "{near[0]}"?' if near else "."
            raise self.error(key, f"must be one of {', '.join(choices)}{hint}")
        return value

    def section(self, key: str) -> "Optional[Section]":
        if key in self._left:
            self._left.remove(key)
        if key not in self._table:
            return None
        if not self.has_table(key):
            raise self.error(key, f"must be a table: [{key}].")
        return self._inner(self._table[key], key, (key,))

    def sections(self, key: str) -> "List[Section]":
        if key in self._left:
            self._left.remove(key)
        if key not in self._table:
            return []
        items = self._table[key]
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise self.error(key, f"must be a list of tables: [[{key}]].")
        return [self._inner(item, f"{key}[{n + 1}]", (key, n)) for n, item in enumerate(items)]

    def _inner(self, item: dict, key: str, place: Place) -> "Section":
        name = f"{self.name}.{key}" if self.name else key
        return Section(self.path, self._lines, item, name, self._place + place)

    def rest(self) -> dict:
        """All fields that were not taken, as they are; they have to fit into JSON."""
        found = {}
        for key in self._left:
            value = self._table[key]
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError, RecursionError):
                raise self.error(key, "must be made of texts, numbers, true and false.") from None
            found[key] = value
        self._left.clear()
        return found

    def done(self, known: Sequence[str]) -> None:
        """ConfigError where a field is left that nobody has asked for."""
        self._refuse(self._left, known)

    def know(self, known: Sequence[str]) -> None:
        """ConfigError where a field has another name than these: what it was meant for is missing."""
        self._refuse([key for key in self._table if key not in known], known)

    def _refuse(self, keys: Sequence[str], known: Sequence[str]) -> None:
        for key in keys:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(known)}."
            raise self.error(key, f"is unknown: {hint}")

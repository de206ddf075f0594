"""A table of a TOML file whose fields are taken one by one, and what is wrong with them, by file and line."""

import difflib
import json
from pathlib import Path
from typing import List, Optional, Sequence

from . import FactoryError

_MARK = "\0"  # stands in no TOML
_REQUIRED = object()
_TYPES = {str: "a text in quotes", int: "a whole number", bool: "true or false", list: "a list"}


class ConfigError(FactoryError):
    """The configuration is wrong: names file, line and field."""


class Section:
    """A table of the file, from which fields are taken; what is left at the end is unknown."""

    def __init__(self, path: Path, document, table, name: str = ""):
        self.path = path
        self.name = name
        self._document = document
        self._table = table
        self._left = list(table)

    def _line(self, item) -> Optional[int]:
        # tomlkit keeps the text as it was, so a mark in an item's comment shows where it ends.
        trivia = item.trivia
        kept = trivia.comment
        trivia.comment = _MARK
        text = self._document.as_string()
        trivia.comment = kept
        before, mark, _ = text.partition(_MARK)
        lines = item.as_string().count("\n") if not hasattr(item, "items") else 0
        return before.count("\n") + 1 - lines if mark else None

    def _line_of(self, key: Optional[str]) -> int:
        items = [self._table] if key not in self._table else [self._item(key), self._table]
        items += [self._item(k) for k in self._table]  # of a table without a header
        for item in items:
            line = self._line(item) if hasattr(item, "trivia") else None
            if line:
                return line
        return 1

    def _item(self, key: str):
        return self._table.item(key) if hasattr(self._table, "item") else self._table[key]

    def error(self, key: Optional[str], sentence: str) -> ConfigError:
        """What is wrong with a field of this section, or with all of it."""
        name = ".".join(part for part in (self.name, key) if part) or "the file"
        return ConfigError(f"{self.path}, line {self._line_of(key)}: {name} {sentence}")

    def has(self, key: str) -> bool:
        return key in self._table

    def has_table(self, key: str) -> bool:
        return self.has(key) and hasattr(self._item(key), "items")

    def take(self, key: str, kind: type, default=_REQUIRED, within: Optional[range] = None):
        """A field's value. ConfigError where it is missing, of another type, or out of range."""
        if key in self._left:
            self._left.remove(key)
        if key not in self._table:
            if default is _REQUIRED:
                raise self.error(key, "is missing.")
            return default
        value = self._table[key]
        value = value.unwrap() if hasattr(value, "unwrap") else value
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
        return self._inner(self._item(key), key)

    def sections(self, key: str) -> "List[Section]":
        if key in self._left:
            self._left.remove(key)
        if key not in self._table:
            return []
        items = self._item(key)
        if not isinstance(items, list) or not all(hasattr(item, "items") for item in items):
            raise self.error(key, f"must be a list of tables: [[{key}]].")
        return [self._inner(item, f"{key}[{n}]") for n, item in enumerate(items, 1)]

    def _inner(self, item, key: str) -> "Section":
        name = f"{self.name}.{key}" if self.name else key
        return Section(self.path, self._document, item, name)

    def rest(self) -> dict:
        """All fields that were not taken, as they are; they have to fit into JSON."""
        found = {}
        for key in self._left:
            value = self._table[key]
            value = value.unwrap() if hasattr(value, "unwrap") else value
            try:
                json.dumps(value)
            except TypeError:
                raise self.error(key, "must be made of texts, numbers, true and false.") from None
            found[key] = value
        self._left.clear()
        return found

    def done(self, known: Sequence[str]) -> None:
        """ConfigError where a field is left that nobody has asked for."""
        for key in self._left:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(known)}."
            raise self.error(key, f"is unknown: {hint}")

"""TOML: what a file says, as the standard library reads it, and where it says so."""

import bisect
import re
import sys
import unicodedata
from pathlib import Path
from typing import Dict, List, Optional, Tuple, Union

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Place = Tuple[Union[str, int], ...]  # names of tables and keys, and numbers in arrays, from 0
Where = Tuple[int, int]  # line and column, from 1

_MAX_DEPTH = 50  # of brackets; a configuration has two or three
_PART = r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'"""
_KEY = re.compile(rf"[ \t]*({_PART})[ \t]*(\.?)")
_STRING = (
    r'"""(?:[^\\]|\\.)*?"{3,5}|'
    r"'''.*?'{3,5}|"
    r'"(?:[^"\\\n]|\\.)*"|'
    r"'[^'\n]*'"
)
_TOKEN = re.compile(rf"{_STRING}|#[^\n]*|[\[\]{{}}\n]", re.DOTALL)
_SCALAR = re.compile(rf"{_STRING}|[^,\]}}#\n]*", re.DOTALL)
_BETWEEN = re.compile(r"(?:[ \t\n,=]|#[^\n]*)*")
_SENTENCES = (
    ("Cannot overwrite a value", "this key is there twice"),
    ("Cannot mutate immutable namespace", "this table is there already, and complete"),
    ("Cannot declare", "this table is there twice"),
    ("Cannot overwrite", "this table is there twice"),
)


class Wrong(Exception):
    """This is no TOML: a line, a column where that is known, and what is wrong."""

    def __init__(self, line: int, column: Optional[int], what: str):
        self.line = line
        self.column = column
        self.what = what


def read(text: str) -> "tuple[dict, dict[Place, Where]]":
    """The file, and where each of its tables, keys and elements of arrays begins that is there by itself.

    Wrong where it is no TOML.
    """
    text = text.replace("\r\n", "\n")
    _check_depth(text)
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise _wrong(text, str(e)) from None
    except RecursionError:
        raise Wrong(1, None, "it is nested too deeply") from None
    return found, _Reader(text).places()


def load(path: Path) -> "tuple[dict, dict[Place, Where]]":
    return read(path.read_bytes().decode("utf-8-sig"))


def _wrong(text: str, said: str) -> Wrong:
    at = re.search(r" \(at line (\d+), column (\d+)\)$", said)
    if at:
        line, column = int(at[1]), int(at[2])
    else:  # at the end of the document
        line, column = text.rstrip("\n").count("\n") + 1, None
    lines = text.split("\n")
    there = lines[line - 1][(column or 1) - 1 :] if line <= len(lines) else ""
    if there and (unicodedata.category(there[0]) in ("Pi", "Pf") or there[0] in "\u201a\u201e"):
        return Wrong(line, column, f"{there[0]} is no quotation mark of TOML: write \" or '")
    for start, sentence in _SENTENCES:
        if said.startswith(start):
            return Wrong(line, column, sentence)
    return Wrong(line, column, "")


def _check_depth(text: str) -> None:
    depth = 0
    for token in _TOKEN.finditer(text):
        if token[0] in ("[", "{"):
            depth += 1
            if depth > _MAX_DEPTH:
                before = text[: token.start()]
                column = token.start() - before.rfind("\n")
                raise Wrong(before.count("\n") + 1, column, "it is nested too deeply")
        elif token[0] in ("]", "}"):
            depth = max(depth - 1, 0)


class _Reader:
    # Of what the standard library has read without an error.

    def __init__(self, text: str):
        self._text = text
        self._found: Dict[Place, int] = {}  # offsets
        self._counts: Dict[Place, int] = {}  # of the tables in arrays of tables

    def places(self) -> "dict[Place, Where]":
        self._read()
        starts = [0] + [found.end() for found in re.finditer("\n", self._text)]
        where = {}
        for place, offset in self._found.items():
            line = bisect.bisect_right(starts, offset)
            where[place] = line, offset - starts[line - 1] + 1
        return where

    def _read(self) -> None:
        table: Place = ()
        at = self._skip(0)
        while at < len(self._text):
            if self._text[at] == "[":
                double = self._text.startswith("[[", at)
                names, end = _key(self._text, at + 1 + double)
                table = (*self._inside((), names[:-1]), names[-1])
                if double:
                    self._counts[table] = self._counts.get(table, 0) + 1
                if table in self._counts:
                    table += (self._counts[table] - 1,)
                self._found.setdefault(table, at)
                at = self._text.index("]", end) + 1 + double
            else:
                at = self._pair(at, table)
            at = self._skip(at)

    def _inside(self, place: Place, names: List[str]) -> Place:
        for name in names:
            place += (name,)
            if place in self._counts:
                place += (self._counts[place] - 1,)
        return place

    def _skip(self, at: int) -> int:
        # What stands between two things.
        return _BETWEEN.match(self._text, at).end()

    def _pair(self, at: int, table: Place) -> int:
        names, end = _key(self._text, at)
        place = self._inside(table, names)
        self._found.setdefault(place, at)
        return self._value(self._skip(end), place)

    def _value(self, at: int, place: Place) -> int:
        # Behind it.
        opened = self._text[at]
        if opened not in ("[", "{"):
            return _SCALAR.match(self._text, at).end()
        count = 0
        at = self._skip(at + 1)
        while self._text[at] not in ("]", "}"):
            if opened == "{":
                at = self._pair(at, place)
            else:
                self._found.setdefault((*place, count), at)
                at = self._value(at, (*place, count))
                count += 1
            at = self._skip(at)
        return at + 1


def _key(text: str, at: int) -> "tuple[list[str], int]":
    names = []
    while True:
        part = _KEY.match(text, at)
        name = part[1]
        names.append(tomllib.loads(f"x = {name}")["x"] if name[0] in "\"'" else name)
        at = part.end()
        if not part[2]:
            return names, at

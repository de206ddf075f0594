"""TOML: what a file says, as the standard library reads it, and on which lines it says so."""

import re
import sys
import unicodedata
from pathlib import Path
from typing import Dict, List, Optional, Tuple, Union

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Place = Tuple[Union[str, int], ...]  # names of tables and keys, and numbers in arrays of tables

_MAX_DEPTH = 50  # of brackets; a configuration has two or three
_PART = r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'"""
_KEY = re.compile(rf"[ \t]*({_PART})[ \t]*(\.?)")
# What of a value's text matters for where it ends.
_TOKEN = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|'
    r"'''.*?'{3,5}|"
    r'"(?:[^"\\\n]|\\.)*"|'
    r"'[^'\n]*'|#[^\n]*|[\[\]{}\n]",
    re.DOTALL,
)
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


def read(text: str) -> "tuple[dict, dict[Place, int]]":
    """The file, and the line of each of its tables and keys that has one. Wrong where it is no TOML."""
    text = text.replace("\r\n", "\n")
    _check_depth(text)
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise _wrong(text, str(e)) from None
    except RecursionError:
        raise Wrong(1, None, "it is nested too deeply") from None
    return found, _lines(text)


def load(path: Path) -> "tuple[dict, dict[Place, int]]":
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


def _lines(text: str) -> "dict[Place, int]":
    found: Dict[Place, int] = {}
    counts: Dict[Place, int] = {}  # of the tables in arrays of tables
    table: Place = ()
    at, line = 0, 1

    def inside(place: Place, names: List[str]) -> Place:
        for name in names:
            place += (name,)
            if place in counts:
                place += (counts[place] - 1,)
        return place

    while at < len(text):
        if text[at] in " \t\n":
            line += text[at] == "\n"
            at += 1
        elif text[at] == "#":
            at = (text.find("\n", at) + 1 or len(text) + 1) - 1
        elif text[at] == "[":
            double = text.startswith("[[", at)
            names, at = _key(text, at + 1 + double)
            table = inside((), names[:-1]) + (names[-1],)
            if double:
                counts[table] = counts.get(table, 0) + 1
                table += (counts[table] - 1,)
            elif table in counts:
                table += (counts[table] - 1,)
            found.setdefault(table, line)
            at = text.index("]", at) + 1 + double
        else:
            names, at = _key(text, at)
            found.setdefault(inside(table, names), line)
            start, at = at, _end(text, at)
            line += text.count("\n", start, at)
    return found


def _key(text: str, at: int) -> "tuple[list[str], int]":
    names = []
    while True:
        part = _KEY.match(text, at)
        name = part[1]
        names.append(tomllib.loads(f"x = {name}")["x"] if name[0] in "\"'" else name)
        at = part.end()
        if not part[2]:
            return names, at


def _end(text: str, at: int) -> int:
    # Behind a value: at the end of its line, where no bracket is open.
    depth = 0
    for token in _TOKEN.finditer(text, at):
        if token[0] in ("[", "{"):
            depth += 1
        elif token[0] in ("]", "}"):
            depth -= 1
        elif token[0] == "\n" and not depth:
            return token.start()
    return len(text)

"""The CSV of boards, as spreadsheets and people make them: what is in it, and all that is wrong with it."""

import csv
import difflib
import io
import re
import unicodedata
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Set, Tuple

from . import FactoryError
from .canonical import SERIAL, hexadecimal, number
from .config import Config
from .patterns import BOARD_VALUES, endpoint_fault, fill, key_fault, names_in

KNOWN = (SERIAL, *BOARD_VALUES)  # columns that mean something by themselves

_SHOWN = 20  # faults at once
_MAX_IDENTITY = 128  # bytes, RFC 4279 5.1
_MAC_DIGITS = 12  # of an EUI-48
# As spreadsheets write a long number: 1.0E+03, 2,8E+14.
_SHORTENED = re.compile(r"\d+([.,]\d+)?E\+?\d+", re.IGNORECASE)


class Sheet:
    """A CSV. Its faults are collected, each a sentence with file, line and column."""

    def __init__(self, path: Path):
        self.path = path
        self.names: List[str] = []
        self.rows: List[Tuple[int, Dict[str, str]]] = []  # with the line where each begins
        self.faults: List[str] = []
        self._said: Set[Tuple[int, Optional[str]]] = set()
        self._read(self._text())

    def refuse(self, more: Sequence[str] = ()) -> None:
        """FactoryError where anything is wrong, with all of it."""
        faults = [*more, *self.faults]
        if faults:
            left = len(faults) - _SHOWN
            tail = [f"And {left} faults more."] if left > 0 else []
            raise FactoryError(*faults[:_SHOWN], *tail)

    def fault(self, line: int, column: Optional[str], sentence: str) -> None:
        # Of a field only the first is said: others come of it.
        if column is not None and (line, column) in self._said:
            return
        self._said.add((line, column))
        place = f"{self.path}, line {line}"
        if column in self.names:
            place += f", column {self.names.index(column) + 1}"
        self.faults.append(f"{place}: {sentence}")

    def _text(self) -> str:
        try:
            return self.path.read_bytes().decode("utf-8-sig")
        except OSError as e:
            raise FactoryError(f"{self.path} cannot be read: {e.strerror}.") from None
        except UnicodeDecodeError:
            raise FactoryError(f"{self.path} is not in UTF-8: save it as CSV in UTF-8.") from None

    def _read(self, text: str) -> None:
        skipped = 0
        hint = re.match(r"sep=(.)\r?\n", text)  # Excel's, about the lines behind it
        if hint:
            text, skipped = text[hint.end() :], 1
        head = text.partition("\n")[0]
        delimiter = hint[1] if hint else max(",;\t", key=head.count)
        reader = csv.reader(
            io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
        )
        line = skipped + 1
        try:
            for fields in reader:
                self._take(line, [field.strip(" \t") for field in fields])
                line = skipped + reader.line_num + 1
        except csv.Error:
            self.fault(line, None, "a quotation mark is not closed, or stands inside of a field.")
        if not self.rows and not self.faults:
            self.faults.append(f"{self.path} has no rows: its first line names the columns.")

    def _take(self, line: int, fields: List[str]) -> None:
        if not any(fields):  # as spreadsheets leave them behind the last row
            return
        if not self.names:
            self.names = fields
            self._check_head(line)
            return
        if len(fields) != len(self.names):
            self.fault(
                line,
                None,
                f"it has {len(fields)} columns, and must have {len(self.names)} as the first line.",
            )
            return
        for name, field in zip(self.names, fields):
            if "\n" in field or "\r" in field:
                self.fault(
                    line,
                    name,
                    f"{name} goes on in the next line: is there a quotation mark too much?",
                )
        self.rows.append((line, dict(zip(self.names, fields))))

    def _check_head(self, line: int) -> None:
        for n, name in enumerate(self.names, 1):
            if not name:
                self.fault(line, None, f"column {n} has no name.")
            elif name in self.names[: n - 1]:
                self.fault(line, None, f"two columns have the name {name}.")

    # --- Against the configuration

    def check(self, config: Config) -> None:
        """Look at every row, for everything that can be known without a board."""
        self._check_names(config)
        longest = self._zeros()
        seen: Dict[Tuple[str, str], int] = {}
        used = {*KNOWN, *config.names()}
        for line, row in self.rows:
            for name in self.names:
                if name in used:
                    self._check_field(line, name, row[name], longest)
            for what, column, value, shown in self._filled(config, line, row):
                first = seen.setdefault((what, value), line)
                if first != line:
                    self.fault(line, column, f"the {what}{shown} is that of line {first} already.")

    def _check_names(self, config: Config) -> None:
        wanted = {*KNOWN, *config.names()}
        for name in self.names:
            near = name and name not in wanted and _near(name, wanted - set(self.names))
            if near:
                self.fault(1, name, f"{name} is no column that is used: did you mean {near}?")

    def _zeros(self) -> int:
        # How long serial numbers are that begin with a zero.
        found = [row.get(SERIAL, "") for _, row in self.rows]
        return max((len(s) for s in found if s.isdigit() and s.startswith("0")), default=0)

    def _check_field(self, line: int, name: str, text: str, longest: int) -> None:
        odd = next((c for c in text if _is_odd(c)), None)
        if odd is not None:
            self.fault(
                line, name, f"{name} has the character U+{ord(odd):04X} in it: take it away."
            )
        elif _SHORTENED.fullmatch(text) and ("+" in text or "." in text or "," in text):
            self.fault(
                line,
                name,
                f"{name} is {text}, a number as a spreadsheet shortens it: make the column a text "
                "there, and put the number in again.",
            )
        elif name in BOARD_VALUES and text:
            fault = _hexadecimal_fault(name, hexadecimal(text))
            if fault:
                self.fault(line, name, f"{name} {fault}")
        elif name == SERIAL and text.isdigit() and len(text) < longest:
            self.fault(
                line,
                name,
                f"serial is {text}, and others have {longest} digits: has a spreadsheet taken "
                "zeros away in front?",
            )

    def _filled(
        self, config: Config, line: int, row: Dict[str, str]
    ) -> "List[Tuple[str, Optional[str], str, str]]":
        # What must not be in two rows: what it is, its column, its canonical form, and what is shown
        # of it. Where a board's own values come in, it is seen later.
        found = [
            (name, name, hexadecimal(row.get(name, "")), f" {row.get(name)}")
            for name in BOARD_VALUES
        ]
        found.append((SERIAL, SERIAL, number(row.get(SERIAL, "")), f" {row.get(SERIAL)}"))
        patterns = [("endpoint", config.endpoint)]
        for account in config.accounts + config.given:
            security = account.table.security
            if security.mode == "psk":
                patterns.append(("key", security.key))
                patterns.append((f"{account.name}.security.identity", security.identity))
        for what, pattern in dict.fromkeys(patterns):
            names = names_in(pattern)
            column = next((name for name in names if name in row), None)
            empty = [name for name in names if row.get(name) == "" and name not in BOARD_VALUES]
            if empty:
                self.fault(line, empty[0], f"{empty[0]} is empty: the {what} needs it.")
            elif column and set(names) <= set(row) - set(BOARD_VALUES):
                text = fill(pattern, row)
                fault = _fault(what, text)
                if fault:
                    self.fault(line, column, f"the {what} {fault}")
                # A key may be used for two accounts of a board; its value is never shown.
                elif what == "key":
                    found.append((what, column, text.lower(), ""))
                else:
                    found.append((what, column, text, f" {text}"))
        return [each for each in dict.fromkeys(found) if each[2]]


def _hexadecimal_fault(name: str, digits: str) -> Optional[str]:
    if not re.fullmatch("[0-9a-f]+", digits):
        return "must be hexadecimal."
    must = "12" if name == "mac" else "an even number"
    if len(digits) == _MAC_DIGITS or (name != "mac" and len(digits) % 2 == 0):
        return None
    lost = ": has a spreadsheet taken zeros away in front?" if digits.isdigit() else "."
    return f"has {len(digits)} digits, and must have {must}{lost}"


def _fault(what: str, text: str) -> Optional[str]:
    if what == "endpoint":
        return endpoint_fault(text)
    if what == "key":
        return key_fault(text)
    if not 0 < len(text.encode()) <= _MAX_IDENTITY:
        return f"must have from 1 to {_MAX_IDENTITY} bytes."
    return None


def _is_odd(c: str) -> bool:
    # Control characters, line and paragraph separators, spaces other than a space, what is not seen.
    return c != " " and unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Zs")


def _near(name: str, wanted: "set[str]") -> Optional[str]:
    plain = {_plain(each): each for each in sorted(wanted)}
    near = difflib.get_close_matches(_plain(name), plain, 1, 0.8)
    return plain[near[0]] if near else None


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())

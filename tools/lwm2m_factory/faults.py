"""What is wrong with a configuration: a sentence with file, line and column for each fault, all at once."""

import difflib
from pathlib import Path
from typing import Dict, Iterable, List, Optional, Sequence, Tuple

from pydantic import ValidationError

from . import FactoryError
from .reference import alternatives, inner
from .toml import Place, Where

Fault = Tuple[Place, str]  # what it is about, and a sentence without its beginning

_TYPES = {
    "string_type": "must be a text in quotes.",
    "int_type": "must be a whole number.",
    "bool_type": "must be true or false.",
    "list_type": "must be a list.",
    "missing": "is missing.",
    "string_too_short": "is empty.",
}


class ConfigError(FactoryError):
    """The configuration is wrong: names file, line, column and field."""


class Source:
    """The file that a configuration was read from."""

    def __init__(self, path: Path, table: dict, places: Dict[Place, Where]):
        self.path = path
        self.table = table  # as TOML has it
        self._places = places

    def where(self, place: Place) -> Where:
        """Line and column; of what is not there, those of the table where it should be."""
        while True:
            if place in self._places:
                return self._places[place]
            # A table without a header begins with the first that is in it.
            inside = [at for each, at in self._places.items() if each[: len(place)] == place]
            if inside or not place:
                return min(inside, default=(1, 1))
            place = place[:-1]

    def error(self, *faults: Fault) -> ConfigError:
        """All of these, as they stand in the file; of a field only what was said first."""
        first: Dict[Place, str] = {}
        for place, sentence in faults:
            first.setdefault(place, sentence)
        lines = []
        for place in sorted(first, key=self.where):
            line, column = self.where(place)
            lines.append(
                f"{self.path}, line {line}, column {column}: {shown(place) or 'the file'} "
                f"{first[place]}"
            )
        return ConfigError(*lines)


def shown(place: Place) -> str:
    """What a person calls a field: server[1].security.mode."""
    text = ""
    for part in place:
        part = '""' if part == "" else part
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def of(error: ValidationError, table: dict, schema: dict) -> List[Fault]:
    """What pydantic found, in our words. table: the input; schema: the models' JSON Schema."""
    found = []
    for each in error.errors(include_url=False, include_input=False):
        place, node = _find(each["loc"], schema)
        found.append(_fault(each["type"], each.get("ctx", {}), place, node, schema, table))
    # What is missing is there, if it is only misspelt.
    meant = {place for _, _, place in found if place}
    return [
        (place, text)
        for place, text, _ in found
        if place not in meant or text != _TYPES["missing"]
    ]


def _find(loc: Sequence, schema: dict) -> Tuple[Place, dict]:
    # A field of the file and its schema, of pydantic's way to it: that has the tags of unions in it.
    place: Place = ()
    node = schema
    for part in loc:
        if "oneOf" in node:
            node = inner(alternatives(node)[part], schema)
            continue
        place += (part,)
        if isinstance(part, int):
            node = node.get("items", {})
        else:
            node = node.get("properties", {}).get(part, {})
        node = inner(node, schema)
    return place, node


def _fault(
    kind: str, context: dict, place: Place, node: dict, schema: dict, table: dict
) -> Tuple[Place, str, Optional[Place]]:
    # And the field that was meant, where a name is unknown.
    if kind == "said":
        return place, context["sentence"], None
    if kind == "extra_forbidden":
        known = list(_find_table(place[:-1], schema, table)["properties"])
        near = difflib.get_close_matches(str(place[-1]), known, 1)
        if near:
            return place, f"is unknown: did you mean {near[0]}?", (*place[:-1], near[0])
        return place, f"is unknown: choose from {', '.join(known)}.", None
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        name = node["discriminator"]["propertyName"]
        place += (name,)
        if kind == "union_tag_not_found":
            return place, _TYPES["missing"], None
        value = _value(place, table)
        return place, _choices(value, list(alternatives(node))), None
    if kind == "literal_error":
        return place, _choices(_value(place, table), node.get("enum") or [node["const"]]), None
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        names = ".".join(part for part in place if isinstance(part, str))
        header = "" if isinstance(place[-1], int) else f": [{names}]"
        return place, f"must be a table{header}.", None
    if kind in ("greater_than_equal", "less_than_equal"):
        return place, f"must be from {node['minimum']} to {node['maximum']}.", None
    if kind == "list_type" and "$ref" in node.get("items", {}):
        return place, f"must be a list of tables: [[{shown(place)}]].", None
    return place, _TYPES[kind], None


def _find_table(place: Place, schema: dict, table: dict) -> dict:
    # The schema of a table of the file, by the tags that are in it.
    node, value = schema, table
    for part in (*place, None):
        if "oneOf" in node:
            tag = value[node["discriminator"]["propertyName"]] if "discriminator" in node else "1"
            node = inner(alternatives(node)[tag], schema)
        if part is not None:
            value = value[part]
            node = node["items"] if isinstance(part, int) else node["properties"][part]
            node = inner(node, schema)
    return node


def _value(place: Place, table: dict):
    for part in place:
        table = table[part]
    return table


def _choices(value: object, choices: Iterable[str]) -> str:
    if not isinstance(value, str):
        return _TYPES["string_type"]
    near = difflib.get_close_matches(value, list(choices), 1)
    return f"must be one of {', '.join(choices)}" + (
        f'; did you mean "{near[0]}"?' if near else "."
    )

"""[app], by what the application says of its own settings.

SETTINGS in its app.py is a JSON Schema of them, made of literals: it is read here without running anything.
"""

import ast
import difflib
from pathlib import Path
from typing import Dict, Iterator

from jsonschema import Draft202012Validator, SchemaError, ValidationError

from . import FactoryError
from .faults import Fault

NAME = "SETTINGS"

_MISSING = "is missing."
_MEANT = "is unknown: did you mean %s?"
_TYPES = {
    "string": "a text in quotes",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a table",
}


def schema_of(path: Path) -> dict:
    """The JSON Schema of [app] that an application's file has; fields that it does not name are refused."""
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except OSError as e:
        raise FactoryError(f"{path} cannot be read: {e.strerror}.") from None
    except (SyntaxError, ValueError):
        raise FactoryError(f"{path} is no Python.") from None
    for each in tree.body:
        if isinstance(each, ast.Assign) and _names(each.targets[0]):
            try:
                found = ast.literal_eval(each.value)
                Draft202012Validator.check_schema(found)
                return {"type": "object", "additionalProperties": False, **found}
            except (ValueError, TypeError, SchemaError):
                raise FactoryError(
                    f"{path}, line {each.lineno}: {NAME} must be a JSON Schema, made of literals."
                ) from None
    raise FactoryError(f"{path} has no {NAME}: it is a JSON Schema of [app], made of literals.")


def _names(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and target.id == NAME


def faults(schema: dict, settings: dict) -> Iterator[Fault]:
    """What is wrong with [app]."""
    found = []
    for error in Draft202012Validator(schema).iter_errors(settings):
        place = "app", *error.absolute_path
        for name, sentence in _sentences(error).items():
            found.append(((*place, name) if name else place, sentence))
    # What is missing is there, if it is only misspelt.
    meant = {(*place[:-1], sentence) for place, sentence in found}
    for place, sentence in found:
        if sentence != _MISSING or (*place[:-1], _MEANT % place[-1]) not in meant:
            yield place, sentence


def _sentences(error: ValidationError) -> Dict[str, str]:
    # By the fields that are missing or unknown, or "" for the value itself, which is not quoted: it
    # may be a secret.
    rule, wanted = error.validator, error.validator_value
    known = list(error.schema.get("properties", {}))
    if rule == "required":
        return {name: _MISSING for name in wanted if name not in error.instance}
    if rule == "additionalProperties":
        return {name: _unknown(name, known) for name in error.instance if name not in known}
    if rule == "type":
        types = [wanted] if isinstance(wanted, str) else wanted
        return {"": f"must be {' or '.join(_TYPES.get(each, each) for each in types)}."}
    if rule in ("minimum", "maximum") and {"minimum", "maximum"} <= error.schema.keys():
        return {"": f"must be from {error.schema['minimum']} to {error.schema['maximum']}."}
    if rule == "enum":
        return {"": f"must be one of {', '.join(map(str, wanted))}."}
    return {"": f"is not what the application takes ({rule}: {wanted})."}


def _unknown(name: str, known: "list[str]") -> str:
    near = difflib.get_close_matches(name, known, 1)
    if near:
        return _MEANT % near[0]
    return f"is unknown: choose from {', '.join(known)}." if known else "is unknown."

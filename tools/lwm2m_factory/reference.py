"""What can stand in a configuration, for programs and for people: JSON Schema, and the list of fields.

Both are made of the models of the configuration. Module handbook writes the list into tools/README.md.
"""

import json
from typing import TYPE_CHECKING, Dict, Iterator, List, Tuple

from pydantic.json_schema import GenerateJsonSchema

if TYPE_CHECKING:
    from pydantic import BaseModel


class _Schema(GenerateJsonSchema):
    # TOML has no null: a field that is None was left out.

    def nullable_schema(self, schema: dict) -> dict:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: dict) -> dict:
        found = super().default_schema(schema)
        if found.get("default", False) is None:
            del found["default"]
        return found


def schema_of(model: "type[BaseModel]") -> dict:
    """The JSON Schema of a configuration's file."""
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        **model.model_json_schema(schema_generator=_Schema),
    }


def alternatives(node: dict) -> Dict[str, dict]:
    """Those of a oneOf by their tags, in the order in which they were declared."""
    mapping = node.get("discriminator", {}).get("mapping", {})
    tags = {ref: tag for tag, ref in mapping.items()}
    return {tags.get(each.get("$ref"), str(n)): each for n, each in enumerate(node["oneOf"])}


def inner(node: dict, schema: dict) -> dict:
    """What a node refers to: "#/$defs/Name", as pydantic writes it."""
    return schema["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node


# The list of fields, in Markdown.


def listing(schema: dict) -> str:
    """A table of Markdown for each table of the file."""
    text = ""
    # By its lines and what is said of it, as some stand in several places.
    found: Dict[Tuple[str, str], Tuple[List[str], dict]] = {}
    for header, node in _tables("", schema, schema):
        key = "".join(_lines(node, schema)), node.get("description", "")
        found.setdefault(key, ([], node))[0].append(header)
    for (lines, said), (headers, node) in found.items():
        where = ", ".join(f"`{header}`" for header in dict.fromkeys(headers) if header)
        for name, field in node.get("properties", {}).items():
            if "const" in field:
                where += f" with `{name} = {json.dumps(field['const'])}`"
        said = said.rstrip(".")
        text += f"**{where}**: {said}.\n\n" if where else f"{said}.\n\n"
        if lines:
            text += f"| field | value | left out | |\n|---|---|---|---|\n{lines}\n"
    return text


def _tables(header: str, node: dict, schema: dict) -> Iterator[Tuple[str, dict]]:
    # A table and those in it, each with its header.
    yield header, node
    for name, field in node.get("properties", {}).items():
        path = f"{header.strip('[]')}.{name}".lstrip(".")
        below = inner(field, schema)
        if below.get("type") == "array" and "$ref" in below.get("items", {}):
            yield from _tables(f"[[{path}]]", inner(below["items"], schema), schema)
        for each in alternatives(below).values() if "oneOf" in below else [below]:
            each = inner(each, schema)
            if each.get("type") == "object":
                yield from _tables(f"[{path}]", each, schema)


def _lines(node: dict, schema: dict) -> Iterator[str]:
    for name, field in node.get("properties", {}).items():
        about = inner(field, schema)
        if "const" in field or _is_table(about, schema):
            continue
        left_out = "" if name not in node.get("required", ()) else "never"
        if field.get("default") not in (None, []):
            left_out = f"`{json.dumps(field['default'], ensure_ascii=False)}`"
        said = field.get("description", "")
        yield f"| `{name}` | {_value(about)} | {left_out} | {said} |\n"


def _is_table(node: dict, schema: dict) -> bool:
    if node.get("type") == "array":
        return "$ref" in node["items"]
    if "discriminator" in node:
        return True
    return node.get("type") == "object"


def _value(node: dict) -> str:
    if "oneOf" in node:
        return " or ".join("a table" if "$ref" in each else _value(each) for each in node["oneOf"])
    if "const" in node:
        return f"`{json.dumps(node['const'])}`"
    if "enum" in node:
        return ", ".join(f"`{json.dumps(each)}`" for each in node["enum"])
    if node["type"] == "integer":
        return f"{node['minimum']} to {node['maximum']}"
    if node["type"] == "array":
        return "a list"
    return {"string": "text", "boolean": "true, false"}[node["type"]]

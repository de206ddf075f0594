"""What the fields of a configuration are made of: each table is a pydantic model, made of these.

The sentences behind the names of fields are module faults'. JSON Schema is made of the models too, with
which editors complete a configuration, and of that the list of fields in tools/README.md (module reference).
"""

import json
import re
from dataclasses import dataclass
from typing import Annotated, Any, Optional, Sequence, Tuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, WrapValidator
from pydantic_core import PydanticCustomError, ValidationError

from .certificates import Files
from .patterns import BOARD_VALUES, endpoint_fault, key_fault, names_in


@dataclass
class Context:
    """What fields are checked with, beside what they say."""

    names: Tuple[str, ...]  # what patterns may name
    files: Files  # that fields name


class Table(BaseModel):
    """A table of the file. None is a field that was left out: TOML has no such value."""

    # Nothing of the input goes into errors, as keys and passwords are in it.
    model_config = ConfigDict(
        extra="forbid", strict=True, hide_input_in_errors=True, arbitrary_types_allowed=True
    )

    def told(self) -> dict:
        """What boards are told of it: what was not left out."""
        return self.model_dump(exclude_none=True)


def wrong(sentence: str) -> PydanticCustomError:
    """To be raised by a check."""
    return PydanticCustomError("said", "{sentence}", {"sentence": sentence})


def says(sentence: str) -> WrapValidator:
    """Whatever is wrong with the value, it is said in these words."""

    def check(value: Any, handler) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise wrong(sentence) from None

    return WrapValidator(check)


def whole(low: int, high: int):
    """A whole number within bounds."""
    return Annotated[int, Field(ge=low, le=high)]


def must(fault) -> AfterValidator:
    """fault(value): what is wrong with a value, a sentence, or None."""

    def check(value: Any) -> Any:
        sentence = fault(value)
        if sentence:
            raise wrong(sentence)
        return value

    return AfterValidator(check)


Text = Annotated[str, Field(min_length=1)]
Pin = whole(0, 255)  # what each chip has is module pins'
Seconds = whole(0, (1 << 31) - 1)


def size(low: int, high: int):
    """A text of that many bytes in UTF-8."""

    def fault(text: str) -> Optional[str]:
        if low <= len(text.encode()) <= high:
            return None
        return f"must have from {low} to {high} bytes."

    return Annotated[Text, must(fault)]


def _told_in_json(value: Any) -> Optional[str]:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return "must be made of texts, numbers, true and false."
    return None


# Whatever the board's own code makes of it.
Anything = Annotated[Any, must(_told_in_json)]


# Texts with names in braces, which each board has its own values for.


def _check_names(pattern: str, known: Tuple[str, ...]) -> None:
    for name in names_in(pattern):
        if name not in known:
            choices = ", ".join(f"{{{each}}}" for each in known)
            raise wrong(f"has {{{name}}}: choose from {choices}.")
    if re.search(r"[{}]", re.sub(r"\{\w+\}", "", pattern)):
        raise wrong("has a brace that is no {name}.")


def _endpoint(pattern: str, info: ValidationInfo) -> str:
    _check_names(pattern, info.context.names)
    fault = endpoint_fault(re.sub(r"\{\w*\}", "x", pattern))
    if fault:
        raise wrong(fault)
    return pattern


def _identity(pattern: str, info: ValidationInfo) -> str:
    _check_names(pattern, (*info.context.names, "endpoint"))
    return pattern


def _key(pattern: str, info: ValidationInfo) -> str:
    if names_in(pattern):
        _check_names(pattern, info.context.names)
    elif pattern != "random":
        fault = key_fault(pattern)
        if fault:
            raise wrong(fault)
    return pattern


EndpointPattern = Annotated[Text, AfterValidator(_endpoint)]
IdentityPattern = Annotated[str, AfterValidator(_identity)]
KeyPattern = Annotated[str, AfterValidator(_key)]


def context(columns: Sequence[str], files: Files) -> Context:
    """columns: what patterns may name beside what a board has itself."""
    return Context((*BOARD_VALUES, *columns), files)

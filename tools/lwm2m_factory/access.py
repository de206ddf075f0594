"""[[access]] of the configuration: Access Control, /2, of boards with several servers."""

import re
from typing import Annotated, Any, Dict, Iterator, Optional

from pydantic import Field, WithJsonSchema

from .faults import Fault
from .fields import Table, whole

_BITS = {"R": 1, "W": 2, "E": 4, "D": 8, "C": 16}  # /2/x/2
_OF_INSTANCE, _OF_OBJECT = "RWED", "C"
_NONE = 65535  # as instance the object itself, as owner nobody
_DEFAULT = "default"  # short id 0: every other server
_SHORT_ID = "[1-9][0-9]{0,4}"

# What its letters are depends on another field: check() looks at them.
Rights = Annotated[
    Dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": f"^({_SHORT_ID}|{_DEFAULT})$"},
            "additionalProperties": {"type": "string", "pattern": "^([RWED]*|C*)$"},
        }
    ),
]


class Access(Table):
    """Access Control (/2), all of it, where there are several servers; without it the first has all rights."""

    object: whole(1, _NONE - 1) = Field(description="its number, /2/x/0")
    instance: Optional[whole(0, _NONE - 1)] = Field(
        None,
        description="/2/x/1; left out: the object itself, of which servers may create instances",
    )
    owner: Optional[whole(1, _NONE - 1)] = Field(
        None, description="short_id of who has all rights, /2/x/3; left out: nobody"
    )
    rights: Rights = Field(
        {},
        description="by short_id, or `default` for every other server: letters of RWED, or C where instance is "
        'left out, as in `rights = { 2 = "R", default = "" }`',
    )

    def resources(self) -> "Dict[int, object]":  # in here, object is the field
        """The resources of /2."""
        rights = {
            0 if name == _DEFAULT else int(name): sum(_BITS[letter] for letter in set(letters))
            for name, letters in self.rights.items()
        }
        instance = _NONE if self.instance is None else self.instance
        return {0: self.object, 1: instance, 2: rights, 3: self.owner or _NONE}


def check(table: dict) -> Iterator[Fault]:
    """What is wrong with rights, or there twice. table: the configuration, as TOML has it."""
    tables, seen = table.get("access"), set()
    for n, each in enumerate(tables if isinstance(tables, list) else []):
        if not isinstance(each, dict):
            continue
        target = each.get("object"), each.get("instance", _NONE)
        if all(type(number) is int for number in target):
            if target in seen:
                yield ("access", n), "is there twice for that object and instance."
            seen.add(target)
        known = _OF_INSTANCE if "instance" in each else _OF_OBJECT
        rights = each.get("rights")
        for name, letters in rights.items() if isinstance(rights, dict) else ():
            place = "access", n, "rights", name
            if name != _DEFAULT and not (re.fullmatch(_SHORT_ID, name) and int(name) < _NONE):
                yield place, "is no short_id from 1 to 65534, nor default."
            elif not isinstance(letters, str) or not set(letters) <= set(known):
                yield place, f"must be of the letters {known}, in quotes."

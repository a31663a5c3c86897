"""What pydantic finds wrong, in the words of every other error: what was given, and what it must be."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from losscope.core.errors import shown

_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
    "dict": "a table of keys and values",
    "mapping": "a table of keys and values",
    "finite_number": "a finite number",
    "none_required": "left out",
}
"""What is wanted, by the first word of pydantic's name for the mistake."""


def mistakes(error: ValidationError, most: int | None = None) -> str:
    """Every mistake of a value, or the first ``most`` of them, with semicolons between.

    >>> from pydantic import BaseModel, Field
    >>> class Wanted(BaseModel):
    ...     seeds: int = Field(gt=0)
    >>> try:
    ...     Wanted(seeds=0)
    ... except ValidationError as error:
    ...     print(mistakes(error))
    seeds is 0; it must be greater than 0
    """
    return "; ".join(map(_said, error.errors(include_url=False)[:most]))


def _said(found: Any) -> str:
    place = ".".join(map(str, found["loc"])) or "it"
    if found["type"] == "missing":
        return f"{place} is missing"
    wanted = _wanted(str(found["type"]), found.get("ctx", {}))
    if wanted is None:
        message = str(found["msg"]).removeprefix("Value error, ")
        return f"{place} is {shown(found['input'])}; {message[:1].lower()}{message[1:]}"
    return f"{place} is {shown(found['input'])}; it must be {wanted}"


def _wanted(kind: str, given: Any) -> str | None:
    match kind:
        case "greater_than":
            return f"greater than {given['gt']}"
        case "greater_than_equal":
            return f"greater than or equal to {given['ge']}"
        case "less_than":
            return f"less than {given['lt']}"
        case "less_than_equal":
            return f"less than or equal to {given['le']}"
        case "literal_error":
            return str(given["expected"])
        case "too_short":
            return f"a list of at least {given['min_length']}"
        case "too_long":
            return f"a list of at most {given['max_length']} items"
        case "string_too_short":
            return "text that is not empty"
        case "extra_forbidden":
            return "left out"
    return _TYPES.get(kind) or _TYPES.get(kind.partition("_")[0])

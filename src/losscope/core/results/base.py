"""What every result is made of: frozen values with finite numbers, and documents that name their schema."""

from __future__ import annotations

import json
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AllowInfNan, BaseModel, ConfigDict, Field, ValidationError

from losscope.core.errors import LosscopeError
from losscope.core.mistakes import mistakes

SCHEMA = 2
"""The number of the JSON schema. New fields keep it; a field that changes its meaning raises it."""

Number = Annotated[float, AllowInfNan(False)]


class Frozen(BaseModel):
    """A value: its fields cannot be set, an unknown field is an error, and numbers are finite."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, serialize_by_alias=True, validate_by_name=True, validate_by_alias=True
    )

    def json_text(self) -> str:
        """The value as JSON text, keys in the order of the fields."""
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False)


class Document(Frozen):
    """A value that ``--json`` prints and that a file holds: it names its schema."""

    kind: ClassVar[str] = "document"
    schema_number: Literal[2] = Field(default=2, alias="schema")

    @classmethod
    def from_json(cls, text: str, where: str = "the file") -> Self:
        """Read what ``json_text`` wrote.

        Fields that this version does not know are passed over, so that a newer file of one schema is read.

        Raises:
            LosscopeError: text that is not JSON, or of another schema; with what to do.
        """
        try:
            found = json.loads(text)
        except json.JSONDecodeError as error:
            raise LosscopeError(f"{where} is not valid JSON: {error}") from None
        schema = found.get("schema") if isinstance(found, dict) else None
        if schema != SCHEMA:
            raise LosscopeError(
                f"{where} has the JSON schema {schema}; this losscope reads schema {SCHEMA}: make it again "
                f"with losscope report on the folder that its runs are in"
            )
        try:
            return cls.model_validate(found, extra="ignore")
        except ValidationError as error:
            raise LosscopeError(f"{where} is not a {cls.kind} of losscope: {mistakes(error, 1)}") from None

"""The common base of all stored facts: they are typed and frozen, and unknown keys are refused."""

from __future__ import annotations

from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    model_serializer,
)


class StoredPart(BaseModel):
    """A part of a stored file. An unknown key or a value of another type is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class CountedSteps(StoredPart):
    """The steps that optimizers made; None in what was stored before they were counted, and left
    out of it, so that it keeps its digest.
    """

    optimizer_steps: int | None = None

    @model_serializer(mode="wrap")
    def _without_unknown(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = serialize(self)
        if self.optimizer_steps is None:
            content.pop("optimizer_steps", None)
        return content

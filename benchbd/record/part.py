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
    """A cost with the number of steps that optimizers made. The number is None in results that were
    stored before it was counted. It is left out there, so that they keep their digests.
    """

    optimizer_steps: int | None = None

    @model_serializer(mode="wrap")
    def _without_unknown(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = serialize(self)
        if self.optimizer_steps is None:
            content.pop("optimizer_steps", None)
        return content

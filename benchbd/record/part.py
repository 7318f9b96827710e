"""The common base of all stored facts: they are typed and frozen, and unknown keys are refused."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class StoredPart(BaseModel):
    """A part of a stored file. An unknown key or a value of another type is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

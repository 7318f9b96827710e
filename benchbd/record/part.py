"""What all stored facts have in common: they are typed, frozen, and know all of their keys."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class StoredPart(BaseModel):
    """A part of a stored file. An unknown key or a value of another type is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

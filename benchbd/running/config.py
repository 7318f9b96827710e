"""The file of options that `benchbd run --config` reads: the names of the command line, in YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from benchbd.errors import ConfigError, nearest
from benchbd.options import read_yaml


def _names(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class Config(BaseModel):
    """Every key is optional. `set` holds parameters by kind: `set: {defense: {anp_eps: 0.2}}`."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    attack: str | None = None
    defenses: Annotated[tuple[str, ...] | None, BeforeValidator(_names)] = Field(
        None, alias="defense"
    )
    model: str | None = None
    dataset: str | None = None
    seed: int | None = Field(None, ge=0)
    device: str | None = None
    protocol: str | None = None
    name: str | None = None
    result_file: str | None = None
    set: dict[str, dict[str, Any]] = {}


def read_config(path: Path) -> dict[str, Any]:
    """Options by the name of their argument, settings by KIND.PARAM. Raises `ConfigError`."""
    try:
        config = Config(**read_yaml(path))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        known = [field.alias or name for name, field in Config.model_fields.items()]
        hint = (
            nearest(key, known)
            if first["type"] == "extra_forbidden"
            else f", got {first['input']!r}"
        )
        raise ConfigError(f"{path}: {key}: {first['msg']}{hint}") from None
    options = config.model_dump(exclude={"set"}, exclude_none=True)
    options["settings"] = {
        f"{kind}.{name}": value
        for kind, values in config.set.items()
        for name, value in values.items()
    }
    return options

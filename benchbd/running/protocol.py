"""Protocols: a named, versioned, frozen choice of data, models, methods, budgets and seeds, in typed YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from benchbd.engine.recipe import Recipe
from benchbd.errors import ConfigError, nearest

MAX_BYTES = 2**20


class Choice(BaseModel):
    """A plugin by name, with the parameters that differ from its defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    params: dict[str, Any] = {}


def _choice(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _several(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


Names = Annotated[tuple[str, ...], BeforeValidator(_several)]
Chosen = Annotated[Choice, BeforeValidator(_choice)]
Several = Annotated[tuple[Chosen, ...], BeforeValidator(_several)]


class Rule(BaseModel):
    """Cells that a rule speaks of: those that agree with every key that is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: Names = ()
    model: Names = ()
    attack: Names = ()
    defense: Names = ()
    seed: Annotated[tuple[int, ...], BeforeValidator(_several)] = ()
    poison_ratio: Annotated[tuple[float, ...], BeforeValidator(_several)] = ()

    def fits(self, **coordinates: Any) -> bool:
        return all(coordinates[name] in allowed for name, allowed in self if allowed)


class Protocol(BaseModel):
    """What a matrix is made of. `run` takes its defaults from one.

    poison_ratios: if given, every attack runs at each of them instead of at its own. include: if given, only
    cells that fit one of these rules; exclude: none that fit one of those. threads: cores of a stage, which is part
    of the protocol since the last digits of a result can depend on it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), populate_by_name=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    version: int = Field(1, ge=1)
    about: str = ""
    datasets: Several = Field(alias="dataset")
    models: Several = Field(alias="model")
    recipe: Recipe = Recipe()
    clean_budget: float = Field(0.05, gt=0, le=1)
    seeds: tuple[int, ...] = (0, 1, 2)
    attacks: Several = ()
    defenses: Several = ()
    poison_ratios: tuple[float, ...] = ()
    include: tuple[Rule, ...] = ()
    exclude: tuple[Rule, ...] = ()
    threads: int | None = Field(None, ge=1)
    time_limit: float | None = Field(None, gt=0)

    def wants(self, **coordinates: Any) -> bool:
        """Whether the rules let a cell in."""
        included = not self.include or any(rule.fits(**coordinates) for rule in self.include)
        return included and not any(rule.fits(**coordinates) for rule in self.exclude)

    @property
    def id(self) -> str:
        """Name and version, as it stands in keys and results."""
        return f"{self.name}@{self.version}"

    def params_of(self, kind: str, name: str) -> dict[str, Any]:
        """The parameters that the protocol sets for a plugin; none where it does not mention it."""
        choices: dict[str, tuple[Choice, ...]] = {
            "dataset": self.datasets,
            "model": self.models,
            "attack": self.attacks,
            "defense": self.defenses,
        }
        return next((dict(choice.params) for choice in choices[kind] if choice.name == name), {})


def load_protocol(name: str | Path) -> Protocol:
    """The protocol in the file `name`, or the bundled one of that name. Raises `ConfigError`."""
    given = Path(name)
    path = given if given.suffix in (".yaml", ".yml") else _known().get(str(name))
    if path is None:
        raise ConfigError(f"no protocol named {str(name)!r}{nearest(str(name), _known())} known: {', '.join(sorted(_known()))}")
    return parse_protocol(read_yaml(path), str(path))


def parse_protocol(content: dict[str, Any], where: str) -> Protocol:
    """A protocol from the content of a file. Unknown keys and values of another type are refused."""
    try:
        return Protocol(**content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            keys = [field.alias or name for name, field in Protocol.model_fields.items()]
            raise ConfigError(f"{where}: unknown key {place!r}{nearest(place, keys)}") from None
        raise ConfigError(f"{where}: {place}: {first['msg']}, got {first['input']!r}") from None


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file of keys and values, read safely. Raises `ConfigError`."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path} has more than {MAX_BYTES:,} bytes; that is no file of options")
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from None
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigError(f"{path}: expected keys and values, such as `dataset: digits`")
    return content


def _known() -> dict[str, Path]:
    """Protocols by name: those of the current folder's leaderboard over the bundled ones."""
    folders = (Path(__file__).parents[1] / "protocols", Path("leaderboard/protocols"))
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}

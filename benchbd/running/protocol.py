"""Protocols: a protocol is a named, versioned and frozen choice of data sets, models, methods,
budgets and seeds, written in YAML and checked for its types.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten
from typing import Annotated, Any, Self, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from benchbd.engine.recipe import Recipe
from benchbd.errors import ConfigError, nearest
from benchbd.options import read_yaml


class YamlPart(BaseModel):
    """Base of the parts of a typed YAML file. No key of a part is a yes or a no, so a boolean is
    refused: YAML also reads an unquoted `no` as false.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", protected_namespaces=(), populate_by_name=True
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_yes_and_no(cls, values: Any) -> Any:
        for name, value in values.items() if isinstance(values, dict) else ():
            if any(
                isinstance(each, bool)
                for each in (value if isinstance(value, list | tuple) else [value])
            ):
                raise ValueError(
                    f"{name} takes no yes or no, which is how YAML reads yes, no, on and off; "
                    "quote it if it is a text"
                )
        return values


Typed = TypeVar("Typed", bound=YamlPart)


class Choice(YamlPart):
    """A plugin by its name, with the parameters that differ from its defaults."""

    name: str
    params: dict[str, Any] = {}

    @property
    def called(self) -> str:
        """The name that rules and options use: for a plugin of a provider it includes the variant,
        as in `timm:resnet18`.
        """
        variant = self.params.get("variant")
        return f"{self.name}:{variant}" if variant and ":" not in self.name else self.name


def _choice(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _several(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


Names = Annotated[tuple[str, ...], BeforeValidator(_several)]
ChoiceOrName = Annotated[Choice, BeforeValidator(_choice)]
Several = Annotated[tuple[ChoiceOrName, ...], BeforeValidator(_several)]


class Rule(YamlPart):
    """A rule that selects the cells that agree with every key that is given.

    table: for a rule that includes cells, the name of the table on the leaderboard that they form.
    Cells without a table name stand together in one table.
    """

    dataset: Names = ()
    model: Names = ()
    attack: Names = ()
    defense: Names = ()
    seed: Annotated[tuple[int, ...], BeforeValidator(_several)] = ()
    poison_ratio: Annotated[tuple[float, ...], BeforeValidator(_several)] = ()
    table: str = ""

    def fits(self, **coordinates: Any) -> bool:
        """Return whether a cell with these coordinates agrees with the rule."""
        return all(
            value in allowed
            for name, value in coordinates.items()
            if (allowed := getattr(self, name))
        )


class Protocol(YamlPart):
    """The plan of a matrix. `benchbd run` takes its defaults from one.

    poison_ratios: if given, every attack runs at each of these ratios instead of at its own.
    include: if given, only cells that fit one of these rules belong to the protocol. exclude: cells
    that fit one of these rules do not. threads: the cores of a stage; null shares all cores among
    the stages that run. The number is part of the protocol because the last digits of a result can
    depend on it.
    """

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
    threads: int | None = Field(1, ge=1)
    time_limit: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _require_known(self) -> Self:
        """Refuse a rule that names something that the protocol does not have, and a table name on
        an exclude rule: both are slips of the pen.
        """
        for rule in self.exclude:
            if rule.table:
                raise ValueError(
                    f"an exclude rule names the table {rule.table!r}; only include rules make "
                    "tables"
                )
        for kind, known in self._spoken_of.items():
            # a number that is close to another one is no typing error
            names = [each for each in known if isinstance(each, str)]
            for given in (
                given for rule in (*self.include, *self.exclude) for given in getattr(rule, kind)
            ):
                if given not in known:
                    remedy = f"there is {', '.join(map(str, known))}"
                    raise ValueError(
                        f"a rule speaks of the {kind} {given!r}{nearest(str(given), names, remedy)}"
                    )
        return self

    @property
    def _spoken_of(self) -> dict[str, Sequence[str | float]]:
        """The values that rules may name, by coordinate. The poison ratios are missing where the
        protocol sets none, because then only the attacks know theirs.
        """
        known: dict[str, Sequence[str | float]] = {
            kind: [choice.called for choice in choices] for kind, choices in self.choices.items()
        }
        # An attack that poisons nothing keeps its ratio of 0 whatever the others run at.
        ratios = {"poison_ratio": (*self.poison_ratios, 0.0)} if self.poison_ratios else {}
        return {**known, "seed": self.seeds, **ratios}

    def wants(self, **coordinates: Any) -> bool:
        """Return whether the rules let a cell with these coordinates into the protocol."""
        included = not self.include or any(rule.fits(**coordinates) for rule in self.include)
        return included and not any(rule.fits(**coordinates) for rule in self.exclude)

    def joined(self, kind: str, name: str) -> Protocol:
        """Return the protocol with one more attack or defense, at its defaults, which it does not
        name yet. If it names it already, the protocol itself is returned.

        The new method is added to every include rule that lists several of its kind. A rule with a
        single name is meant for that one alone.
        """
        if name in {choice.called for choice in self.choices[kind]}:
            return self
        include = tuple(
            rule.model_copy(update={kind: (*listed, name)})
            if len(listed := getattr(rule, kind)) > 1
            else rule
            for rule in self.include
        )
        return self.model_copy(
            update={f"{kind}s": (*self.choices[kind], Choice(name=name)), "include": include}
        )

    @property
    def id(self) -> str:
        """The name and the version, as they stand in keys and results."""
        return f"{self.name}@{self.version}"

    @property
    def choices(self) -> dict[str, tuple[Choice, ...]]:
        """The chosen plugins of each kind."""
        return {
            "dataset": self.datasets,
            "model": self.models,
            "attack": self.attacks,
            "defense": self.defenses,
        }

    def params_of(self, kind: str, name: str) -> dict[str, Any]:
        """Return the parameters that the protocol sets for a plugin. They are empty if it does not
        mention the plugin.
        """
        return next(
            (dict(choice.params) for choice in self.choices[kind] if choice.name == name), {}
        )


def load_protocol(name: str | Path) -> Protocol:
    """Return the protocol in the file `name`, or the bundled one of that name. Raises
    `ConfigError`.
    """
    given = Path(name)
    path = given if given.suffix in (".yaml", ".yml") else _known().get(str(name))
    if path is None:
        known = known_protocols()
        raise ConfigError(
            "no protocol named "
            f"{str(name)!r}{nearest(str(name), known, 'known: ' + ', '.join(known))}"
        )
    return parse_protocol(read_yaml(path), str(path))


def known_protocols() -> list[str]:
    """Return the names that `load_protocol` knows, sorted."""
    return sorted(_known())


def stored_protocol(identity: str) -> Protocol | None:
    """Return the known protocol with that name and version, or None. The text is never taken for a
    path.
    """
    path = _known().get(identity.rpartition("@")[0])
    found = parse_protocol(read_yaml(path), str(path)) if path else None
    return found if found and found.id == identity else None


def parse_protocol(content: dict[str, Any], where: str) -> Protocol:
    """Return the protocol that the content of a file describes. Raises `ConfigError` for unknown
    keys and for values of another type. where: the name of the file, for messages.
    """
    return parse(Protocol, content, where)


def parse(kind: type[Typed], content: dict[str, Any], where: str) -> Typed:
    """Return the typed content of a file. Raises `ConfigError` with the place of the mistake and,
    for an unknown key, the key that was probably meant.
    """
    try:
        return kind(**content)
    except ConfigError as error:  # an error of a part with messages of its own, such as the recipe
        raise ConfigError(f"{where}: {error}") from None
    except ValidationError as error:
        # A key with a slip is both unknown and missing; that it is unknown says more.
        first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        place, message = (
            ".".join(str(part) for part in first["loc"]),
            first["msg"].removeprefix("Value error, "),
        )
        if first["type"] == "extra_forbidden":
            raise ConfigError(
                f"{where}: unknown key {place!r}{_nearest_key(kind, first['loc'])}"
            ) from None
        if first["type"] == "value_error":
            raise ConfigError(f"{where}: {place + ': ' if place else ''}{message}") from None
        raise ConfigError(
            f"{where}: {place}: {message}, got {shorten(repr(first['input']), 80)}"
        ) from None


def _nearest_key(part: type[BaseModel], place: tuple[int | str, ...]) -> str:
    """Return the end of a message about an unknown key: the key that was probably meant."""
    for step in place[:-1]:
        annotations = {
            field.alias or name: field.annotation for name, field in part.model_fields.items()
        }
        part = _part_in(annotations.get(str(step))) or part
    return nearest(
        str(place[-1]), [field.alias or name for name, field in part.model_fields.items()]
    )


def _part_in(annotation: Any) -> type[BaseModel] | None:
    """Return the class of the parts that a list or a table of this type holds, or None."""
    if isinstance(annotation, type) and issubclass(annotation, YamlPart):
        return annotation
    return next((part for inner in get_args(annotation) if (part := _part_in(inner))), None)


def _known() -> dict[str, Path]:
    """Return the paths of the protocols by name. Those in `leaderboard/protocols` of the current
    folder take precedence over the bundled ones.
    """
    folders = (Path(__file__).parents[1] / "protocols", Path("leaderboard/protocols"))
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}

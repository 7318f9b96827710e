"""Published numbers that cells are compared with: typed YAML with source, setting and bar. Figures
are percent, as published.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from benchbd.errors import ConfigError, nearest
from benchbd.options import read_yaml
from benchbd.record.keys import UNDEFENDED
from benchbd.running.protocol import ChoiceOrName, YamlPart, parse


class Source(YamlPart):
    """The publication in which the numbers stand. seeds: the number of runs of which each number is
    the mean.
    """

    title: str
    authors: str
    url: str
    seeds: int = Field(ge=1)


class PaperSetting(YamlPart):
    """The setting that cells must have to be compared with the numbers: one version of a protocol,
    and the facts that stand for it.
    """

    protocol: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*@[0-9]+$")
    dataset: ChoiceOrName
    model: ChoiceOrName
    poison_ratio: float = Field(gt=0, le=1)
    epochs: int = Field(ge=1)
    clean_budget: float = Field(gt=0, le=1)


class OtherProtocol(YamlPart):
    """Another protocol, in any version, whose cells are shown as orientation, and how
    it differs.
    """

    protocol: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    differs: str


class Bar(YamlPart):
    """The number of points by which a figure may differ and still count as reproduced."""

    acc: float = Field(gt=0, le=100)
    asr: float = Field(gt=0, le=100)


class Bars(YamlPart):
    """The bars of a table of published numbers, one for attacked models and one for what defenses
    leave.
    """

    undefended: Bar
    defended: Bar

    def of(self, defense: str) -> Bar:
        """Return the bar for the numbers of a defense."""
        return self.undefended if defense == UNDEFENDED else self.defended


class PublishedMethod(YamlPart):
    """A method by its published name. `params` are those it must have here; `note` names one of the
    notes.
    """

    published: str
    params: dict[str, Any] = Field(default_factory=dict)
    differs: str = ""
    note: str = ""


class PublishedFigures(YamlPart):
    """The published figures of one attack against one defense."""

    acc: float = Field(ge=0, le=100)
    asr: float = Field(ge=0, le=100)
    rc: float | None = Field(None, ge=0, le=100)


class UnusedNumbers(YamlPart):
    """Published numbers that are not used as targets, and the reason."""

    published: str
    why: str


class KnownImages(YamlPart):
    """Images that are known by the first digits of their fingerprints."""

    images: str
    train: str = Field(pattern=r"^[0-9a-f]{12}$")
    test: str = Field(pattern=r"^[0-9a-f]{12}$")


class DataNotes(YamlPart):
    """Facts about the images from which the results here are made. `effect_on_acc` is empty until
    it has been measured.
    """

    about: str
    effect_on_acc: str = ""
    copies: tuple[KnownImages, ...] = ()


class PublishedTable(YamlPart):
    """One published table. `attacks` and `defenses` name the methods that `targets` (attack, then
    defense) speaks of.
    """

    name: str
    source: Source
    setting: PaperSetting
    beside: OtherProtocol
    bars: Bars
    attacks: dict[str, PublishedMethod]
    defenses: dict[str, PublishedMethod]
    notes: dict[str, str] = Field(default_factory=dict)
    left_out: tuple[UnusedNumbers, ...] = ()
    data: DataNotes
    targets: dict[str, dict[str, PublishedFigures]]

    @model_validator(mode="after")
    def _require_known(self) -> Self:
        """Refuse a target or a mark that nothing in the file explains, because it is a typing
        error.
        """
        marks = {
            called.note: None
            for called in (*self.attacks.values(), *self.defenses.values())
            if called.note
        }
        met = dict.fromkeys(defense for row in self.targets.values() for defense in row)
        for kind, names, known in (
            ("attack", self.targets, self.attacks),
            ("defense", met, self.defenses),
            ("note", marks, self.notes),
        ):
            for name in names:
                if name not in known:
                    raise ValueError(
                        f"no {kind} {name!r} is described{nearest(name, known)}; there is "
                        f"{', '.join(known)}"
                    )
        return self


def load_published(place: Path) -> list[PublishedTable]:
    """Return the tables of a file, or of all YAML files of a folder by name. Raises
    `ConfigError`.
    """
    paths = sorted(place.glob("*.yaml")) if place.is_dir() else [place]
    if not paths:
        raise ConfigError(
            f"no published numbers in {place}; expected YAML files there, or the path of one"
        )
    return [parse(PublishedTable, read_yaml(path), str(path)) for path in paths]

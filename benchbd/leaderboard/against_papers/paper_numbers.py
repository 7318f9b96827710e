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
from benchbd.running.protocol import ChoiceOrName, Part, parse


class Source(Part):
    """Where the numbers stand, and how many runs each of them is of."""

    title: str
    authors: str
    url: str
    seeds: int = Field(ge=1)


class PaperSetting(Part):
    """The setting that cells must have to be compared with the numbers: a protocol in one version,
    and what that means.
    """

    protocol: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*@[0-9]+$")
    dataset: ChoiceOrName
    model: ChoiceOrName
    poison_ratio: float = Field(gt=0, le=1)
    epochs: int = Field(ge=1)
    clean_budget: float = Field(gt=0, le=1)


class Beside(Part):
    """Another protocol, in any version, whose cells are shown as orientation, and how
    it differs.
    """

    protocol: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    differs: str


class Bar(Part):
    """By how many points a figure may differ and still count as reproduced."""

    acc: float = Field(gt=0, le=100)
    asr: float = Field(gt=0, le=100)


class Bars(Part):
    """The bars of a table of published numbers, one for attacked models and one for what defenses
    leave.
    """

    undefended: Bar
    defended: Bar

    def of(self, defense: str) -> Bar:
        """Return the bar for the numbers of a defense."""
        return self.undefended if defense == UNDEFENDED else self.defended


class PublishedMethod(Part):
    """A method by its published name. `params` are those it must have here; `note` names one of the
    notes.
    """

    published: str
    params: dict[str, Any] = Field(default_factory=dict)
    differs: str = ""
    note: str = ""


class Figures(Part):
    """The published figures of one attack against one defense."""

    acc: float = Field(ge=0, le=100)
    asr: float = Field(ge=0, le=100)
    rc: float | None = Field(None, ge=0, le=100)


class LeftOut(Part):
    """Published numbers that are not used as targets, and why."""

    published: str
    why: str


class Copy(Part):
    """Images that are known by the first digits of their fingerprints."""

    images: str
    train: str = Field(pattern=r"^[0-9a-f]{12}$")
    test: str = Field(pattern=r"^[0-9a-f]{12}$")


class Data(Part):
    """What is known about the images that results here are made of. `effect_on_acc` is empty until
    it has been measured.
    """

    about: str
    effect_on_acc: str = ""
    copies: tuple[Copy, ...] = ()


class Published(Part):
    """One published table. `attacks` and `defenses` name the methods that `targets` (attack, then
    defense) speaks of.
    """

    name: str
    source: Source
    setting: PaperSetting
    beside: Beside
    bars: Bars
    attacks: dict[str, PublishedMethod]
    defenses: dict[str, PublishedMethod]
    notes: dict[str, str] = Field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()
    data: Data
    targets: dict[str, dict[str, Figures]]

    @model_validator(mode="after")
    def _require_known(self) -> Self:
        """Refuse a target or a mark that nothing explains: it is a slip of the pen."""
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


def load_published(place: Path) -> list[Published]:
    """Return the tables of a file, or of all YAML files of a folder by name. Raises
    `ConfigError`.
    """
    paths = sorted(place.glob("*.yaml")) if place.is_dir() else [place]
    if not paths:
        raise ConfigError(
            f"no published numbers in {place}; expected YAML files there, or the path of one"
        )
    return [parse(Published, read_yaml(path), str(path)) for path in paths]

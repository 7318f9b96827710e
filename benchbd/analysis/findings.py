"""What an analysis returns: numbers, tables, and pictures as data, which the core draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

Better = Literal["higher", "lower", "neither"]
"""Which way a number is good for the defender."""


@dataclass(frozen=True)
class Measure:
    """What one number of an analysis means.

    meaning: a sentence in lower case without its stop, with the unit. low, high: its range; None
    where it has no bound. better: which way it is good for the defender.

    >>> Measure("share of the heat that lies on changed pixels", low=0, high=1, better="lower")
    Measure(meaning='share of the heat that lies on changed pixels', low=0, high=1, better='lower')
    """

    meaning: str
    low: float | None = None
    high: float | None = None
    better: Better = "neither"


@dataclass(frozen=True, eq=False)
class Scatter:
    """Points in a plane, one panel a model.

    panels: points (N, 2) by the name of the model. groups: which of `names` each point belongs to,
    (N,) int64, the same in all panels. caption: how to read it, in whole sentences. marked: names
    of groups that are drawn in black over the others.

    >>> Scatter({"backdoored": torch.rand(3, 2)}, torch.tensor([0, 0, 1]), ("clean", "poisoned"),
    ...     caption="Points that lie together have similar features.").names
    ('clean', 'poisoned')
    """

    panels: Mapping[str, Tensor]
    groups: Tensor
    names: Sequence[str]
    caption: str
    marked: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Lines:
    """Curves over one axis.

    places: the values on the axis (P,), or a word for each. curves: heights (P,) by name; NaN where
    there is none. axis, height: what the two axes show. caption: how to read it, in whole
    sentences. span: heights that are shown in any case, such as 0 and 1 for shares, so that a small
    difference looks small.

    >>> Lines([1.0, 2.0], {"backdoored": torch.tensor([0.2, 0.9])}, "strength", "ASR",
    ...     caption="A flat curve is good.").axis
    'strength'
    """

    places: Sequence[float] | Sequence[str]
    curves: Mapping[str, Tensor]
    axis: str
    height: str
    caption: str
    span: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class Histogram:
    """How values are spread, one panel a model.

    panels: by the name of the model the values (N,) of each group, by its name. axis: what the
    values are. caption: how to read it, in whole sentences.

    >>> Histogram({"backdoored": {"clean": torch.rand(9)}}, "score", caption="...").axis
    'score'
    """

    panels: Mapping[str, Mapping[str, Tensor]]
    axis: str
    caption: str


@dataclass(frozen=True, eq=False)
class Grid:
    """Tables of shares that are shown by their brightness, one panel each.

    panels: shares (R, C) from 0 to 1, by the title of the panel. rows, columns: the names of rows
    and columns. caption: how to read it, in whole sentences.

    >>> Grid({"clean images": torch.eye(2)}, ("cat", "dog"), ("cat", "dog"), caption="...").rows
    ('cat', 'dog')
    """

    panels: Mapping[str, Tensor]
    rows: Sequence[str]
    columns: Sequence[str]
    caption: str


@dataclass(frozen=True, eq=False)
class Overlay:
    """Maps that lie over images, one row a model; all rows show the same images.

    images: uint8 (N, C, H, W). rows: maps (N, H, W), at least 0, by the name of the row; a row has
    one scale of colours. titles: a word for each image. caption: how to read it, in whole
    sentences.

    >>> pictures = Overlay(test.images[:2], {"backdoored": torch.rand(2, 32, 32)}, ("a", "b"),
    ...     caption="Bright places count for the prediction.")
    >>> list(pictures.rows)
    ['backdoored']
    """

    images: Tensor
    rows: Mapping[str, Tensor]
    titles: Sequence[str]
    caption: str


Picture = Scatter | Lines | Histogram | Grid | Overlay
"""A picture as data, of one of five forms.

>>> issubclass(Scatter, Picture)
True
"""


@dataclass(frozen=True, eq=False)
class Findings:
    """What an analysis has found.

    numbers: for each model by its name, the measures of the analysis by theirs; a measure that does
    not exist for a model is left out. tables: rows of plain values by the name of the table.
    pictures: by name. notes: plain values that are recorded too.

    >>> Findings({"backdoored": {"lift": 2.5}}).numbers["backdoored"]["lift"]
    2.5
    """

    numbers: Mapping[str, Mapping[str, float]]
    tables: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

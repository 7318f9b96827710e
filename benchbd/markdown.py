"""Tables in Markdown, for documentation pages and for the board."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 99) -> str:
    """Return a table of cells that are Markdown themselves. texts: how many of the first columns
    hold texts, which stand at the left; those after them hold figures, which stand at the right.
    """
    from tabulate import tabulate  # here, since most commands print no such table

    sides = ["left" if place < texts else "right" for place in range(len(header))]
    whole = [[one_cell(cell) for cell in row] for row in rows]
    names = [one_cell(name) for name in header]
    table = tabulate(whole, names, tablefmt="pipe", colalign=sides, disable_numparse=True)
    return str(table)


def one_cell(text: str) -> str:
    """Return the text in a form that stays within one cell: without bars and line ends, which would
    end the cell.
    """
    return text.replace("\\|", "|").replace("|", "\\|").replace("\n", " ")

from __future__ import annotations

import pytest

from benchbd.data.class_number import class_number
from benchbd.errors import ConfigError, DataNote

NAMES = ("ant", "bee", "cat")


def test_a_number_and_a_name_mean_the_same_class() -> None:
    assert class_number("bee", NAMES) == class_number("1", NAMES) == 1


def test_a_number_is_a_number_where_a_class_is_called_like_it() -> None:
    with pytest.warns(DataNote, match=r"2 is the class of that number, '10'; .* has the number 1"):
        assert class_number("2", ("1", "2", "10")) == 2


@pytest.mark.parametrize("given", ["dog", "3", "-1", ""])
def test_what_is_no_class(given: str) -> None:
    with pytest.raises(ConfigError, match="a class from 0 to 2 or one of ant, bee, cat, got"):
        class_number(given, NAMES)

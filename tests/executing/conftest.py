"""The tiny matrices of `tests/tiny_matrix.py`, for the tests of this folder."""

from tiny_matrix import matrix_in, notes, plugins, tiny, two_workers

__all__ = ["matrix_in", "notes", "plugins", "tiny", "two_workers"]

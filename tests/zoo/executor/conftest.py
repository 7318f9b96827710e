"""The tiny matrices of `tests/support/tiny_matrix.py`, for the tests of this folder."""

from support.tiny_matrix import matrix_in, notes, plugins, tiny, two_workers

__all__ = ["matrix_in", "notes", "plugins", "tiny", "two_workers"]

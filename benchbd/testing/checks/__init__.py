"""The checks, family by family. Importing this package registers them, in the order in which they
are run.
"""

from benchbd.testing.checks import (
    analysis,  # noqa: F401
    attack,  # noqa: F401
    conduct,  # noqa: F401
    dataset,  # noqa: F401
    declaration,  # noqa: F401
    defense,  # noqa: F401
    detector,  # noqa: F401
    device,  # noqa: F401
    importing,  # noqa: F401
    model,  # noqa: F401
)

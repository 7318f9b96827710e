"""When two runs of one matrix count as equal: the same cells with the same content and the same
predictions.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

UNEQUAL = ("provenance", "cost", "digest")
"""What may differ between two results of the same work."""


def assert_same(expected: Path, found: Path) -> None:
    """The same cells under both `results` folders, apart from `UNEQUAL`, and the same predictions.

    A process that was killed while it wrote may leave the hidden draft of a file; nothing reads
    those.
    """
    theirs, ours = (
        {p.relative_to(f / "results"): p for p in f.glob("results/*/*/*/[!.]*")}
        for f in (expected, found)
    )
    assert theirs.keys() == ours.keys() != set()
    for name, path in theirs.items():
        if path.suffix == ".json":
            assert lasting(path) == lasting(ours[name]), name
        else:
            assert {k: v.tolist() for k, v in load_file(path).items()} == {
                k: v.tolist() for k, v in load_file(ours[name]).items()
            }


def lasting(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_bytes())
    return {name: value for name, value in content.items() if name not in UNEQUAL}

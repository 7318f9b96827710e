"""Fetch the page's libraries from npm into this folder: `python -m
benchbd.leaderboard.render.vendor.fetch`.

`packages.json` names each package with its exact version, the digest of its archive, its licence,
and which of its files are kept under which name, with their digests. Nothing else is taken from the
archive, and none of it is run. To move to another version write it into `packages.json` and run
with --accept, which notes the digests of what came; without it anything but what was noted is
refused. --check looks at the files that are here and fetches nothing.

It needs the npm client on the path, and asks whatever registry that client is set to.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

VENDOR_FOLDER = Path(__file__).parent
LIST = VENDOR_FOLDER / "packages.json"


class FetchRefused(Exception):
    """A file that was fetched, or one that lies here, is not the one whose digest was noted."""


def main(words: list[str] | None = None) -> int:
    """Fetch all packages, or check what is here. Returns 1 when something is not as noted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--accept",
        action="store_true",
        help="note the digests of what comes instead of insisting on them",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="only hold the files that are here against their digests",
    )
    chosen = parser.parse_args(words)
    packages = json.loads(LIST.read_text(encoding="utf-8"))
    try:
        for package in packages:
            check_package(package) if chosen.check else fetch(package, chosen.accept)
    except (FetchRefused, OSError, subprocess.SubprocessError, tarfile.TarError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if chosen.accept:
        LIST.write_text(json.dumps(packages, indent=2) + "\n", encoding="utf-8")
    return 0


def check_package(package: dict[str, Any], folder: Path = VENDOR_FOLDER) -> None:
    """Raise `FetchRefused` unless every file of the package lies here with the digest that was
    noted.
    """
    for file in package["files"]:
        path = folder / file["name"]
        if not path.is_file() or _sha256(path.read_bytes()) != file["sha256"]:
            raise FetchRefused(
                f"{path} is not the file of {package['name']} {package['version']} that was "
                "noted; fetch it again"
            )


def fetch(package: dict[str, Any], accept: bool) -> None:
    """Put the package's files here. Raises `FetchRefused` when they are not those that
    were noted.
    """
    with tempfile.TemporaryDirectory() as folder:
        archive = _archive(package, Path(folder))
        integrity = (
            "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        )
        _note(package, "integrity", integrity, accept)
        with tarfile.open(archive) as content:
            for file in package["files"]:
                member = content.extractfile(f"package/{file['from']}")
                assert member is not None, "packages.json names files, not folders"
                found = member.read()
                _note(file, "sha256", _sha256(found), accept)
                (VENDOR_FOLDER / file["name"]).write_bytes(found)


def _archive(package: dict[str, Any], folder: Path) -> Path:
    """Return the archive of the package as npm packs it."""
    npm = shutil.which("npm")
    if npm is None:
        raise FetchRefused(
            "no npm on the path; install Node.js, or keep the files that are here (--check)"
        )
    wanted = f"{package['name']}@{package['version']}"
    subprocess.run(  # noqa: S603
        [npm, "pack", wanted, "--silent", "--pack-destination", str(folder)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return next(folder.glob("*.tgz"))


def _note(about: dict[str, Any], field: str, found: str, accept: bool) -> None:
    if accept:
        about[field] = found
    elif about.get(field) != found:
        raise FetchRefused(
            f"{about['name']}: expected {field} {about.get(field)}, got {found}; if that is "
            "meant, run with --accept"
        )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    sys.exit(main())

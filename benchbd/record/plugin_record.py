"""Plugins as results name them: who provided them, with which parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from benchbd.errors import ConfigError
from benchbd.plugin.loose import LOCAL_FILE
from benchbd.plugin.plugin import Plugin
from benchbd.plugin.provenance import provider_of
from benchbd.record.files import sha256
from benchbd.record.keys import Identity, canonical_json
from benchbd.record.part import StoredPart


class PluginRecord(StoredPart):
    """A plugin as it was used, and who provided it. files: digests of the files that its parameters
    name.
    """

    name: str
    provider: str
    version: str
    results_version: int
    params: dict[str, Any]
    aside: tuple[str, ...] = ()
    files: dict[str, str] = Field(default_factory=dict)

    @classmethod
    def of(cls, plugin: Plugin) -> PluginRecord:
        provider, version = provider_of(type(plugin))
        return cls(
            name=plugin.name,
            provider=provider,
            version=version,
            results_version=plugin.results_version,
            params=plugin.params,
            aside=plugin.aside,
            files=_digests(plugin),
        )

    @property
    def label(self) -> str:
        """The name, with the variant of a provider: `timm:resnet18`."""
        variant = self.params.get("variant")
        return f"{self.name}:{variant}" if variant else self.name

    @property
    def signature(self) -> str:
        """Its provider and its identity as one text."""
        return canonical_json([self.provider, *self.identity()])

    def identity(self) -> Identity:
        """Return what of it is part of a key: versions of packages are not, the version of results
        is.

        A file that somebody is still writing has no version but its digest, so that a change gives
        new results. A file that a parameter names counts by its content, wherever it lies.
        """
        params = {
            name: self.files.get(name, value)
            for name, value in self.params.items()
            if name not in self.aside
        }
        return [
            self.name,
            self.results_version,
            params,
            *([self.version] if self.provider == LOCAL_FILE else []),
        ]


def _digests(plugin: Plugin) -> dict[str, str]:
    """Return digests of the files that parameters name, but for those that only say where something
    lies. Raises `ConfigError`.
    """
    paths = {
        name: getattr(plugin, name)
        for name in type(plugin).model_fields
        if name not in plugin.aside
    }
    return {
        name: _file_digest(plugin, name, path)
        for name, path in paths.items()
        if isinstance(path, Path) and path.is_file()
    }


def _file_digest(plugin: Plugin, name: str, path: Path) -> str:
    try:
        return sha256(path)
    except OSError as error:
        raise ConfigError(
            f"{plugin.name}: {name}: cannot read {path}: {error.strerror}; name another file"
        ) from None

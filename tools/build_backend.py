"""
The build backend of ``pyproject.toml`` (PEP 517): setuptools, and mypyc on request.

With ``REGINFO_COMPILE=1`` the wheel needs mypy, which has mypyc in it, and what the
package imports: mypyc checks types before it compiles.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    build_sdist,
    build_wheel,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

Settings = Mapping[str, Any] | None


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """What must be installed before :func:`build_wheel` is called."""
    if os.environ.get("REGINFO_COMPILE") != "1":
        return list(build_meta.get_requires_for_build_wheel(config_settings))
    # setuptools would run setup.py to find out, which imports mypyc.
    project = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]
    extra = project["optional-dependencies"]["dev"]
    mypy = [requirement for requirement in extra if requirement.startswith("mypy>")]
    return [*mypy, *project["dependencies"]]

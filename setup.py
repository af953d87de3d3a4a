"""
What setuptools cannot read from ``pyproject.toml``: the compiled build.

With ``REGINFO_COMPILE=1`` in the environment, the modules that ``pyproject.toml``
lists under ``[tool.reginfo]`` are compiled with mypyc. Without it the package is pure
Python, and no compiler is needed.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent


def compiled_modules() -> list[str]:
    """The modules to compile, as paths from here."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        modules: list[str] = tomllib.load(file)["tool"]["reginfo"]["compiled"]
    if missing := [module for module in modules if not (ROOT / module).is_file()]:
        sys.exit(f"pyproject.toml, tool.reginfo.compiled: no {', '.join(missing)}")
    return modules


# Built outside of the sources: a `build` directory that stays would put modules that
# are gone by now into the next wheel.
base = tempfile.mkdtemp(prefix="reginfo-build-")
atexit.register(shutil.rmtree, base, ignore_errors=True)

extensions = []
# Not for the other commands: metadata and an editable installation need no compiler.
if os.environ.get("REGINFO_COMPILE") == "1" and "bdist_wheel" in sys.argv:
    modules = compiled_modules()
    from mypyc.build import mypycify

    extensions = mypycify(
        ["--no-warn-unused-ignores", *modules],
        opt_level="3",
        target_dir=base,
    )

setup(ext_modules=extensions, options={"build": {"build_base": base}})

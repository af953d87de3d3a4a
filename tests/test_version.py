"""The version, and the product name that it gives in messages."""

from __future__ import annotations

import re
from pathlib import Path

import reginfo
from reginfo.version import PRODUCT, __version__


def test_the_version_is_one_of_python_packages() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", __version__)
    assert reginfo.__version__ == __version__


def test_the_changelog_has_the_version() -> None:
    """docs: each version says what a user notices."""
    changelog = (Path(__file__).parents[1] / "CHANGELOG.md").read_text("utf-8")
    assert __version__ in changelog or "Unreleased" in changelog


def test_the_product_is_a_token_and_a_version() -> None:
    """RFC 3261 §20.35 and §20.41: product = token [SLASH product-version]."""
    assert re.fullmatch(r"[\w.!%*+`'~-]+/[\w.!%*+`'~-]+", PRODUCT)
    assert PRODUCT.endswith(f"/{__version__}")

"""The version of this package, and the product name that it gives in messages."""

from __future__ import annotations

__version__ = "0.1.0"

PRODUCT = f"reginfo/{__version__}"
"""For Server and User-Agent."""

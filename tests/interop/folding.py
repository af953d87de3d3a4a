"""``reginfo`` that folds its journal again and again: to be killed in it."""

from __future__ import annotations

import runpy

from reginfo.io import commit
from reginfo.ledger import sqlite

if __name__ == "__main__":
    commit.FOLD_AFTER = 0.05
    sqlite.CHECKPOINT_PAGES = 50
    runpy.run_module("reginfo", run_name="__main__")

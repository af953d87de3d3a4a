"""``reginfo`` that folds its journal five times a second: to be killed in it."""

from __future__ import annotations

import runpy

from reginfo.server import commit

if __name__ == "__main__":
    commit.FOLD_AFTER = 0.2
    runpy.run_module("reginfo", run_name="__main__")

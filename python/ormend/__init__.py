"""The command `ormend` as a package: `find_ormend()` says where its binary is, and `python -m ormend` runs it."""

from __future__ import annotations

import os
import sysconfig
from importlib.metadata import Distribution
from typing import Iterator

__all__ = ["find_ormend"]


def find_ormend() -> str:
    """Return the path of the binary that was installed with this package.

    Raises `FileNotFoundError`, which says where it was looked for.
    """
    looked_at = []
    for path in _candidates():
        if os.path.isfile(path):
            return path
        if path not in looked_at:
            looked_at.append(path)
    raise FileNotFoundError("the binary of ormend is at none of " + ", ".join(looked_at) + "; install ormend again")


def _candidates() -> Iterator[str]:
    """Where the binary may be: first where this very package was installed to, then where this interpreter has its scripts."""
    name = "ormend" + (sysconfig.get_config_var("EXE") or "")
    packages = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    # With `--target`, pip moves scripts there and does not say so in the record.
    yield os.path.join(packages, "bin", name)
    # An environment, `--user`, `--prefix` and what distributions make of them: the record knows.
    for distribution in Distribution.discover(name="ormend", path=[packages]):
        for file in distribution.files or ():
            if file.name == name:
                yield os.path.abspath(os.path.join(packages, str(file)))
    # An editable install has its record elsewhere.
    yield os.path.join(sysconfig.get_path("scripts"), name)
    yield os.path.join(sysconfig.get_path("scripts", f"{os.name}_user"), name)

"""`python -m ormend` is `ormend`."""

from __future__ import annotations

import os
import subprocess
import sys

from ormend import find_ormend


def main() -> int:
    """Run the binary with the arguments of this process, in its place where the system can, and return its status."""
    try:
        ormend = find_ormend()
    except FileNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    command = [ormend, *sys.argv[1:]]
    if os.name == "nt":
        # `exec` of Windows starts a process beside this one, and the shell would not wait for it.
        try:
            return subprocess.run(command).returncode
        except KeyboardInterrupt:
            return 130
    os.execv(ormend, command)


if __name__ == "__main__":
    sys.exit(main())

"""Run `ormend fix` over every repository that all-repos has cloned, and push what it changed.

Needs `pip install all-repos`, and an all-repos.json that says where the repositories come from and how a branch is pushed
(directly, or as a pull request): https://github.com/asottile/all-repos

    all-repos-clone
    python all_repos_ormend.py --dry-run
    python all_repos_ormend.py --fix-args='--select select-related' --check='python -m pytest -q'

Each repository is fixed in a clone of its own. One in which a fix could not be written, or whose check fails, is reported and
left as it is; the others go on.
"""

from __future__ import annotations

import argparse
import functools
import os
import shlex
from collections.abc import Sequence

from all_repos import autofix_lib
from all_repos.config import Config


def find_repos(config: Config) -> list[str]:
    return [os.path.join(config.output_dir, repo) for repo in config.get_cloned_repos()]


def apply_fix(ormend: str, fix_args: list[str]) -> None:
    autofix_lib.run(ormend, 'fix', *fix_args)


def check_fix(command: list[str]) -> None:
    if command:
        autofix_lib.run(*command)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    autofix_lib.add_fixer_args(parser)
    parser.add_argument('--ormend', default='ormend', help='the command (default: %(default)s)')
    parser.add_argument('--fix-args', type=shlex.split, default=[], help='flags of `ormend fix`, as one word')
    parser.add_argument('--check', type=shlex.split, default=[], help='a command that must succeed before a commit')
    parser.add_argument('--message', default='Fix slow Django ORM queries\n\nFound and fixed by `ormend fix`.')
    parser.add_argument('--branch', default='ormend', help='the end of the name of the branch (default: %(default)s)')
    args = parser.parse_args(argv)

    repos, config, commit, settings = autofix_lib.from_cli(
        args, find_repos=find_repos, msg=args.message, branch_name=args.branch,
    )
    autofix_lib.fix(
        repos,
        apply_fix=functools.partial(apply_fix, args.ormend, args.fix_args),
        check_fix=functools.partial(check_fix, args.check),
        config=config, commit=commit, autofix_settings=settings,
    )
    return 0


if __name__ == '__main__':
    raise SystemExit(main())

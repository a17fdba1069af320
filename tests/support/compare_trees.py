"""Compare Python files before and after a rewrite: `compare_trees.py BEFORE AFTER`, two folders with the same paths.

Prints one line a problem: a file that parsed and no longer does, a comment that is gone. Files that are the same
bytes are not looked at; neither are files that this Python never understood.
"""

import ast
import collections
import io
import pathlib
import sys
import tokenize
import warnings

warnings.simplefilter("ignore")


def comments(data):
    tokens = tokenize.tokenize(io.BytesIO(data).readline)
    return collections.Counter(token.string.rstrip() for token in tokens if token.type == tokenize.COMMENT)


def problems(old, new):
    try:
        ast.parse(old)
        before = comments(old)
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError):
        return
    try:
        ast.parse(new)
        after = comments(new)
    except (SyntaxError, ValueError, tokenize.TokenError) as error:
        yield f"does not parse any more: {error}"
        return
    for comment, count in (before - after).items():
        yield f"lost {count}x the comment {comment!r}"


def main():
    before, after = map(pathlib.Path, sys.argv[1:])
    for path in sorted(after.rglob("*.py")):
        name = path.relative_to(after)
        original = before / name
        if not original.is_file() or path.is_symlink():
            continue
        old, new = original.read_bytes(), path.read_bytes()
        if old != new:
            for problem in problems(old, new):
                print(f"{name}: {problem}")


main()

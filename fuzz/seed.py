#!/usr/bin/env python3
"""Fill fuzz/corpus: what the targets start from.

`fix` starts from the code of every codemod's cases and from modules of real projects, `apply` from plans of fuzz/project.

    fuzz/seed.py ORMEND [PROJECT]...
"""

import json
import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
# Fences of code that is looked at: their first word is python, their second says what becomes of it.
FENCE = re.compile(r"^```python (?:before|after|same|check)?[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Longer ones are slow to mutate.
LARGEST = 6000
# Of one project, so that none crowds out the others.
MOST = 30
# Of the cases, so that there is time left for what is made of the seeds.
MOST_CASES = 1000


def main(ormend: str, projects: list[str]) -> None:
    fix = []
    for page in sorted(ROOT.glob("codemods/**/*.md")):
        fix += [code.encode() for code in FENCE.findall(page.read_text()) if "objects" in code]
    fix = spread(sorted(set(fix)), MOST_CASES)
    for project in projects:
        fix += modules(Path(project))
    store("fix", fix)
    plans = []
    for flags in ([], ["--unsafe-fixes"], ["--select", "exists"], ["--select", "select-related"], ["--select", "aggregate"]):
        run = subprocess.run([ormend, "plan", *flags], cwd=HERE / "project", check=True, capture_output=True)
        plan = json.loads(run.stdout)
        plans.append(json.dumps(plan, separators=(",", ":")).encode())
        for one in plan["fixes"]:
            part = {**plan, "fixes": [{**one, "selected": True}]}
            plans.append(json.dumps(part, separators=(",", ":")).encode())
    store("apply", plans)


def modules(project: Path) -> list[bytes]:
    """Modules that read or write models, and their beginnings."""
    found = []
    for file in sorted(project.rglob("*.py")):
        code = file.read_bytes()
        if b".objects." in code and b"import" in code:
            found.append(code[:LARGEST].rsplit(b"\n\n\n", 1)[0] + b"\n")
    return spread(found, MOST)


def spread(seeds: list[bytes], most: int) -> list[bytes]:
    """At most about `most` of them, from everywhere."""
    return seeds[:: max(1, len(seeds) // most)]


def store(target: str, seeds: list[bytes]) -> None:
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        (folder / sha256(seed).hexdigest()[:16]).write_bytes(seed)
    print(f"{target}: {len(seeds)} seeds")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

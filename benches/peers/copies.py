"""Copy a project several times, each copy with names of its own: `copies.py FROM TO PACKAGE TIMES`

Copy 3 of `wagtail` is the package `wagtail_3`, its apps have labels that end in `_3`, and its templates are in directories of
that name, so that each copy has its own models and readers. All of it is plain text, replaced the same way everywhere.
"""

import pathlib
import re
import sys

source, target, package, times = sys.argv[1:]
source, target = pathlib.Path(source), pathlib.Path(target)
texts = {}
for file in sorted((source / package).rglob("*")):
    if file.is_file():
        texts[file.relative_to(source)] = file.read_bytes().decode("utf-8", "surrogateescape")

CONFIG = re.compile(r"^(?P<indent>[ \t]+)name\s*=\s*['\"](?P<name>[\w.]+)['\"]", re.M)
LABEL = re.compile(r"^(?P<start>[ \t]+label\s*=\s*['\"])(?P<label>\w+)", re.M)

labels, entries = set(), set()
for path, text in texts.items():
    if path.name == "apps.py":
        labels.update(match["label"] for match in LABEL.finditer(text))
        labels.update(match["name"].rpartition(".")[2] for match in CONFIG.finditer(text))
    if "templates" in path.parts[:-1]:
        # What stands directly in a directory of templates: the first part of the names of those below.
        entries.add(path.parts[path.parts.index("templates") + 1])


def alternatives(words):
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True)) or "(?!)"


PACKAGE = re.compile(rf"\b{re.escape(package)}\b")
# "app.Model" in a relation, and the label alone where it can be nothing else.
MODEL = re.compile(rf"(['\"])({alternatives(labels)})(?=\.[A-Z]\w*\1)")
ALONE = re.compile(rf"(app_label\s*=\s*|get_model\(\s*|get_app_config\(\s*)(['\"])({alternatives(labels)})(?=\2)")
directories, files = {name for name in entries if "." not in name}, {name for name in entries if "." in name}
TEMPLATE = re.compile(rf"(['\"])(?:({alternatives(directories)})(?=/)|({alternatives(files)})(?=\1))")


def renamed(path, number):
    parts = [f"{part}_{number}" if part == package else part for part in path.parts]
    if "templates" in parts[:-1]:
        at = parts.index("templates") + 1
        parts[at] = of_template(parts[at], number)
    return pathlib.Path(*parts)


def of_template(name, number):
    stem, dot, ending = name.partition(".")
    return f"{stem}_{number}{dot}{ending}"


def rewritten(path, text, number):
    text = TEMPLATE.sub(lambda m: m[1] + of_template(m[2] or m[3], number), text)
    if path.suffix == ".py":
        text = MODEL.sub(rf"\1\2_{number}", text)
        text = ALONE.sub(rf"\1\2\3_{number}", text)
        if path.name == "apps.py":
            text = with_label(text, number)
    return PACKAGE.sub(f"{package}_{number}", text)


def with_label(text, number):
    """The configurations of apps in `text`, each with its own label."""
    if LABEL.search(text):
        return LABEL.sub(rf"\g<start>\g<label>_{number}", text)
    add = lambda m: f"{m['indent']}label = \"{m['name'].rpartition('.')[2]}_{number}\"\n{m[0]}"
    return CONFIG.sub(add, text)


for number in range(1, int(times) + 1):
    for path, text in texts.items():
        file = target / renamed(path, number)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(rewritten(path, text, number).encode("utf-8", "surrogateescape"))

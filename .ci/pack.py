"""Make the files of a release: `pack.py DIST EXTRA OUT`.

Of each wheel in DIST, an archive of its binary with what is in EXTRA (completions, manual pages), the licence and the notes; the
source distribution as it is; and SHA256SUMS of all of them. Equal input gives equal files.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

NOTES = ("CHANGELOG.md", "LICENSE", "README.md")


def main(dist: Path, extra: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    root = Path(__file__).resolve().parent.parent
    common = {name: (root / name).read_bytes() for name in NOTES}
    for path in sorted(extra.rglob("*")):
        if path.is_file():
            common[path.relative_to(extra).as_posix()] = path.read_bytes()
    wheels = sorted(dist.glob("*.whl"))
    sdists = sorted(dist.glob("*.tar.gz"))
    if not wheels or len(sdists) != 1:
        sys.exit(f"error: {dist} must hold wheels and one source distribution")
    for wheel in wheels:
        pack(wheel, common, out)
    (out / sdists[0].name).write_bytes(sdists[0].read_bytes())
    files = sorted(path for path in out.iterdir() if path.name != "SHA256SUMS")
    sums = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)
    (out / "SHA256SUMS").write_text(sums, encoding="utf-8", newline="\n")


def pack(wheel: Path, common: dict[str, bytes], out: Path) -> None:
    """Write `ormend-VERSION-PLATFORM.tar.gz`, or `.zip` for Windows, with one directory of that name in it."""
    name, version, _, _, platform = wheel.stem.split("-")
    # Wheels of Linux name several platforms, the oldest first.
    top = f"{name}-{version}-{platform.split('.')[0]}"
    with zipfile.ZipFile(wheel) as archive:
        (script,) = (path for path in archive.namelist() if ".data/scripts/" in path)
        binary = PurePosixPath(script).name
        files = {**common, binary: archive.read(script)}
    if binary.endswith(".exe"):
        with zipfile.ZipFile(out / f"{top}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path, data in sorted(files.items()):
                archive.writestr(zipfile.ZipInfo(f"{top}/{path}"), data, zipfile.ZIP_DEFLATED)
        return
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, data in sorted(files.items()):
            entry = tarfile.TarInfo(f"{top}/{path}")
            entry.size = len(data)
            entry.mode = 0o755 if path == binary else 0o644
            archive.addfile(entry, io.BytesIO(data))
    (out / f"{top}.tar.gz").write_bytes(gzip.compress(packed.getvalue(), compresslevel=6, mtime=0))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(f"usage: {Path(sys.argv[0]).name} DIST EXTRA OUT")
    main(*map(Path, sys.argv[1:]))

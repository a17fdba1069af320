"""Unpack the files of a wheel that end in one of SUFFIXES into each of FOLDERS:
`unpack.py WHEEL SUFFIX,SUFFIX FOLDER...`"""

import pathlib
import sys
import zipfile

wheel, suffixes, *folders = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        if name.endswith(tuple(suffixes.split(","))):
            for folder in folders:
                archive.extract(name, pathlib.Path(folder))

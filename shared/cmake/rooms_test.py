#!/usr/bin/env python3
"""usage: rooms_test.py NM LIBRARY.a…

That the rooms of shared/ stand above each other: no library uses one that uses it, and within a library no file one
that uses it, however far around. What a file uses are the symbols that it does not define.
"""

import pathlib
import re
import subprocess
import sys


def symbols(nm, library):
    """What each file of a library defines, and what it needs."""
    files, file = {}, None
    for line in subprocess.run([nm, "-P", library], capture_output=True, text=True, check=True).stdout.splitlines():
        head = re.fullmatch(r".*\[(.*)\.o\]:", line)
        if head:
            file = files.setdefault(head[1], (set(), set()))
        else:
            name, kind = line.split()[:2]
            if kind.isupper():  # the others are nobody else's
                file[kind == "U"].add(name)
    return files


def circle(uses):
    """Names that lead back to the first of them; None: there are none."""
    done = set()

    def walk(name, path):
        if name in path:
            return path[path.index(name):] + [name]
        if name in done:
            return None
        done.add(name)
        return next(filter(None, (walk(other, path + [name]) for other in sorted(uses[name]))), None)

    return next(filter(None, (walk(name, []) for name in sorted(uses))), None)


def main():
    nm, *libraries = sys.argv[1:]
    home, files = {}, {}
    for library in libraries:
        room = pathlib.Path(library).stem.removeprefix("libinsideout_")
        for name, (defined, needed) in symbols(nm, library).items():
            files[room, name] = needed
            home |= {symbol: (room, name) for symbol in defined}
    uses = {file: {home[s] for s in needed if s in home} - {file} for file, needed in files.items()}
    rooms = {room: {other for file in uses if file[0] == room for other, _ in uses[file]} - {room} for room, _ in files}
    found = circle(rooms), circle({file: {o for o in others if o[0] == file[0]} for file, others in uses.items()})
    for around in filter(None, found):
        print("a circle:", " → ".join(str(name) for name in around))
    print(f"{len(rooms)} rooms, {len(files)} files")
    sys.exit(any(found) or len(files) < 2 * len(rooms))


main()

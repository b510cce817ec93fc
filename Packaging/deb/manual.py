#!/usr/bin/env python3
"""Names manual pages as Debian's tools look for them: `manual.py FROM TO`.

swift-argument-parser writes berth.network.create.1, which man takes for a page of the section "create"; here it is
berth-network-create.1, and its first name, by which apropos finds it, is the file's.
"""
import pathlib
import re
import sys


def page(text, name):
    lines, words = [], name.replace("-", " ")
    section = ""
    for line in text.splitlines():
        if line.startswith(".Sh "):
            section = line[4:].strip('"')
        if not line.strip():
            line = ".Pp"
        elif line.startswith(".Dt "):
            line = f".Dt {name.upper()} {line.rsplit(' ', 1)[1]}"
        elif section == "NAME" and line.startswith(f'.Nm "{words}"'):
            line = f".Nm {name}" + line[len(f'.Nm "{words}"'):]
        elif section == "SYNOPSIS" and line == ".Nm":
            line = f'.Nm "{words}"' if " " in words else line
        elif line.startswith(".Xr "):
            line = re.sub(r"berth[.\w]*", lambda found: found.group(0).replace(".", "-"), line)
            line = re.sub(r"(\d)\.$", r"\1", line)
        elif line.startswith(".Nd "):
            line = line.rstrip('"').rstrip(".").replace('.Nd "', ".Nd ")
        lines.append(line)
    return "\n".join(lines) + "\n"


source, target = map(pathlib.Path, sys.argv[1:])
target.mkdir(parents=True, exist_ok=True)
for path in sorted(source.iterdir()):
    name, section = path.name.rsplit(".", 1)
    name = name.replace(".", "-")
    (target / f"{name}.{section}").write_text(page(path.read_text(), name))

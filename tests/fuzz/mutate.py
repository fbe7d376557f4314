"""Damage to files and folders, drawn from a seeded generator."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import struct
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random

ESCAPE = "\x1b[31mred\x1b]0;title\x07"
ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1,
    255,
    2**31,
    2**63,
    10**30,
    1e308,
    -1e308,
    float("nan"),
    float("inf"),
    "",
    "x" * 70_000,
    ESCAPE,
    "../../outside/a.txt",
    "/dev/zero",
    "0001-01-01T00:00:00",
    "2024-05-01T00:00:00",
    "9999-12-31T23:59:59-14:00",
    [],
    {},
    [[]],
    [{}],
    [None],
    {"name": []},
    [[[[[[[[1]]]]]]]],
)
NUMBERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
MIB = 2**20


def mutate_case(case: Path, rng: Random, outside: Path) -> None:
    """Damage a file, or something in a folder, once to three times."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if case.is_dir() and not case.is_symlink():
            mutate_tree(case, rng, outside)
        elif case.is_file():
            mutate_file(case, rng)


def mutate_tree(root: Path, rng: Random, outside: Path) -> None:
    """Damage one file of a folder, or put something else in its place."""
    everything = sorted(root.rglob("*"))
    files = [p for p in everything if p.is_file() and not p.is_symlink()]
    if not files:
        return
    if rng.random() < 0.75:
        named = [p for p in files if p.suffix in (".json", ".jsonl", ".csv", ".xml")]
        mutate_file(rng.choice(named if named and rng.random() < 0.6 else files), rng)
        return
    chosen = rng.choice(everything if rng.random() < 0.3 else files)
    rng.choice(REPLACEMENTS)(chosen, rng, outside)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _gone(path: Path, rng: Random, outside: Path) -> None:
    _remove(path)


def _pipe(path: Path, rng: Random, outside: Path) -> None:
    _remove(path)
    os.mkfifo(path)


def _folder(path: Path, rng: Random, outside: Path) -> None:
    _remove(path)
    path.mkdir()


def _device(path: Path, rng: Random, outside: Path) -> None:
    _remove(path)
    path.symlink_to(rng.choice(("/dev/zero", "/dev/full", "/dev/stdin")))


def _link(path: Path, rng: Random, outside: Path) -> None:
    inside = path.is_dir()
    _remove(path)
    path.symlink_to(outside if inside else outside / rng.choice(("a.txt", "not-there")))


def _moved_out(path: Path, rng: Random, outside: Path) -> None:
    target = outside / f"moved-{path.name}"
    if target.exists():
        return
    shutil.move(path, target)
    path.symlink_to(target)


def _renamed(path: Path, rng: Random, outside: Path) -> None:
    name = rng.choice(
        (f"{path.name}.partial", "A b", "con", ".x", ESCAPE.replace("/", ""), "9" * 99)
    )
    if not (path.parent / name).exists():
        path.rename(path.parent / name)


def _sparse(path: Path, rng: Random, outside: Path) -> None:
    if path.is_file():
        os.truncate(path, 3 * 1024 * MIB)


def _beside(path: Path, rng: Random, outside: Path) -> None:
    for name in ("0", "Z z", "zarr.json", ESCAPE.replace("/", "")):
        target = path.parent / name
        if not target.exists():
            target.write_bytes(rng.randbytes(20))


REPLACEMENTS: tuple[Callable[[Path, Random, Path], None], ...] = (
    _gone,
    _pipe,
    _folder,
    _device,
    _link,
    _moved_out,
    _renamed,
    _sparse,
    _beside,
)


def mutate_file(path: Path, rng: Random) -> None:
    """Damage one file: its JSON where it holds such, its cells where it is a table, or bytes."""
    data = path.read_bytes() if path.stat().st_size < 64 * MIB else b""
    made = None
    if rng.random() < 0.75:
        if path.suffix in (".json", ".jsonl"):
            made = _json(data, rng)
        elif path.suffix == ".csv":
            made = _cells(data, rng)
        elif path.suffix == ".nrrd":
            made = _header(data, rng)
        elif path.suffix in (".xml", ".txt", ".yaml"):
            made = _words(data, rng)
    if made is None and path.suffix == ".gz" and rng.random() < 0.5:
        made = _repacked(data, rng)
    path.write_bytes(_bytes(data, rng) if made is None else made)


def _bytes(data: bytes, rng: Random) -> bytes:
    out = bytearray(data)
    at = rng.randrange(len(out) + 1)
    if rng.random() < 0.5:  # headers count for more
        at = min(at, rng.randrange(256))
    n = rng.choice((1, 1, 2, 4, 8, 64, 1000))
    match rng.randrange(9):
        case 0:
            for i in rng.sample(range(len(out)), min(n, len(out))):
                out[i] ^= 1 << rng.randrange(8)
        case 1:
            out[at : at + n] = rng.randbytes(n)
        case 2:
            out[at:at] = rng.randbytes(n)
        case 3:
            del out[at : at + n]
        case 4:
            del out[at:]
        case 5:
            out[at:at] = out[at : at + n] * rng.choice((1, 2, 50))
        case 6:
            size, order = rng.choice(((2, "H"), (4, "I"), (8, "Q"))), rng.choice("<>")
            number = rng.choice(NUMBERS) % 2 ** (8 * size[0])
            out[at : at + size[0]] = struct.pack(order + size[1], number)
        case 7:
            out += rng.randbytes(n)
        case _:
            out[at : at + n] = bytes([rng.choice((0, 255))]) * n
    return bytes(out)


def _json(data: bytes, rng: Random) -> bytes | None:
    lines = data.split(b"\n")
    whole = True
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        whole = False
        at = rng.randrange(len(lines))
        try:
            tree = json.loads(lines[at])
        except (ValueError, RecursionError):
            return None
    tree = _changed(tree, rng)
    if rng.random() < 0.03:
        return b"[" * 100_000
    text = json.dumps(tree).encode()
    if whole:
        return text
    lines[at] = text
    return b"\n".join(lines)


def _changed(tree: Any, rng: Random) -> Any:
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        if len(places) > 20_000:
            return
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], (dict, list)):
                walk(node[key])

    if not isinstance(tree, (dict, list)) or not tree or rng.random() < 0.02:
        return rng.choice(ODD)
    walk(tree)
    node, key = rng.choice(places)
    match rng.randrange(8):
        case 0:
            del node[key]
        case 1 if isinstance(node, dict):
            node[f"{key}{rng.choice(('x', '', ESCAPE))}"] = node.pop(key)
        case 2 if isinstance(node, dict):
            node.update({f"unknown-{i}": i for i in range(rng.choice((1, 3000)))})
        case 3 if isinstance(node, list):
            node.extend([node[key]] * rng.choice((1, 1000)))
        case 4:
            other, name = rng.choice(places)
            node[key] = json.loads(json.dumps(other.get(name) if isinstance(other, dict) else None))
        case _:
            node[key] = json.loads(json.dumps(rng.choice(ODD)))
    return tree


CELLS = ("", "nan", "inf", "-1", "1e999", "x", ESCAPE, '"', "a" * 200_000, "2024", "clip-1 clip-1")


def _cells(data: bytes, rng: Random) -> bytes | None:
    rows = [line.split(b",") for line in data.split(b"\n")]
    row = rng.choice(rows)
    match rng.randrange(5):
        case 0:
            row[rng.randrange(len(row))] = rng.choice(CELLS).encode()
        case 1:
            row.insert(0, b"more")
        case 2:
            row.pop()
        case 3:
            rows += [list(row)] * rng.choice((1, 2000))
        case _:
            rows.remove(row)
    return b"\n".join(b",".join(r) for r in rows)


_WORD = re.compile(rb'(?<=")[^"<>]*(?=")|[^\s"<>]+')
"""A value in quotation marks, or what stands between spaces."""


def _words(data: bytes, rng: Random) -> bytes | None:
    """Change a word of a text, or lines of it."""
    words = list(_WORD.finditer(data))
    if not words:
        return None
    lines = data.split(b"\n")
    line = rng.randrange(len(lines))
    begin, end = rng.choice(words).span()
    match rng.randrange(6):
        case 0:
            del lines[line]
        case 1:
            lines[line:line] = [lines[line]] * rng.choice((1, 2000))
        case 2:
            lines[rng.randrange(len(lines))] = lines[line]
        case 3:
            other = rng.choice(words)[0]
            return data[:begin] + other + data[end:]
        case _:
            odd = str(rng.choice(ODD)).encode(errors="replace")
            return data[:begin] + odd + data[end:]
    return b"\n".join(lines)


def _header(data: bytes, rng: Random) -> bytes | None:
    head, blank, body = data.partition(b"\n\n")
    lines = head.split(b"\n")
    at = rng.randrange(len(lines))
    name = lines[at].partition(b":")[0]
    extra = (
        b"data file: ../../outside/a.txt",
        b"line skip: 1000000000",
        b"byte skip: -1",
        b"encoding: raw",
        b"encoding: text",
        b"encoding: bzip2",
        b"type: double",
        b"sizes: 100000 100000 100000",
        b"sizes: -1 4 4",
    )
    match rng.randrange(4):
        case 0:
            lines[at] = name + b": " + str(rng.choice(ODD)).encode()[:1000]
        case 1:
            del lines[at]
        case 2:
            lines.append(rng.choice(extra))
        case _:
            new = rng.choice(extra)
            same = [i for i, line in enumerate(lines) if line.startswith(new.split(b":")[0])]
            lines[same[0] if same else at] = new
    if rng.random() < 0.1:
        body = gzip.compress(bytes(400 * MIB), 1)
    return b"\n".join(lines) + blank + body


def _repacked(data: bytes, rng: Random) -> bytes | None:
    if rng.random() < 0.1:
        return gzip.compress(bytes(400 * MIB), 1)
    try:
        return gzip.compress(_bytes(gzip.decompress(data), rng), 1)
    except (OSError, EOFError, zlib.error):  # damaged before
        return None

"""Build ``data/`` from packages that ordinary clients fetch: ``python tools/build_data.py [--check] [NAME ...]``.

Each data set is one function in ``tools/data_sets``: its docstring is what the manifest says about it (first paragraph:
what it is; paragraph "Score:": sign and unit; the rest: what was left out and how it was split). Packages come from
``pip download`` and ``apt-get download`` (Debian 12) into a cache folder, and each is checked against its sha256
before use. MMseqs2 (Debian 12) clusters on one thread from sorted input. The same packages give the same bytes:
``--check`` builds again and compares, writing nothing.
"""

import argparse
import gzip
import json
import sys
from pathlib import Path

from data_sets import labels, scans, sequences, structures
from data_sets.packages import BuildError, Packages
from data_sets.registry import BUILDERS, DATA, entry_of
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
# the order of the manifest and of the page, whatever the order of the imports
NAMES = [
    name
    for module in (scans, structures, labels, sequences)
    for name, spec in BUILDERS.items()
    if spec["function"].__module__ == module.__name__
]


def build(name: str, packages: Packages) -> tuple[bytes, dict]:
    """The bytes of one data set and its manifest entry."""
    content, rows, facts = BUILDERS[name]["function"](packages)
    entry = entry_of(name, content, int(rows), facts)
    if name == "course-8M":
        entry["companions"] = sequences.companions()
    return content, entry


def manifest_text(files: dict) -> str:
    """The manifest as it is written, data sets in the order of the modules."""
    ordered = {name: files[name] for name in NAMES if name in files}
    return json.dumps({"files": ordered}, indent=1, ensure_ascii=False) + "\n"


def readme_text(files: dict) -> str:
    """The page a person reads, made from the manifest alone."""
    total = sum(e["bytes"] for n, e in files.items() if n != "course-8M") / 1e6
    lines = [
        "# Data of the course",
        "",
        f"`datasets.load(NAME)` reads a file and verifies its checksum. {len(files)} files, {total:.1f} MB",
        "without the weights. `manifest.json` says for each how it was filtered and split, what a score means, and",
        "whom to cite; `make data` rebuilds all of it from the packages named. `tools/build_data.py` writes this page.",
        "",
        "| name | what | rows | kB | source | licence |",
        "|---|---|---|---|---|---|",
    ]
    for name, entry in files.items():
        source = entry["source"]
        origin = f"{source['package']} {source['version']}" if source["client"] != "none" else "trained by this course"
        lines.append(
            f"| `{name}` | {entry['description']} | {entry['rows']:,} {entry['unit']} | {entry['bytes'] / 1000:,.0f} | "
            f"{origin} | {entry['licence']} |"
        )
    lines += [
        "",
        "## Scores",
        "",
        "In every scan a higher score means fitter or more stable (amyloid beta: more fibrils). Signs of the source",
        "were turned where needed; the figures below show that they are right.",
        "",
    ]
    lines += [f"- `{name}`: {entry['score']}" for name, entry in files.items() if "score" in entry]
    return "\n".join(lines) + "\n"


def same_content(a: bytes, b: bytes) -> bool:
    """Whether two gzip files hold the same text (another zlib may pack it differently)."""
    return a[:2] == b[:2] == b"\x1f\x8b" and gzip.decompress(a) == gzip.decompress(b)


def check_one(name: str, content: bytes, entry: dict, committed: dict) -> str:
    """Compare a fresh build with what is committed; empty when they agree."""
    path = DATA / entry["file"]
    if not path.exists() or name not in committed:
        return "not committed"
    if content != path.read_bytes():
        return "packed differently, same content" if same_content(content, path.read_bytes()) else "content differs"
    return "" if entry == committed[name] else "manifest entry differs"


def main() -> int:
    ask = argparse.ArgumentParser(description="Build data/ from packages (see the head of this file).")
    ask.add_argument("names", nargs="*", metavar="NAME", help="data sets to build (default: all)")
    ask.add_argument("--check", action="store_true", help="build and compare with what is committed; write nothing")
    ask.add_argument("--cache", type=Path, default=ROOT / "build" / "data-cache", help="where packages are kept")
    args = ask.parse_args()
    unknown = [name for name in args.names if name not in BUILDERS]
    if unknown:
        ask.error(f"no data set is called {unknown[0]!r}; known are {', '.join(NAMES)}")
    packages, wrong = Packages(args.cache.resolve()), []
    manifest = DATA / "manifest.json"
    files = json.loads(manifest.read_text())["files"] if manifest.exists() else {}
    for name in (bar := tqdm(args.names or NAMES, unit="set", disable=None)):
        bar.set_description(name)
        content, entry = build(name, packages)
        if args.check:
            problem = check_one(name, content, entry, files)
            tqdm.write(f"{name}: {problem or 'same bytes'}")
            wrong += [name] if problem else []
            continue
        path = DATA / entry["file"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        files[name] = entry
        manifest.write_text(manifest_text(files))
        (DATA / "README.md").write_text(readme_text(json.loads(manifest_text(files))["files"]))
        tqdm.write(f"{name}: {entry['rows']:,} {entry['unit']}, {entry['bytes']:,} bytes")
    if wrong:
        print(f"{len(wrong)} data sets differ from what is committed: {', '.join(wrong)}.", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BuildError as error:
        sys.exit(str(error))

"""The list of data sets and their manifest entries, made from each function's docstring."""

from numbers import Integral
from pathlib import Path

from data_sets.packages import PACKAGES, sha256

DATA = Path(__file__).resolve().parents[2] / "data"
COLUMNS = "LAGVSERTIDPKQNFYMHWC"  # the order of ESM-2's vocabulary
STANDARD = frozenset(COLUMNS)
PDB = "Protein Data Bank, CC0 1.0"

BUILDERS = {}


def dataset(name, file, package, inside, licence, citation, unit):
    """Register a function(packages) -> (bytes, rows, facts); its docstring becomes the manifest's description."""

    def register(function):
        BUILDERS[name] = {
            "function": function,
            "file": file,
            "package": package,
            "inside": inside,
            "licence": licence,
            "citation": citation,
            "unit": unit,
        }
        return function

    return register


def entry_of(name: str, content: bytes, rows: int, facts: dict) -> dict:
    """The manifest entry: figures of the file, and the docstring with this build's counts filled in."""
    spec = BUILDERS[name]
    facts = {key: f"{value:,}" if isinstance(value, Integral) else value for key, value in facts.items()}
    paragraphs = [" ".join(p.split()) for p in spec["function"].__doc__.split("\n\n")]
    score = [p.removeprefix("Score: ") for p in paragraphs if p.startswith("Score: ")]
    rest = [p for p in paragraphs[1:] if not p.startswith("Score: ")]
    entry = {
        "file": spec["file"],
        "bytes": len(content),
        "sha256": sha256(content),
        "rows": rows,
        "unit": spec["unit"],
        "description": paragraphs[0].format(**facts),
    }
    if score:
        entry["score"] = score[0].format(**facts)
    if spec["package"] == "plmcourse":
        entry["source"] = {
            "package": "plmcourse",
            "version": "this repository",
            "client": "none",
            "file": spec["inside"],
        }
    else:
        client, version, *_ = PACKAGES[spec["package"]]
        entry["source"] = {"package": spec["package"], "version": version, "client": client, "file": spec["inside"]}
    return entry | {"licence": spec["licence"], "citation": spec["citation"], "filter": " ".join(rest).format(**facts)}

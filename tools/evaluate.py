"""Measure a checkpoint: ``python tools/evaluate.py [WEIGHTS] [--card | --check] [--only SECTIONS]``.

WEIGHTS is a folder (by default the embedded checkpoint) or a size such as 8M, which is looked for as :func:`load` does.
Prints the tables; with ``--card`` the folder also gets ``evaluation.json``, all figures, and ``README.md``, the model
card written from them and from the ``training.json`` of the run. ``--check`` measures again and compares with both.
SECTIONS are some of perplexity,dms,contacts,structure. Four to five minutes on one core for 8M.
"""

import argparse
import contextlib
import json
import math
import sys
from pathlib import Path

from evaluation import card, contacts, mutations, perplexity, structure
from tqdm.auto import tqdm

from plmcourse import datasets, models

SECTIONS = {
    "perplexity": perplexity.measure,
    "dms": mutations.measure,
    "contacts": contacts.measure,
    "structure": structure.measure,
}
TOLERANCE = 2e-3  # relative or absolute: another machine adds up in another order, and ranks and bounds follow
PRECISIONS = {"F16": "fp16", "BF16": "bf16", "F32": "fp32"}


def description(folder, plm) -> dict:
    """Which weights these are; nothing in it depends on where they lie."""
    config, files = plm.config, sorted(folder.glob("*.safetensors"))
    header = files[0].read_bytes()
    header = json.loads(header[8 : 8 + int.from_bytes(header[:8], "little")])
    precisions = sorted({PRECISIONS.get(v["dtype"], v["dtype"]) for k, v in header.items() if k != "__metadata__"})
    parameters = sum(p.numel() for p in plm.model.parameters())
    size = next((s.name for s in models.FAMILY.values() if s.parameters == parameters), f"{parameters / 1e6:.1f}M")
    return {
        "name": folder.resolve().name,
        "size": size,
        "sha256": datasets.sha256(files[0]),
        "parameters": parameters,
        "layers": config.num_hidden_layers,
        "dim": config.hidden_size,
        "heads": config.num_attention_heads,
        "precision": "/".join(precisions),
        "megabytes": round(sum(f.stat().st_size for f in files) / 1e6, 1),
    }


def rounded(value):
    """Plain Python values that JSON can hold, floats to five digits."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(part) for part in value]
    return round(float(value), 5) if isinstance(value, float) else value  # NumPy's float64 is a float


def measure(folder, names) -> dict:
    """Figures of these sections: what evaluation.json holds."""
    with contextlib.redirect_stdout(sys.stderr):
        plm = models.load(folder)
        found = {"weights": description(folder, plm)}
        for name in tqdm(names, desc="sections", unit="section"):
            found[name] = SECTIONS[name](plm)
    return rounded(found)


def flat(value, path="") -> dict:
    """{"dms.tem1.blosum62 (low)": 0.1, ...} from nested figures."""
    if isinstance(value, dict):
        parts = {f"{path}.{key}" if path else key: part for key, part in value.items()}
    elif isinstance(value, list):
        parts = {f"{path} ({which})": part for which, part in zip(("value", "low", "high"), value, strict=True)}
    else:
        return {path: value}
    return {name: leaf for key, part in parts.items() for name, leaf in flat(part, key).items()}


def same(a, b) -> bool:
    """Whether two figures agree; whole numbers and words must be equal."""
    if isinstance(a, float) or isinstance(b, float):
        return math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return a == b


def first_difference(stored, found) -> str | None:
    """A sentence that names the first figure that differs, or None. Compares the sections of ``found``."""
    old, new = flat({name: stored[name] for name in found if name in stored}), flat(found)
    for name in new | old:
        if name not in old:
            return f"{name} is {new[name]}, and evaluation.json does not have it"
        if name not in new:
            return f"{name} is {old[name]} in evaluation.json, and is not measured any more"
        if not same(old[name], new[name]):
            return f"{name} is {new[name]}, evaluation.json says {old[name]}"
    return None


def read(folder, name) -> dict:
    """A JSON file beside the weights.

    Raises
    ------
    FileNotFoundError
        If it is missing; the sentence says what it is for.
    """
    use = {
        "training.json": "how these weights were trained (tools/pretrain.py writes it)",
        "evaluation.json": "their figures (evaluate.py --card writes it)",
    }[name]
    if not (folder / name).is_file():
        raise FileNotFoundError(f"{folder} has no {name}, which says {use}")
    return json.loads((folder / name).read_text(encoding="utf-8"))


def stale_card(folder) -> str | None:
    """A sentence if weights, figures, training record and README.md do not belong together, or None."""
    measured, there = read(folder, "evaluation.json")["weights"]["sha256"], datasets.sha256(
        min(folder.glob("*.safetensors"))
    )
    if measured != there:
        return f"weights.sha256 is {there}, evaluation.json says {measured}"
    text = card.card_text(read(folder, "evaluation.json"), read(folder, "training.json"))
    lines = (folder / "README.md").read_text(encoding="utf-8").split("\n")
    for number, (old, new) in enumerate(zip(lines, text.split("\n")), start=1):
        if old != new:
            return f"line {number} of README.md is not what evaluation.json and training.json say: {old[:80]!r}"
    return (
        None
        if "\n".join(lines) == text
        else "README.md is longer or shorter than evaluation.json and training.json say"
    )


def complete(folder, figures) -> dict:
    """The figures together with those of the sections that were not measured now, if they belong to the same weights.

    Raises
    ------
    ValueError
        If a section is missing or was measured with other weights.
    """
    missing = [name for name in SECTIONS if name not in figures]
    stored = read(folder, "evaluation.json") if missing else {}
    if missing and stored["weights"]["sha256"] != figures["weights"]["sha256"]:
        raise ValueError(f"the figures in evaluation.json are of other weights: measure {', '.join(missing)} again too")
    everything = stored | figures
    if lacking := [name for name in SECTIONS if name not in everything]:
        raise ValueError(f"a card needs all sections, and {', '.join(lacking)} was never measured")
    return {name: everything[name] for name in ("weights", *SECTIONS)}


def check_writable(weights, folder):
    """Refuse, before minutes of measuring, a card that would be wrong or lie in the wrong place."""
    if weights in models.FAMILY:
        raise ValueError(f"a card is written beside weights of this course: name their folder, not {weights}")
    known = {digest for size in models.FAMILY.values() for digest in size.sha256}
    if any(datasets.sha256(file) in known for file in folder.glob("*.safetensors")):
        raise ValueError(f"{folder} holds Meta's weights, and the card would say that this course trained them")
    read(folder, "training.json")


def write_card(folder, figures):
    """evaluation.json and README.md beside the weights."""
    figures = complete(folder, figures)
    text = card.card_text(figures, read(folder, "training.json"))  # before anything is written
    (folder / "evaluation.json").write_text(json.dumps(figures, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(text, encoding="utf-8")


def sections(text) -> list[str]:
    """Names of sections from "dms,contacts", in the order in which they are measured."""
    wanted = text.split(",")
    if unknown := [name for name in wanted if name not in SECTIONS]:
        raise argparse.ArgumentTypeError(f"there is no section {unknown[0]!r}; there are: {', '.join(SECTIONS)}")
    return [name for name in SECTIONS if name in wanted]


def arguments(argv=None):
    """The command line."""
    ask = argparse.ArgumentParser(description="Measure a checkpoint and write its model card.")
    ask.add_argument(
        "weights",
        nargs="?",
        default=str(datasets.DATA / "models" / models.EMBEDDED),
        help="folder, or a size such as 8M; by default the embedded checkpoint",
    )
    ask.add_argument("--only", type=sections, default=list(SECTIONS), metavar="SECTIONS", help=",".join(SECTIONS))
    mode = ask.add_mutually_exclusive_group()
    mode.add_argument("--card", action="store_true", help="write evaluation.json and README.md beside the weights")
    mode.add_argument(
        "--check", action="store_true", help="compare with evaluation.json and README.md, exit 1 if they differ"
    )
    return ask.parse_args(argv)


def run(options) -> str | None:
    """Measure, print, write or compare. Returns what is wrong, if anything is."""
    with contextlib.redirect_stdout(sys.stderr):
        folder, source = models.find_weights(options.weights)
    stored = read(folder, "evaluation.json") if options.check else None
    if options.check and (wrong := stale_card(folder)):
        return wrong
    if options.card:
        check_writable(options.weights, folder)
    figures = measure(folder, options.only)
    name = source if options.weights in models.FAMILY else figures["weights"]["name"]
    print(f"# {name}\n\n{card.figures_text(figures)}")
    if options.card:
        write_card(folder, figures)
    if options.check:
        wrong = first_difference(stored, figures)
        print(wrong or f"all {len(flat(figures))} figures agree with evaluation.json, and README.md with them")
        return wrong
    return None


def main(argv=None) -> int:
    """Exit status: 0, 1 if a figure differs or something is missing."""
    try:
        wrong = run(arguments(argv))
    except (ValueError, FileNotFoundError) as error:
        wrong = error
    if wrong:
        print(wrong, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

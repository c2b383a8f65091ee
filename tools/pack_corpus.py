"""Pack the pretraining corpus into one file: ``python tools/pack_corpus.py build/corpus.npz``.

Three sources, in one table of proteins:

* general: Swiss-Prot 2014_01 in clusters of 50 % identity, at most ``--members`` proteins of each;
* family: the relatives of the course's proteins (``data/families.tsv``), each with the profile of its homologs in Swiss-Prot;
* chain: the protein chains of ProMod3's structure database, each with the profile of its homologs that is stored there.
  Of that database sequences and profiles are read, nothing of a structure.

What the course measures on stays out: the proteins of ``pretrain_heldout`` and the chains of both test sets with everything of at least
50 % identity over 80 % of both (of the course's own nine chains only the chain itself), and the members in ``family_heldout``.
Needs MMseqs2 and the packages that ``tools/build_data.py`` fetches.
"""

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from build_data import ROOT
from data_sets import sequences as swissprot
from data_sets import structures
from data_sets.formats import clusters, fasta_text, mmseqs, npz, shuffled
from data_sets.packages import BuildError, Packages, run
from tqdm import tqdm

from plmcourse import datasets
from plmcourse.sequences import RESIDUES, TOKEN_ID

SHARPNESS = 0.15  # a homolog with a share d of differing residues counts exp(-d / 0.15) in a family member's profile
IDS = np.full(256, TOKEN_ID["X"], np.uint8)
IDS[[ord(letter) for letter in TOKEN_ID if len(letter) == 1]] = [i for letter, i in TOKEN_ID.items() if len(letter) == 1]


def left_out(proteins: dict[str, str]) -> set[str]:
    """Names of proteins that are too close to what the course measures on."""
    tests = {f"test:{a}": s for a, s in datasets.load("pretrain_heldout").items()}
    exact = set(datasets.load("family_heldout").values())
    for name in ("chains_test", "secondary_structure_test"):
        for chain in datasets.chains(name):
            if chain["id"] in structures.COURSE_CHAINS:
                exact.add(chain["sequence"])
            else:
                tests[f"test:{chain['id']}"] = chain["sequence"]
    options = ["--min-seq-id", "0.5", "-c", "0.8", "--cov-mode", "0", "--max-seqs", "4000", "-s", "5.7", "--format-output", "target"]
    close = {target for (target,) in mmseqs("easy-search", tests, proteins, options, "out")}
    exact |= set(tests.values())
    return close | {name for name, sequence in proteins.items() if sequence in exact}


def homologs(queries: dict[str, str], targets: dict[str, str]):
    """Yield (query, target, identity, first aligned residue from 0, aligned query, aligned target) of a search."""
    with tempfile.TemporaryDirectory() as folder:
        for name, part in (("q", queries), ("t", targets)):
            Path(folder, name).write_text(fasta_text(part))
        columns = "query,target,fident,qstart,qaln,taln"
        run(["mmseqs", "easy-search", "q", "t", "out", "tmp", "-e", "1e-3", "-s", "5", "--max-seqs", "500", "-v", "1", "--threads", "1",
             "--format-output", columns], cwd=Path(folder))
        with open(Path(folder, "out")) as rows:
            for row in rows:
                query, target, identity, start, query_row, target_row = row.rstrip("\n").split("\t")
                yield query, target, float(identity), int(start) - 1, query_row, target_row


def family_profiles(members: dict[str, str], proteins: dict[str, str]) -> dict[str, np.ndarray]:
    """Frequencies of residues, [L, 20], at each position of each member among its homologs, close ones counting most."""
    found = {name: np.zeros((len(sequence), 256)) for name, sequence in members.items()}
    for name, sequence in members.items():
        found[name][np.arange(len(sequence)), list(sequence.encode())] = 1
    for query, target, identity, start, query_row, target_row in tqdm(homologs(members, proteins), unit="hit", unit_scale=True):
        if query != target:
            kept = np.frombuffer(query_row.encode(), np.uint8) != ord("-")
            letters = np.frombuffer(target_row.encode(), np.uint8)[kept]
            found[query][start + np.arange(len(letters)), letters] += np.exp((identity - 1) / SHARPNESS)
    return {name: table[:, list(RESIDUES.encode())] for name, table in found.items()}


def chains_of(packages) -> dict[str, tuple[str, np.ndarray]]:
    """Distinct chains of at least 30 residues of the structure database: name -> (sequence, profile [L, 20])."""
    db, found, seen = structures.structure_db(packages), {}, set()
    for i, (name, _, length, *_) in enumerate(db.chains):
        sequence = db.sequence(i)
        if length >= 30 and sequence not in seen:
            seen.add(sequence)
            found[f"chain:{name}"] = sequence, db[i]["profile"][:, structures.PROFILE_ORDER]
    return found


def levels(profile: np.ndarray, finest: int) -> np.ndarray:
    """A profile, [L, 20], in bytes that pack well: ``finest`` times the root of the frequency, which spares the rare letters.

    Rows that sum to nothing stay empty.
    """
    share = profile / np.maximum(profile.sum(1, keepdims=True), 1e-9)
    return np.round(finest * np.sqrt(share)).astype(np.uint8)


def pack(rows: list[tuple[str, int, str, np.ndarray | None]], sources: list[str], finest: int = 31) -> dict[str, np.ndarray]:
    """One table of proteins from rows (source, group, sequence, profile or None)."""
    text = "".join(sequence for _, _, sequence, _ in rows).encode()
    profiles = [levels(profile, finest) for *_, profile in rows if profile is not None]
    return {
        "tokens": IDS[np.frombuffer(text, np.uint8)],
        "length": np.array([len(sequence) for _, _, sequence, _ in rows], np.int32),
        "source": np.array([sources.index(source) for source, *_ in rows], np.int8),
        "group": np.array([group for _, group, *_ in rows], np.int32),
        "has_profile": np.array([profile is not None for *_, profile in rows]),
        "profile": np.concatenate(profiles) if profiles else np.zeros((0, 20), np.uint8),
        "sources": np.array(sources),
    }


def general_rows(proteins, cluster_of, smallest: int, most: int):
    """Rows of Swiss-Prot, cluster by cluster; clusters of fewer than ``smallest`` proteins are left out."""
    members = defaultdict(list)
    for name in proteins:
        members[cluster_of[name]].append(name)
    for number, first in enumerate(sorted(members)):
        for name in shuffled(members[first])[:most] if len(members[first]) >= smallest else ():
            yield "general", number, proteins[name], None


def family_rows(members, profiles):
    """Rows of the course's families, one group per family."""
    for number, family in enumerate(sorted(members)):
        for name in members[family]:
            yield "family", number, *profiles[name]


def main() -> None:
    ask = argparse.ArgumentParser(description="Pack the pretraining corpus (see the head of this file).")
    ask.add_argument("out", type=Path)
    ask.add_argument("--members", type=int, default=3, help="most proteins of a Swiss-Prot cluster")
    ask.add_argument("--smallest", type=int, default=1, help="least proteins of a Swiss-Prot cluster that is kept")
    ask.add_argument("--levels", type=int, default=31, help="steps in which a profile's frequencies are kept")
    ask.add_argument("--cache", type=Path, default=ROOT / "build" / "data-cache", help="where packages are kept")
    args = ask.parse_args()
    packages = Packages(args.cache.resolve())
    everything = {a: s for a, s in swissprot.swissprot(packages).items() if len(s) >= 30}
    chains = chains_of(packages)
    out = left_out({**everything, **{name: sequence for name, (sequence, _) in chains.items()}})
    proteins = {a: s for a, s in everything.items() if a not in out}
    listed = swissprot.family_members()
    members = {family: [a for a in names if a in proteins and len(proteins[a]) <= 1022] for family, names in listed.items()}
    profiles = family_profiles({a: proteins[a] for names in members.values() for a in names}, proteins)
    rows = [*general_rows(proteins, clusters(everything, 0.5, "easy-linclust"), args.smallest, args.members),
            *family_rows(members, {a: (proteins[a], profile) for a, profile in profiles.items()}),
            *(("chain", i, *chain) for i, (name, chain) in enumerate(chains.items()) if name not in out)]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_bytes(npz(pack(rows, ["general", "family", "chain"], args.levels), "lzma"))
    for source in ("general", "family", "chain"):
        lengths = [len(sequence) for s, _, sequence, _ in rows if s == source]
        print(f"{source}: {len(lengths):,} proteins, {sum(lengths):,} residues")
    print(f"left out: {len(out):,}; {args.out.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    try:
        main()
    except BuildError as error:
        raise SystemExit(str(error)) from None

"""Proteins and residues with labels: where they are, and what is disordered."""

import json
from collections import Counter, defaultdict

import pandas as pd

from data_sets.formats import csv_gz, families
from data_sets.packages import sha256
from data_sets.registry import STANDARD, dataset
from data_sets.sequences import swissprot

SCL, LABELS = "scldata/data/scl2205.csv", "scldata/data/labels.json"
CLASSES = ("Membrane", "Nucleus", "Secreted", "Cytoplasm", "Mitochondrion")
BENCHMARKS = "aaanalysis/_data/benchmarks/"


def split_by_cluster(frame, shares) -> list[str]:
    """Deal whole clusters, largest first, to the part that lacks most of the cluster's commonest label."""
    order = sorted(frame.groupby("cluster"), key=lambda item: (-len(item[1]), sha256(str(item[0]).encode())))
    totals, filled, part_of = frame["label"].value_counts(), Counter(), {}
    for cluster, members in order:
        label = members["label"].mode()[0]
        part = max(shares, key=lambda p: shares[p] * totals[label] - filled[p, label])
        part_of[cluster] = part
        for each, count in members["label"].value_counts().items():
            filled[part, each] += count
    return list(frame["cluster"].map(part_of))


@dataset(
    "localisation",
    "labels/localisation.csv.gz",
    "p-scldata",
    SCL,
    "MIT (package); UniProtKB 2022_05, CC BY 4.0",
    "Ouso D (2026) SCL2205, a data set of subcellular localisation (p-scldata); UniProt Consortium",
    "proteins",
)
def localisation(packages):
    """Where a protein lives in a eukaryotic cell: sequence and one of five places.

    Of {all} proteins, {one} have one of the five places and 40-512 residues; dropped: {odd} with other than the 20
    standard letters, {two} whose sequence has two places, {twice} repeats. Split anew, because the source's own parts
    share clusters: {clusters} families (30 % identity over 80 % of both by MMseqs2, joined where a search finds
    e < 1e-3; the largest has {largest} members), each wholly in train, validation or test (70 : 10 : 20 of each place).
    The joining matters: with the 30 % clusters alone, 38 % of the test proteins had a relative in train.
    """
    table, facts = five_places(packages)
    table["cluster"] = table["id"].map(families(dict(zip(table["id"], table["sequence"]))))
    table["split"] = split_by_cluster(table, {"train": 0.7, "validation": 0.1, "test": 0.2})
    sizes = table["cluster"].value_counts()
    facts |= {"clusters": f"{len(sizes):,}", "largest": sizes.max()}
    return csv_gz(table[["id", "sequence", "label", "cluster", "split"]]), len(table), facts


def five_places(packages):
    """The proteins with one of the five places, standard letters and usual length; and what was dropped."""
    table = pd.read_csv(packages.member("p-scldata", SCL))
    table.columns = ["id", "sequence", "label"]
    places = json.loads(packages.member("p-scldata", LABELS).read_text())["index_to_label"]
    table["label"] = table["label"].astype(str).map(places)
    kept = table[table["label"].isin(CLASSES) & table["sequence"].str.len().between(40, 512)]
    standard = kept[kept["sequence"].map(STANDARD.issuperset)]
    single = standard[standard.groupby("sequence")["label"].transform("nunique") == 1].sort_values("id")
    unique = single.drop_duplicates("sequence").reset_index(drop=True)
    facts = {"all": f"{len(table):,}", "one": f"{len(kept):,}", "odd": len(kept) - len(standard)}
    return unique, facts | {"two": len(standard) - len(single), "twice": len(single) - len(unique)}


@dataset(
    "seq_location",
    "labels/seq_location.csv.gz",
    "aaanalysis",
    BENCHMARKS + "SEQ_LOCATION.tsv",
    "BSD-3-Clause (package); sequences UniProtKB/Swiss-Prot, CC BY 4.0",
    "Shen Y, Tang J, Guo F (2019) Identification of protein subcellular localization via integrating evolutionary and "
    "physicochemical information into Chou's general PseAAC. J Theor Biol 462:230-239; sequences: UniProt Consortium",
    "proteins",
)
def seq_location(packages):
    """A warm-up with two classes: proteins of the cytoplasm or of the plasma membrane.

    The source's sequences have lost every E, F, I, L, P and Q. They are restored here: a source sequence counts as
    found when exactly one sequence of Swiss-Prot 2014_01 equals it after the same six letters are taken out. {found}
    of {all} are found and kept with their accessions ({several} fit several, {none} fit none, {odd} dropped for other
    letters or two labels). Clusters: families, found as in localisation. Lengths are {shortest}-{longest}.
    """
    table = pd.read_csv(packages.member("aaanalysis", BENCHMARKS + "SEQ_LOCATION.tsv"), sep="\t")
    lost, wanted, found = str.maketrans("", "", "EFILPQ"), set(table["sequence"]), defaultdict(list)
    for accession, sequence in swissprot(packages).items():
        if (short := sequence.translate(lost)) in wanted:
            found[short].append(accession)
    counts = table["sequence"].map(lambda s: len(found[s]))
    facts = {"all": len(table), "several": int((counts > 1).sum()), "none": int((counts == 0).sum())}
    table = table[counts == 1]
    table = table.assign(id=[found[s][0] for s in table["sequence"]])
    table["sequence"] = table["id"].map(swissprot(packages))
    table["label"] = table["label"].map({1: "cytoplasm", 0: "membrane"})
    kept = table.drop_duplicates(["id", "label"]).drop_duplicates("id", keep=False)
    kept = kept[kept["sequence"].map(STANDARD.issuperset)].sort_values("id", ignore_index=True)
    kept["cluster"] = kept["id"].map(families(dict(zip(kept["id"], kept["sequence"]))))
    lengths = kept["sequence"].str.len()
    facts |= {"found": len(kept), "odd": len(table) - len(kept), "shortest": lengths.min(), "longest": lengths.max()}
    return csv_gz(kept[["id", "sequence", "label", "cluster"]]), len(kept), facts


@dataset(
    "disorder",
    "labels/disorder.csv.gz",
    "aaanalysis",
    BENCHMARKS + "AA_LDR.tsv",
    "BSD-3-Clause",
    "Tang YJ, Pang YH, Liu B (2020) IDP-Seq2Seq: identification of intrinsically disordered regions based on sequence "
    "to sequence learning. Bioinformatics 36:5177-5186",
    "proteins",
)
def disorder(packages):
    """Long disordered regions, residue by residue: D where the residue is disordered, O where it is ordered.

    All {proteins} proteins, {residues} residues, {share} % disordered. The source has 1 and 0; letters, because a
    table reader takes a row of digits for a number.
    """
    table = pd.read_csv(packages.member("aaanalysis", BENCHMARKS + "AA_LDR.tsv"), sep="\t")
    frame = pd.DataFrame({"id": table["entry"], "sequence": table["sequence"], "disorder": table["label"]})
    frame["disorder"] = frame["disorder"].str.replace(",", "").str.replace("1", "D").str.replace("0", "O")
    marks = "".join(frame["disorder"])
    facts = {
        "proteins": len(frame),
        "residues": f"{len(marks):,}",
        "share": f"{100 * marks.count('D') / len(marks):.0f}",
    }
    return csv_gz(frame), len(frame), facts

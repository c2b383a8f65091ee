"""Swiss-Prot: pretraining sample and families; an alignment; the embedded weights."""

import functools
import json
from collections import defaultdict

import numpy as np
from blastdb import read_blastdb

from data_sets.formats import clusters, fasta_text, gzipped, read_fasta, relatives, shuffled
from data_sets.packages import sha256
from data_sets.registry import BUILDERS, DATA, STANDARD, dataset

UNIPROT = "UniProtKB/Swiss-Prot, CC BY 4.0 (package: GPL-2+)"

GOASP = "usr/share/metastudent-data/dataset_201401/{}/goasp.fasta"
GOASP_ALL = GOASP.format("{MFO,BPO,CCO}") + ".{pin,psq,phr}"
HAMP = (
    "UniProt Consortium, Swiss-Prot release 2014_01; packaged by Hamp T et al. (2013) Homology-based inference sets "
    "the bar high for protein function prediction. BMC Bioinformatics 14(S3):S7"
)


@functools.cache
def family_members() -> dict[str, list[str]]:
    """Accessions of each family of the committed families.tsv."""
    found = defaultdict(list)
    for line in (DATA / "families.tsv").read_text().splitlines()[1:]:
        family, accession = line.split("\t")
        found[family].append(accession)
    return dict(found)


def goasp(packages, part):
    """The path, without suffix, of one of the three BLAST databases."""
    files = [packages.member("metastudent-data", f"{GOASP.format(part)}.{suffix}") for suffix in ("pin", "psq", "phr")]
    return files[0].with_suffix("")


@functools.cache
def swissprot(packages) -> dict[str, str]:
    """Distinct sequences; of several accessions with one sequence, a family's member is kept, else the first."""
    family = {accession for members in family_members().values() for accession in members}
    every = {}
    for part in ("MFO", "BPO", "CCO"):
        for accession, sequence in read_blastdb(goasp(packages, part)):
            if accession is not None:
                every[accession] = sequence
    distinct = {}
    for accession in sorted(every, key=lambda a: (a not in family, a)):
        distinct.setdefault(every[accession], accession)
    return {accession: sequence for sequence, accession in sorted(distinct.items(), key=lambda item: item[1])}


@functools.cache
def pretraining_split(packages) -> dict[str, list[str]]:
    """Representatives of 50 % clusters: 3,000, and 300 related neither to them nor to the course's families."""
    sequences = swissprot(packages)
    cluster_of = clusters(sequences, 0.5, "easy-linclust")
    family = {a for members in family_members().values() for a in members if a in sequences}
    with_family = {cluster_of[a] for a in family}
    firsts = [
        a for a in set(cluster_of.values()) if 30 <= len(sequences[a]) <= 512 and STANDARD.issuperset(sequences[a])
    ]
    order = shuffled(firsts)
    candidates = [a for a in order if a not in with_family][:400]
    hits = relatives({a: sequences[a] for a in candidates}, sequences)
    of_family = {a for a, target in hits if target in family}
    held_out = set([a for a in candidates if a not in of_family][:300])
    related = {target for a, target in hits if a in held_out} | held_out
    train = [a for a in order if a not in related][:3000]
    return {"train": sorted(train), "heldout": sorted(held_out), "clusters": set(cluster_of.values()), "firsts": firsts}


def pretraining_set(packages, part):
    """One part of the pretraining split, and its counts."""
    split, sequences = pretraining_split(packages), swissprot(packages)
    chosen = {a: sequences[a] for a in split[part]}
    facts = {
        "distinct": f"{len(sequences):,}",
        "clusters": f"{len(split['clusters']):,}",
        "firsts": f"{len(split['firsts']):,}",
        "residues": f"{sum(map(len, chosen.values())):,}",
    }
    return gzipped(fasta_text(chosen)), len(chosen), facts


@dataset("pretrain_train", "pretraining/train.fasta.gz", "metastudent-data", GOASP_ALL, UNIPROT, HAMP, "proteins")
def pretrain_train(packages):
    """A small pretraining sample: 3,000 proteins of Swiss-Prot 2014_01, {residues} residues.

    {distinct} distinct sequences in {clusters} clusters (linclust, 50 % identity over 80 % of both); from the
    {firsts} representatives of 30-512 standard residues, 3,000 in the order of the sha256 of their accessions. None
    is related (search, e < 1e-3) to a protein of pretrain_heldout.
    """
    return pretraining_set(packages, "train")


@dataset("pretrain_heldout", "pretraining/heldout.fasta.gz", "metastudent-data", GOASP_ALL, UNIPROT, HAMP, "proteins")
def pretrain_heldout(packages):
    """Held-out proteins for pretraining: 300 of Swiss-Prot 2014_01, {residues} residues.

    Chosen like pretrain_train, from clusters without a member of families.tsv and without a relative (search, e <
    1e-3) there.
    """
    return pretraining_set(packages, "heldout")


@functools.cache
def family_heldout_members(packages) -> dict[str, list[str]]:
    """A twelfth (4 to 24) of the distinct members of each family of at least 40, TEM-1 itself never."""
    sequences, found = swissprot(packages), {}
    for family, listed in family_members().items():
        members = shuffled(a for a in listed if a in sequences and len(sequences[a]) <= 1022)
        if len(members) >= 40:
            chosen = [a for a in members if a != "P62593" and STANDARD.issuperset(sequences[a])]
            found[family] = chosen[: min(24, max(4, len(members) // 12))]
    return found


@dataset("family_heldout", "pretraining/family_heldout.fasta.gz", "metastudent-data", GOASP_ALL, UNIPROT, HAMP, "proteins")
def family_heldout(packages):
    """Held-out members of {families} of the course's families: ids FAMILY|ACCESSION, {residues} residues.

    Of each family with at least 40 distinct sequences up to 1,022 residues a twelfth, at least 4 and at most 24, in the order of the
    sha256 of their accessions; TEM-1 itself stays in training. Their relatives, even close ones, are trained on: this
    measures what is known of a family, pretrain_heldout what is known of proteins in general.
    """
    sequences, members = swissprot(packages), family_heldout_members(packages)
    chosen = {f"{family}|{a}": sequences[a] for family in members for a in members[family]}
    facts = {"families": len(members), "residues": f"{sum(map(len, chosen.values())):,}"}
    return gzipped(fasta_text(chosen)), len(chosen), facts


def family_set(packages, family):
    """The distinct sequences of one family, standard letters and at most 1,022 residues."""
    sequences, listed = swissprot(packages), family_members()[family]
    distinct = [a for a in sorted(listed) if a in sequences]
    chosen = {a: sequences[a] for a in distinct if len(sequences[a]) <= 1022 and STANDARD.issuperset(sequences[a])}
    long = sum(len(sequences[a]) > 1022 for a in distinct)
    facts = {"listed": len(listed), "distinct": len(distinct), "long": long, "odd": len(distinct) - len(chosen) - long}
    return gzipped(fasta_text(chosen)), len(chosen), facts


@dataset("globins", "families/globins.fasta.gz", "metastudent-data", GOASP_ALL, UNIPROT, HAMP, "proteins")
def globins(packages):
    """Globins of Swiss-Prot 2014_01: the relatives of haemoglobin beta (HBB in families.tsv).

    {listed} accessions listed, {distinct} distinct sequences; dropped {long} over 1,022 residues and {odd} with other
    than the 20 standard letters.
    """
    return family_set(packages, "HBB")


@dataset("ras", "families/ras.fasta.gz", "metastudent-data", GOASP_ALL, UNIPROT, HAMP, "proteins")
def ras(packages):
    """Small GTPases of Swiss-Prot 2014_01: the relatives of H-Ras (HRAS in families.tsv).

    {listed} accessions listed, {distinct} distinct sequences; dropped {long} over 1,022 residues and {odd} with other
    than the 20 standard letters.
    """
    return family_set(packages, "HRAS")


@dataset("families", "families.tsv", "metastudent-data", GOASP_ALL, UNIPROT, HAMP, "accessions")
def families(packages):
    """Which Swiss-Prot accessions are relatives of the course's proteins: family and accession.

    Diamond search of 14 proteins against the sequences of Swiss-Prot 2014_01, e < 1e-3. {missing} of the accessions
    are missing in the package's Swiss-Prot. This list is an input of the build: kept as it is.
    """
    content = (DATA / "families.tsv").read_bytes()
    known = {a for part in ("MFO", "BPO", "CCO") for a, _ in read_blastdb(goasp(packages, part))}
    listed = [a for members in family_members().values() for a in members]
    return content, len(listed), {"missing": sum(a not in known for a in listed)}


@dataset(
    "hras_alignment",
    "families/hras_alignment.afa.gz",
    "freecontact",
    "usr/share/doc/freecontact/examples/PF00071_v25_999.fa",
    "Pfam, CC0 (package: GPL-3+, no code used)",
    "Kaján L, Hopf TA, Kalaš M, Marks DS, Rost B (2014) FreeContact: fast and free software for protein contact "
    "prediction. BMC Bioinformatics 15:85; Pfam family PF00071",
    "sequences",
)
def hras_alignment(packages):
    """Alignment of {rows} Ras proteins; the first row is residues 5-165 of human H-Ras, {columns} columns, gaps "-".

    All rows kept, letters in upper case (two columns of the source's first row are in lower case). Structure: 2CE2_A
    of chains_test.
    """
    path = packages.member("freecontact", "usr/share/doc/freecontact/examples/PF00071_v25_999.fa")
    rows = {name: sequence.upper() for name, sequence in read_fasta(path).items()}
    return gzipped(fasta_text(rows)), len(rows), {"rows": len(rows), "columns": len(next(iter(rows.values())))}


@dataset(
    "course-8M",
    "models/course-8M/model.safetensors",
    "plmcourse",
    "models/course-8M/README.md",
    "MIT (weights); trained on UniProtKB/Swiss-Prot, CC BY 4.0, and on profiles of promod3-data, Apache-2.0",
    "this course",
    "parameters",
)
def course_8m(packages):
    """The embedded weights: ESM-2's 8M architecture, trained by this course; not Meta's weights. A card is with them.

    Trained, not downloaded: kept as it is.
    """
    content = (DATA / BUILDERS["course-8M"]["file"]).read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    weights = [v["shape"] for k, v in header.items() if k != "__metadata__" and not k.endswith("inv_freq")]
    return content, sum(int(np.prod(shape)) for shape in weights), {}


def companions() -> dict:
    """Size and checksum of the other files of the embedded weights."""
    folder = DATA / "models" / "course-8M"
    files = sorted(p for p in folder.iterdir() if p.suffix in (".json", ".jsonl", ".txt"))
    return {p.name: {"bytes": p.stat().st_size, "sha256": sha256(p.read_bytes())} for p in files}

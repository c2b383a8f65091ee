"""Deep mutational scans. In each a higher score means fitter or more stable."""

import functools
from collections import Counter

import pandas as pd

from data_sets.formats import csv_gz, fasta_text, read_fasta
from data_sets.registry import COLUMNS, dataset

TEM1_CSV = "tutorial/example_data/betaLactamase_enrichmentScores.csv"
HA_CSV = "examples/Doud2016/results/prefs/summary_avgprefs.csv"
MAVENN = "mavenn/examples/datasets/"
STIFFLER = (
    "Stiffler MA, Hekstra DR, Ranganathan R (2015) Evolvability as a function of purifying selection in TEM-1 "
    "beta-lactamase. Cell 160:882-892"
)
NISTHAL = (
    "Nisthal A, Wang CY, Ary ML, Mayo SL (2019) Protein stability engineering insights revealed by domain-wide "
    "comprehensive mutagenesis. PNAS 116:16367-16377"
)
SEUMA = (
    "Seuma M, Faure AJ, Badia M, Lehner B, Bolognesi B (2021) The genetic landscape for amyloid beta fibril nucleation "
    "accurately discriminates familial Alzheimer's disease mutations. eLife 10:e63364"
)
BOLOGNESI = (
    "Bolognesi B, Faure AJ, Seuma M, Schmiedel JM, Tartaglia GG, Lehner B (2019) The mutational landscape of a "
    "prion-like domain. Nature Communications 10:4162"
)
DOUD = (
    "Doud MB, Bloom JD (2016) Accurate measurement of the effects of all amino-acid mutations on influenza "
    "hemagglutinin. Viruses 8:155"
)


@functools.cache
def tem1_table(packages):
    """The source's table, sorted by site and mutant."""
    table = pd.read_csv(packages.member("phydms", TEM1_CSV))
    table.columns = ["site", "wild", "mutant", "replicate_1", "replicate_2"]
    return table.sort_values(["site", "mutant"], ignore_index=True)


def tem1_wild(packages):
    """The wild type and the Ambler number of each residue."""
    wild = tem1_table(packages).drop_duplicates("site")
    return "".join(wild["wild"]), list(wild["site"])


@functools.cache
def mavenn_table(packages, file):
    """The variants of one mavenn table and their wild type: the commonest letter at each position."""
    table = pd.read_csv(packages.member("mavenn", MAVENN + file))
    wild = "".join(Counter(column).most_common(1)[0][0] for column in zip(*table["x"]))
    return table, wild


def named_variants(table, wild, shift, published_shift, sign):
    """One row per variant without a stop codon; the mutations are read off the sequences, not off any name."""
    rows, stops = [], 0
    for variant, y in zip(table["x"], table["y"]):
        changes = [(a, i, b) for i, (a, b) in enumerate(zip(wild, variant)) if a != b]
        if "*" in variant:
            stops += 1
            continue
        names = [":".join(f"{a}{i + 1 + by}{b}" for a, i, b in changes) for by in (shift, published_shift)]
        rows.append((len(changes), [(i, b) for _, i, b in changes], *names, sign * y))
    frame = pd.DataFrame(sorted(rows), columns=["n_mutations", "order", "mutation", "published", "score"])
    frame = frame[["mutation", "published", "n_mutations", "score"]]
    single, double = ((frame["n_mutations"] == n).sum() for n in (1, 2))
    return frame, {"single": single, "double": double, "stops": stops}


def proline_facts(frame):
    """The mean score of single substitutions to proline and of all others."""
    single = frame[frame["n_mutations"] == 1]
    proline = single["mutation"].str.endswith("P")
    means = {"proline": single.loc[proline, "score"].mean(), "others": single.loc[~proline, "score"].mean()}
    return {key: f"{value:.2f}" for key, value in means.items()}


def stop_score(table, sign):
    """The mean score of variants with a stop codon."""
    return f"{sign * table.loc[table['x'].str.contains('*', regex=False), 'y'].mean():.2f}"


@dataset(
    "wild_types",
    "dms/wild_types.fasta",
    "phydms",
    f"{TEM1_CSV}; the files of gb1, abeta42, tdp43, ha_preferences",
    "facts; see the entries of the five scans",
    f"{STIFFLER}; {NISTHAL}; {SEUMA}; {BOLOGNESI}; {DOUD}",
    "proteins",
)
def wild_types(packages):
    """The five proteins of the deep mutational scans; the header gives the published number of the first residue.

    Wild types: TEM-1 from the wild-type column; GB1, amyloid beta 42 and TDP-43 the commonest letter at each position
    of the variants; haemagglutinin translated from the coding sequence (data/WSN-HA.fasta of dms_tools2). GB1 starts
    with the methionine that was not varied. TEM-1 is the mature protein, Ambler numbers 26-290, which skip 239 and
    253.
    """
    sequences = {
        "tem1 first=26 beta-lactamase TEM-1, mature, Ambler numbering without 239 and 253": tem1_wild(packages)[0],
        "gb1 first=1 B1 domain of streptococcal protein G": "M" + mavenn_table(packages, "nisthal_data.csv.gz")[1],
        "abeta42 first=1 amyloid beta 1-42, human": mavenn_table(packages, "amyloid_data.csv.gz")[1],
        "tdp43 first=290 TDP-43, human, residues 290-373 of the prion-like domain": mavenn_table(
            packages, "tdp43_data.csv.gz"
        )[1],
        "ha first=1 haemagglutinin, influenza A/WSN/1933": haemagglutinin(packages),
    }
    return fasta_text(sequences).encode(), len(sequences), {}


@dataset(
    "tem1",
    "dms/tem1.csv.gz",
    "phydms",
    TEM1_CSV,
    "facts taken from the publication (package: GPL-3, no code used)",
    STIFFLER,
    "variants",
)
def tem1(packages):
    """Deep mutational scan of beta-lactamase TEM-1: growth of bacteria with each single substitution under ampicillin.

    Score: log10 enrichment relative to the wild type (0) at 2,500 µg/ml ampicillin, as published; higher = fitter.
    Mean of proline substitutions {proline}, of all others {others}; mean at the catalytic residues 70, 73, 130, 166
    and 234 {active}.

    All {single} variants kept; score is the mean of two replicates (r = {r}), of the one measured for {missing}
    variants.
    """
    table = tem1_table(packages)
    wild, sites = tem1_wild(packages)
    place = {site: i + 1 for i, site in enumerate(sites)}
    two = table[["replicate_1", "replicate_2"]]
    letters = list(zip(table["wild"], table["site"], table["mutant"]))
    frame = pd.DataFrame(
        {
            "mutation": [f"{a}{place[s]}{b}" for a, s, b in letters],
            "published": [f"{a}{s}{b}" for a, s, b in letters],
            "n_mutations": 1,
            "score": two.mean(axis=1),
            "replicate_1": two["replicate_1"],
            "replicate_2": two["replicate_2"],
        }
    )
    facts = proline_facts(frame) | {"single": len(frame), "missing": int(two.isna().any(axis=1).sum())}
    facts["r"] = f"{two.corr().iloc[0, 1]:.2f}"
    facts["active"] = f"{frame.loc[table['site'].isin([70, 73, 130, 166, 234]), 'score'].mean():.2f}"
    return csv_gz(frame), len(frame), facts


@dataset("gb1", "dms/gb1.csv.gz", "mavenn", MAVENN + "nisthal_data.csv.gz", "MIT", NISTHAL, "variants")
def gb1(packages):
    """Stability of single mutants of the B1 domain of protein G, measured one by one.

    Score: the source's folding free energy change (kcal/mol) with its sign turned, so that higher = more stable. In
    the source positive is destabilising; turned, the mean of proline substitutions is {proline}, of all others
    {others}, at the buried residues 5, 26, 30, 52 and 54 {core}.

    All {single} variants kept; mutations read off the sequences, because three names of the source carry two or three
    labels. The source's sequences start at residue 2: residue 1, methionine, was not varied.
    """
    frame, facts = named_variants(*mavenn_table(packages, "nisthal_data.csv.gz"), 1, 1, -1)
    sites = frame["mutation"].str[1:-1].astype(int)
    facts["core"] = f"{frame.loc[sites.isin([5, 26, 30, 52, 54]), 'score'].mean():.2f}"
    return csv_gz(frame), len(frame), facts | proline_facts(frame)


@dataset("abeta42", "dms/abeta42.csv.gz", "mavenn", MAVENN + "amyloid_data.csv.gz", "MIT", SEUMA, "variants")
def abeta42(packages):
    """Amyloid beta 42: how fast single and double mutants nucleate amyloid fibrils, measured in yeast.

    Score: nucleation score (log scale, wild type 0), as published; higher = nucleates more. "Fit" here means that the
    peptide still forms fibrils, not that the cell is well. Variants with a stop codon, left out here, have a mean of
    {stop}; all single substitutions {mean}.

    {single} single and {double} double mutants; {stops} variants with a stop codon dropped.
    """
    table, wild = mavenn_table(packages, "amyloid_data.csv.gz")
    frame, facts = named_variants(table, wild, 0, 0, 1)
    facts |= {"stop": stop_score(table, 1), "mean": f"{frame.loc[frame['n_mutations'] == 1, 'score'].mean():.2f}"}
    return csv_gz(frame), len(frame), facts


@dataset("tdp43", "dms/tdp43.csv.gz", "mavenn", MAVENN + "tdp43_data.csv.gz", "MIT", BOLOGNESI, "variants")
def tdp43(packages):
    """TDP-43, prion-like domain: growth of yeast that makes too much of each single or double mutant.

    Score: the source's toxicity relative to the wild type (0) with its sign turned, so that higher = the yeast grows
    better. In the source high means toxic: variants cut short by a stop codon, harmless and left out here, have a
    turned mean of {stop}. The wild type is toxic itself, so a mutation that breaks the protein can score high: a test
    of what "fitness" means.

    {single} single and {double} double mutants; {stops} variants with a stop codon dropped.
    """
    table, wild = mavenn_table(packages, "tdp43_data.csv.gz")
    frame, facts = named_variants(table, wild, 0, 289, -1)
    return csv_gz(frame), len(frame), facts | {"stop": stop_score(table, -1)}


def haemagglutinin(packages):
    """The protein of the WSN haemagglutinin gene, without the stop."""
    (coding,) = [
        s.upper() for s in read_fasta(packages.member("dms_tools2", "examples/Doud2016/data/WSN-HA.fasta")).values()
    ]
    letters = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
    protein = "".join(
        letters[16 * "TCAG".index(a) + 4 * "TCAG".index(b) + "TCAG".index(c)]
        for a, b, c in zip(coding[::3], coding[1::3], coding[2::3])
    )
    return protein.removesuffix("*")


@dataset(
    "ha_preferences",
    "dms/ha_preferences.csv.gz",
    "dms_tools2",
    HA_CSV,
    "facts taken from the publication (package: GPL-3, no code used)",
    DOUD,
    "sites",
)
def ha_preferences(packages):
    """Influenza haemagglutinin (A/WSN/1933): which amino acids each site prefers when all are offered to the virus.

    Score: preference in 0-1, each row sums to 1, as published; higher = preferred. The wild type is the favourite at
    {favourite} % of the sites; log2 of a mutant's preference over the wild type's is the usual score of a mutation.

    All {sites} sites, mean of the replicates; columns in the order LAGVSERTIDPKQNFYMHWC.
    """
    table = pd.read_csv(packages.member("dms_tools2", HA_CSV)).rename(columns={"site": "position"})
    table.insert(1, "wild", list(haemagglutinin(packages)))
    favourite = (table[list(COLUMNS)].idxmax(axis=1) == table["wild"]).mean()
    facts = {"favourite": f"{100 * favourite:.1f}", "sites": len(table)}
    return csv_gz(table[["position", "wild", *COLUMNS]]), len(table), facts

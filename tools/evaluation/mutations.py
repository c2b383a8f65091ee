"""Zero-shot scores of deep mutational scans, against baselines that never saw the model."""

import numpy as np
from biotite.sequence.align import SubstitutionMatrix
from tqdm.auto import tqdm

from plmcourse import datasets, scoring
from plmcourse.metrics import bootstrap_ci, spearman
from plmcourse.sequences import RESIDUES

SCANS = ("tem1", "gb1", "abeta42", "tdp43", "ha")
MODEL = ("masked_marginals", "wild_type_marginals")
BASELINES = ("blosum62", "background", "profile")
# Meta's 8M in ProteinGym; for GB1 it is another scan (Olson 2014, binding) than the one used here (stability)
PUBLISHED = {"tem1": 0.399, "gb1": 0.280, "tdp43": 0.121, "ha": -0.004}
SITE_INDEPENDENT = {"tem1": 0.466, "tdp43": 0.097, "ha": 0.478}  # same benchmark, counts of an alignment
N_BOOT = 500


def load_scan(name):
    """Single mutants of one scan: DataFrame with the columns mutation and score (higher = fitter)."""
    if name != "ha":
        table = datasets.load(name)
        return table.loc[table["n_mutations"] == 1, ["mutation", "score"]].reset_index(drop=True)
    # preferences (shares of the 20 residues at a site) become scores as log2 of mutant over wild type
    table = datasets.load("ha_preferences").melt(["position", "wild"], list(RESIDUES), "mutant", "share")
    own = table[table["mutant"] == table["wild"]].set_index("position")["share"]
    table["score"] = np.log2(table["share"] / table["position"].map(own))
    table["mutation"] = table["wild"] + table["position"].astype(str) + table["mutant"]
    return table.loc[table["mutant"] != table["wild"], ["mutation", "score"]].reset_index(drop=True)


def blosum_table(sequence):
    """BLOSUM62 score of every substitution, shape [L, 20]."""
    matrix = SubstitutionMatrix.std_protein_matrix()
    return np.array([[matrix.get_score(wild, residue) for residue in RESIDUES] for wild in sequence], float)


def log_odds_table(probabilities, sequence):
    """log p(residue) - log p(wild type) of a table of probabilities, both of shape [L, 20]."""
    logs = np.log(probabilities)
    return logs - logs[np.arange(len(sequence)), [RESIDUES.index(letter) for letter in sequence]][:, None]


def background_frequencies():
    """Share of each of the 20 residues in the pretraining sample."""
    text = "".join(datasets.load("pretrain_train").values())
    counts = np.array([text.count(residue) for residue in RESIDUES], float)
    return counts / counts.sum()


def profile_of(sequence):
    """Profile of homologs, [L, 20], of a test chain as long as this protein and at least 90 % identical; or None."""
    for chain in datasets.chains("chains_test"):
        other = chain["sequence"]
        if len(other) == len(sequence) and np.mean([a == b for a, b in zip(sequence, other)]) >= 0.9:
            profile = chain["profile"].astype(float)
            return profile / profile.sum(1, keepdims=True)
    return None


def baseline_tables(sequence):
    """Tables [L, 20] of the scores that need no model: dict of name to array."""
    background, profile = background_frequencies(), profile_of(sequence)
    tables = {
        "blosum62": blosum_table(sequence),
        "background": log_odds_table(np.tile(background, (len(sequence), 1)), sequence),
    }
    if profile is not None:  # a tenth of the background keeps residues that no homolog has from being impossible
        tables["profile"] = log_odds_table(0.9 * profile + 0.1 * background, sequence)
    return tables


def over_positions(statistic, positions, *columns):
    """A statistic of mutants, its interval from drawing whole positions: the mutants of one have much in common.

    Parameters
    ----------
    statistic : callable
        Takes the columns, returns a float.
    positions : array, shape [mutants]
    *columns : arrays, shape [mutants]

    Returns
    -------
    value, low, high : float
    """
    rows = [np.flatnonzero(positions == position) for position in np.unique(positions)]

    def of(drawn):
        chosen = np.concatenate([rows[i] for i in drawn])
        return statistic(*(column[chosen] for column in columns))

    return bootstrap_ci(of, np.arange(len(rows)), n_boot=N_BOOT)


def compare(tables, sequence, scan):
    """Spearman correlations of score tables with a scan.

    Parameters
    ----------
    tables : dict of str to array [L, 20]
        Those of the model (``MODEL``) and of baselines (``BASELINES``).
    sequence : str
    scan : DataFrame with mutation and score

    Returns
    -------
    dict
        ``mutants``; each table as [rho, low, high]; ``gain``, the rho of masked marginals minus that of BLOSUM62.
    """
    score, positions = scan["score"].to_numpy(), scan["mutation"].str[1:-1].astype(int).to_numpy()
    values = {name: scoring.additive_scores(table, sequence, scan["mutation"]) for name, table in tables.items()}
    found = {name: over_positions(spearman, positions, column, score) for name, column in values.items()}
    found["gain"] = over_positions(
        lambda a, b, y: spearman(a, y) - spearman(b, y),
        positions,
        values["masked_marginals"],
        values["blosum62"],
        score,
    )
    return {"mutants": len(scan)} | found


def measure(plm, names=SCANS):
    """All figures of this section: dict of scan to what :func:`compare` returns."""
    figures, wild_types = {}, datasets.load("wild_types")
    for name in tqdm(names, desc="scans", unit="scan", leave=False):
        sequence = wild_types[name]
        tables = {
            "masked_marginals": scoring.masked_marginals(plm, sequence).numpy(),
            "wild_type_marginals": scoring.wild_type_marginals(plm, sequence).numpy(),
        }
        figures[name] = compare(tables | baseline_tables(sequence), sequence, load_scan(name))
    return figures

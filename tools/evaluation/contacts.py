"""Contacts read from attention maps, against a ranking by distance along the chain."""

import numpy as np
import sklearn
import torch
from sklearn.linear_model import LogisticRegression
from tqdm.auto import tqdm

from plmcourse import datasets
from plmcourse.metrics import bootstrap_ci

CUTOFF = 8.0  # Å between C-beta atoms
FIT_SEPARATION, LONG_RANGE = 6, 24
N_FIT, SEED, PENALTY = 20, 0, 0.15  # chains and C of the head, as in Rao et al. 2021
PUBLISHED = 0.159  # Meta's 8M on its own, larger set of chains


def virtual_cb(xyz):
    """C-beta positions, built from the backbone so that glycine has one too.

    Parameters
    ----------
    xyz : array, shape [L, >= 3, 3]
        N, CA, C (and more) in Å.

    Returns
    -------
    array, shape [L, 3]

    Source: Dauparas et al. 2022, Science 378:49, supplement (the coefficients of ideal geometry).
    """
    n, ca, c = (xyz[:, atom].astype(float) for atom in range(3))
    b, d = ca - n, c - ca
    return -0.58273431 * np.cross(b, d) + 0.56802827 * b - 0.54067466 * d + ca


def contact_map(xyz):
    """True where two C-beta atoms lie closer than 8 Å, [L, L]."""
    cb = virtual_cb(xyz)
    return np.linalg.norm(cb[:, None] - cb[None], axis=-1) < CUTOFF


@torch.no_grad()
def attention_maps(plm, sequence):
    """Attention between residues, rows and columns of ``<cls>`` and ``<eos>`` dropped: array [layers, heads, L, L].

    Raises
    ------
    ValueError
        If the model was not loaded with ``attention="eager"``, and so gives no maps.
    """
    found = plm.forward(plm.tokenize([sequence]), output_attentions=True).attentions
    if not found or found[0] is None:
        raise ValueError('this model gives no attention maps: load it with attention="eager"')
    return torch.stack([layer[0, :, 1:-1, 1:-1] for layer in found]).float().cpu().numpy()


def apc(maps):
    """Average product correction: each entry minus (its row's sum x its column's sum) / sum of all. Shape [..., L, L].

    Source: Dunn et al. 2008, Bioinformatics 24:333.
    """
    rows, columns = maps.sum(-1, keepdims=True), maps.sum(-2, keepdims=True)
    return maps - rows * columns / maps.sum((-2, -1), keepdims=True)


def pairs(length, separation):
    """Indices (i, j) of all pairs with j - i >= separation, in the order of i, then j."""
    return np.triu_indices(length, separation)


def head_features(plm, sequence, separation):
    """Symmetrised, corrected attention of all heads at each pair: array [pairs, layers · heads], float32."""
    maps = attention_maps(plm, sequence)
    corrected = apc(maps + maps.swapaxes(-1, -2)).reshape(-1, len(sequence), len(sequence))
    i, j = pairs(len(sequence), separation)
    return corrected[:, i, j].T


def precision_at_l(scores, contacts, min_separation=LONG_RANGE):
    """Share of true contacts among the L best-scored pairs.

    Parameters
    ----------
    scores, contacts : array, shape [L, L]
        Only i < j counts; contacts are bool.
    min_separation : int
        Pairs closer than that along the chain do not count.

    Returns
    -------
    float
        Of all pairs where there are fewer than L; ties are broken by the order (i, j).

    Raises
    ------
    ValueError
        If the chain is too short to have such a pair.
    """
    i, j = pairs(len(contacts), min_separation)
    if len(i) == 0:
        raise ValueError(f"a chain of {len(contacts)} residues has no pair at separation {min_separation}")
    best = np.argsort(-scores[i, j], kind="stable")[: len(contacts)]
    return float(contacts[i, j][best].mean())


def _sparse_regression():
    # scikit-learn 1.8 renamed the way to ask for an L1 penalty
    renamed = tuple(map(int, sklearn.__version__.split(".")[:2])) >= (1, 8)
    l1 = {"l1_ratio": 1.0} if renamed else {"penalty": "l1"}
    return LogisticRegression(C=PENALTY, solver="liblinear", random_state=SEED, **l1)


def fit_head(plm, chains):
    """Sparse logistic regression from all heads to contacts, fitted on the pairs of these chains 6 or more apart.

    Source: Rao et al. 2021, ICLR, "Transformer protein language models are unsupervised structure learners".
    """
    features = [
        head_features(plm, chain["sequence"], FIT_SEPARATION) for chain in tqdm(chains, desc="maps", leave=False)
    ]
    truth = [contact_map(chain["xyz"])[pairs(len(chain["sequence"]), FIT_SEPARATION)] for chain in chains]
    return _sparse_regression().fit(np.concatenate(features), np.concatenate(truth))


def fit_distance(chains):
    """Logistic regression from the logarithm of the separation to contacts, on the same pairs: it knows no letter."""
    i, j = (np.concatenate(part) for part in zip(*(pairs(len(c["sequence"]), FIT_SEPARATION) for c in chains)))
    truth = [contact_map(chain["xyz"])[pairs(len(chain["sequence"]), FIT_SEPARATION)] for chain in chains]
    return LogisticRegression().fit(np.log(j - i)[:, None], np.concatenate(truth))


def _precision(score, chain):
    """P@L of scores given pair by pair, as :func:`head_features` orders them."""
    length = len(chain["sequence"])
    table = np.full((length, length), -np.inf)
    table[pairs(length, LONG_RANGE)] = score
    return precision_at_l(table, contact_map(chain["xyz"]))


def measure(plm, fit_on=None, test_on=None):
    """All figures of this section. The model must have been loaded with ``attention="eager"``."""
    if fit_on is None:
        everything = datasets.chains("chains_train")
        chosen = np.sort(np.random.default_rng(SEED).permutation(len(everything))[:N_FIT])
        fit_on = [everything[i] for i in chosen]
    test_on = datasets.chains("chains_test") if test_on is None else test_on
    head, distance, rows = fit_head(plm, fit_on), fit_distance(fit_on), []
    for chain in tqdm(test_on, desc="contacts", unit="chain", leave=False):
        i, j = pairs(len(chain["sequence"]), LONG_RANGE)
        by_head = head.decision_function(head_features(plm, chain["sequence"], LONG_RANGE))
        by_distance = distance.decision_function(np.log(j - i)[:, None])
        chance = contact_map(chain["xyz"])[i, j].mean()
        rows.append((_precision(by_head, chain), _precision(by_distance, chain), chance))
    model, baseline, chance = np.array(rows).T
    return {
        "chains": len(test_on),
        "chains_fitted": len(fit_on),
        "heads": head.coef_.size,
        "heads_used": int((head.coef_ != 0).sum()),
        "model": bootstrap_ci(np.mean, model),
        "distance": bootstrap_ci(np.mean, baseline),
        "chance": bootstrap_ci(np.mean, chance),
        "gain": bootstrap_ci(np.mean, model - baseline),
    }

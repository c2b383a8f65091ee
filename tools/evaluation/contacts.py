"""Contacts read from attention maps, against a ranking by distance along the chain."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from tqdm.auto import tqdm

from plmcourse import datasets
from plmcourse.contacts import RANGES, attention_maps, contact_map, fit_contact_head, pairs, precision_at_l
from plmcourse.metrics import bootstrap_ci

FIT_SEPARATION, LONG_RANGE = 6, RANGES["long"][0]
N_FIT, SEED = 20, 0  # chains of the head, as in Rao et al. 2021
PUBLISHED = 0.159  # Meta's 8M on its own, larger set of chains


def fit_head(plm, chains):
    """The course's contact head, fitted on these chains; the maps of one chain are in memory at a time."""
    maps = (attention_maps(plm, chain["sequence"]) for chain in tqdm(chains, desc="maps", leave=False))
    return fit_contact_head(maps, [contact_map(chain["xyz"]) for chain in chains], FIT_SEPARATION)


def fit_distance(chains):
    """Logistic regression from the logarithm of the separation to contacts, on the same pairs: it knows no letter."""
    i, j = (np.concatenate(part) for part in zip(*(pairs(len(c["sequence"]), FIT_SEPARATION) for c in chains)))
    truth = [contact_map(chain["xyz"])[pairs(len(chain["sequence"]), FIT_SEPARATION)] for chain in chains]
    return LogisticRegression().fit(np.log(j - i)[:, None], np.concatenate(truth))


def _by_separation(distance, length):
    """Scores [L, L] that know the separation of a pair and nothing else."""
    i, j = pairs(length, LONG_RANGE)
    scores = np.full((length, length), -np.inf)
    scores[i, j] = distance.decision_function(np.log(j - i)[:, None])
    return scores


def measure(plm, fit_on=None, test_on=None):
    """All figures of this section."""
    if fit_on is None:
        everything = datasets.chains("chains_train")
        chosen = np.sort(np.random.default_rng(SEED).permutation(len(everything))[:N_FIT])
        fit_on = [everything[i] for i in chosen]
    test_on = datasets.chains("chains_test") if test_on is None else test_on
    head, distance, rows = fit_head(plm, fit_on), fit_distance(fit_on), []
    for chain in tqdm(test_on, desc="contacts", unit="chain", leave=False):
        length, contacts = len(chain["sequence"]), contact_map(chain["xyz"])
        scores = head.predict(attention_maps(plm, chain["sequence"])), _by_separation(distance, length)
        rows.append((*(precision_at_l(s, contacts, LONG_RANGE) for s in scores), contacts[pairs(length, LONG_RANGE)].mean()))
    model, baseline, chance = np.array(rows).T
    return {
        "chains": len(test_on),
        "chains_fitted": len(fit_on),
        "heads": head.weight.size,
        "heads_used": int((head.weight != 0).sum()),
        "model": bootstrap_ci(np.mean, model),
        "distance": bootstrap_ci(np.mean, baseline),
        "chance": bootstrap_ci(np.mean, chance),
        "gain": bootstrap_ci(np.mean, model - baseline),
    }

"""Secondary structure read from hidden states by a linear probe, against letters and against random weights."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from tqdm.auto import tqdm

from plmcourse import datasets, models
from plmcourse.embeddings import hidden_states
from plmcourse.metrics import bootstrap_ci
from plmcourse.sequences import RESIDUES

THREE_STATE = {"H": 0, "G": 0, "I": 0, "E": 1, "B": 1}  # everything else is coil: 2
VALIDATION, SEED = 0.2, 0  # share of the training chains that choose the layer
PER_LAYER = 20_000  # residues to fit one candidate layer on; the chosen one is fitted on all
PUBLISHED = 0.753  # Meta's 8M, frozen, a trained head on other chains (Schmirler et al. 2024)


def three_states(chain):
    """Helix 0, strand 1, other 2 for each residue, from the eight states of DSSP."""
    return np.array([THREE_STATE.get(letter, 2) for letter in chain["ss"]])


def one_hot_window(sequence, reach):
    """One-hot letters of the residue and ``reach`` neighbours on each side, [L, 20 · (2 · reach + 1)], float32."""
    letters = np.pad(np.array([RESIDUES.index(letter) for letter in sequence]), reach, constant_values=len(RESIDUES))
    letter_of = np.eye(len(RESIDUES) + 1, len(RESIDUES), dtype=np.float32)  # beyond the ends: all zeros
    return np.concatenate([letter_of[letters[shift : shift + len(sequence)]] for shift in range(2 * reach + 1)], axis=1)


def fit_probe(x, y):
    """A function from vectors to states: logistic regression on standardised columns."""
    scaler = StandardScaler().fit(x)
    model = LogisticRegression(C=0.01, max_iter=500).fit(scaler.transform(x), y)
    return lambda vectors: model.predict(scaler.transform(vectors))


def _stack(parts, of):
    return np.concatenate([parts[i] for i in of])


def choose_layer(features, states):
    """The hidden state that a probe reads best on training chains set aside for this; the test chains are not touched.

    Parameters
    ----------
    features : list (hidden states) of list (chains) of array [L, dim]
    states : list (chains) of array [L]

    Returns
    -------
    int
    """
    fit, check = datasets.cluster_split(np.arange(len(states)), VALIDATION, SEED)
    y, y_check = _stack(states, fit), _stack(states, check)
    rows = np.random.default_rng(SEED).permutation(len(y))[:PER_LAYER]
    scores = []
    for layer in tqdm(features, desc="layers", unit="layer", leave=False):
        predict = fit_probe(_stack(layer, fit)[rows], y[rows])
        scores.append(np.mean(predict(_stack(layer, check)) == y_check))
    return int(np.argmax(scores))


def right_residues(train, states, test, truth):
    """Number of right predictions for each test chain, from one kind of vectors (lists of arrays [L, dim])."""
    predict = fit_probe(np.concatenate(train), np.concatenate(states))
    return np.array([np.sum(predict(vectors) == true) for vectors, true in zip(test, truth)])


def of_model(plm, train, states, test, truth):
    """Layer chosen, and right predictions of each test chain, for the hidden states of a model."""
    depth = plm.config.num_hidden_layers
    seen = [s.numpy() for s in hidden_states(plm, [c["sequence"] for c in train], range(depth + 1))]
    layer = choose_layer([[s[k] for s in seen] for k in range(depth + 1)], states)
    new = [s[0].numpy() for s in hidden_states(plm, [c["sequence"] for c in test], [layer])]
    return layer, right_residues([s[layer] for s in seen], states, new, truth)


def random_like(plm):
    """The architecture of a model with random weights, on its device."""
    config = plm.config
    twin = models.untrained(config.num_hidden_layers, config.hidden_size, config.num_attention_heads, seed=SEED)
    twin.model.to(plm.device)
    return twin


def measure(plm, train=None, test=None):
    """All figures of this section: accuracies as [value, low, high], the interval over test chains."""
    train = datasets.chains("secondary_structure_train") if train is None else train
    test = datasets.chains("secondary_structure_test") if test is None else test
    states, truth = ([three_states(chain) for chain in chains] for chains in (train, test))
    right = {}
    layer, right["model"] = of_model(plm, train, states, test, truth)
    random_layer, right["random_weights"] = of_model(random_like(plm), train, states, test, truth)
    for name, reach in (("residue", 0), ("window_of_7", 3)):
        windows = [[one_hot_window(chain["sequence"], reach) for chain in chains] for chains in (train, test)]
        right[name] = right_residues(windows[0], states, windows[1], truth)
    size = np.array([len(states) for states in truth])

    def share(hits, total):
        return hits.sum() / total.sum()

    found = {
        "chains": len(test),
        "residues": int(size.sum()),
        "chains_fitted": len(train),
        "layer": layer,
        "random_layer": random_layer,
    }
    found |= {name: bootstrap_ci(share, hits, size) for name, hits in right.items()}
    for name in ("residue", "window_of_7", "random_weights"):
        found[f"gain_over_{name}"] = bootstrap_ci(share, right["model"] - right[name], size)
    return found

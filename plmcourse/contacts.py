"""From attention to contacts: maps, average product correction, a sparse regression over all heads, precision at L.

The method is that of Rao et al. 2021, "Transformer protein language models are unsupervised structure learners", ICLR.
"""
from dataclasses import dataclass

import numpy as np
import sklearn
import torch
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

CUTOFF = 8.0  # Å between C-beta atoms, as in CASP
RANGES = {"short": (6, 11), "medium": (12, 23), "long": (24, None)}  # separations along the chain, both ends included


@torch.no_grad()
def each_layer(plm, sequence, use):
    """Run the model and call ``use(layer, maps)`` layer by layer; only one layer's maps are in memory at a time.

    Parameters
    ----------
    plm : PLM
        Loaded with any attention implementation. "sdpa" never writes the maps down, so "eager" stands in during this call.
    sequence : str, length L
    use : callable
        Gets the layer's number, from 0, and its maps: a float32 Tensor [heads, L, L] on the model's device, the attention
        that residue i (row) pays to residue j (column). ``<cls>`` and ``<eos>`` are left out, so a row sums to less than 1.

    Raises
    ------
    ValueError
        If the sequence is not one, see :meth:`PLM.tokenize`.
    """
    def hook(number):
        def see(module, inputs, output):
            use(number, output[1][0, :, 1:-1, 1:-1].float())  # what a hook returns would replace the output

        return see

    tokens, loaded_with = plm.tokenize([sequence]), plm.config._attn_implementation
    hooks = [layer.attention.self.register_forward_hook(hook(number))
             for number, layer in enumerate(plm.model.esm.encoder.layer)]
    plm.model.set_attn_implementation("eager")
    try:
        plm.model.esm(input_ids=tokens, attention_mask=torch.ones_like(tokens))
    finally:
        plm.model.set_attn_implementation(loaded_with)
        for handle in hooks:
            handle.remove()


def attention_maps(plm, sequence):
    """Attention between the residues of a protein, all layers and heads at once: Tensor [layers, heads, L, L], on the CPU.

    This takes 4 · layers · heads · L² bytes, 2.8 GB for 1,024 residues and the 650M model; :func:`each_layer` needs a
    layer's share of it.
    """
    found = []
    each_layer(plm, sequence, lambda _, maps: found.append(maps.cpu()))
    return torch.stack(found)


def apc(maps):
    """Average product correction: each entry minus (sum of its row · sum of its column) / sum of all.

    What a row and a column have in common with everything is taken away; what a pair has for itself is left.

    Parameters
    ----------
    maps : array or Tensor, shape [..., L, L]
        Each map is corrected by itself; a map of zeros stays as it is.

    Returns
    -------
    the same kind and shape

    Source: Dunn et al. 2008, Bioinformatics 24:333.
    """
    total = maps.sum((-2, -1), keepdims=True)
    return maps - maps.sum(-1, keepdims=True) * maps.sum(-2, keepdims=True) / (total + (total == 0))


def beta_carbons(structure):
    """Positions of the C-beta atoms.

    Parameters
    ----------
    structure : biotite AtomArray, or array of shape [L, >= 3, 3]
        All atoms of one chain, or N, CA, C (and more) of each residue in Å. Where there is no C-beta, as in glycine or a
        backbone, it is built on N, CA and C with ideal geometry.

    Returns
    -------
    array, shape [L, 3], in Å

    Raises
    ------
    ValueError
        If the array has another shape, or a residue has neither C-beta nor the three atoms to build it on.

    Source of the ideal geometry: Dauparas et al. 2022, Science 378:49, supplement.
    """
    if hasattr(structure, "atom_name"):
        return _beta_carbons_of_atoms(structure)
    xyz = np.asarray(structure, float)
    if xyz.ndim != 3 or xyz.shape[1] < 3 or xyz.shape[2] != 3:
        raise ValueError(f"backbone coordinates have shape [L, 3 or more, 3], not {list(xyz.shape)}")
    n, ca, c = xyz[:, 0], xyz[:, 1], xyz[:, 2]
    b, d = ca - n, c - ca
    return -0.58273431 * np.cross(b, d) + 0.56802827 * b - 0.54067466 * d + ca


def _beta_carbons_of_atoms(atoms):
    from biotite.structure import filter_amino_acids, residue_iter

    found = []
    for residue in residue_iter(atoms[filter_amino_acids(atoms)]):
        at = dict(zip(residue.atom_name, residue.coord))
        if "CB" not in at and not {"N", "CA", "C"} <= at.keys():
            raise ValueError(f"residue {residue.res_name[0]} {residue.res_id[0]} has neither CB nor all of N, CA and C")
        found.append(at["CB"] if "CB" in at else beta_carbons([[at["N"], at["CA"], at["C"]]])[0])
    return np.array(found)


def contact_map(structure, cutoff=CUTOFF):
    """Which residues touch: C-beta atoms closer than ``cutoff`` Å, bool [L, L]; ``structure`` as in :func:`beta_carbons`."""
    beta = beta_carbons(structure)
    return np.linalg.norm(beta[:, None] - beta[None], axis=-1) < cutoff


def pairs(length, min_separation=6, max_separation=None):
    """Index arrays (i, j) of all pairs with min_separation <= j - i <= max_separation, ordered by i, then j."""
    i, j = np.triu_indices(length, min_separation)
    near = j - i <= (length if max_separation is None else max_separation)
    return i[near], j[near]


def precision_at_l(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """Share of true contacts among the best-scored pairs i < j: the L best, or a fraction of L.

    Parameters
    ----------
    scores, contacts : array, shape [L, L]
        Only the upper triangle is read; contacts are bool.
    min_separation, max_separation : int
        Which pairs compete: both ends included, see ``RANGES``.
    fraction : float
        1 for P@L, 0.5 for P@L/2, 0.2 for P@L/5. ``max(1, floor(fraction · L))`` pairs count, all where there are fewer.

    Returns
    -------
    float
        Ties are broken by the order of i, then j.

    Raises
    ------
    ValueError
        If the shapes differ or are not square, a score is nan, or the chain has no pair of such a separation.
    """
    scores, contacts = np.asarray(scores), np.asarray(contacts, bool)
    if scores.shape != contacts.shape or scores.ndim != 2 or len(scores) != scores.shape[-1]:
        raise ValueError(f"scores and contacts are square maps [L, L], not {list(scores.shape)} and {list(contacts.shape)}")
    i, j = pairs(len(scores), min_separation, max_separation)
    if len(i) == 0:
        raise ValueError(f"a chain of {len(scores)} residues has no pair at separation {min_separation}")
    if np.isnan(scores[i, j]).any():
        first = int(np.isnan(scores[i, j]).argmax())
        raise ValueError(f"the score of the pair ({i[first]}, {j[first]}) is nan: it has no rank")
    best = np.argsort(-scores[i, j], kind="stable")[: max(1, int(fraction * len(scores)))]
    return float(contacts[i, j][best].mean())


def symmetric_apc(maps):
    """Attention to and from, added up and corrected: what the regression sees. Shape [..., L, L]."""
    return apc(maps + maps.swapaxes(-1, -2))


@dataclass(frozen=True)
class ContactHead:
    """Logistic regression from all attention heads to contacts, as :func:`fit_contact_head` gives it.

    Attributes
    ----------
    weight : array, shape [layers, heads]
        Most are 0: the fit is sparse.
    bias : float
    """

    weight: np.ndarray
    bias: float

    def predict(self, maps):
        """Probability of a contact for each pair, from attention maps [layers, heads, L, L]: symmetric array [L, L].

        Raises
        ------
        ValueError
            If the maps come from a model with other layers or heads.
        """
        self._expect(tuple(maps.shape[:2]), "the maps have")
        return expit(self.bias + sum(self._layer(number, of_layer) for number, of_layer in enumerate(maps)))

    def predict_sequence(self, plm, sequence):
        """The same from the sequence, layer by layer: a long protein needs the memory of one layer's maps."""
        self._expect((plm.config.num_hidden_layers, plm.config.num_attention_heads), "the model has")
        logits = np.full((len(sequence), len(sequence)), self.bias)
        each_layer(plm, sequence, lambda number, maps: np.add(logits, self._layer(number, maps), out=logits))
        return expit(logits)

    def _expect(self, shape, who):
        if shape != self.weight.shape:
            fitted, given = (f"{layers} layers x {heads} heads" for layers, heads in (self.weight.shape, shape))
            raise ValueError(f"this head was fitted on {fitted}, {who} {given}")

    def _layer(self, number, maps):
        """Sum over heads of weight · symmetric_apc(map).

        APC takes an outer product away from each map. We add up maps and products, each with its weight, and correct the sum:
        a quarter of the memory traffic of correcting each map.
        """
        used = np.flatnonzero(self.weight[number])  # most heads have no weight
        maps = torch.as_tensor(maps)[torch.as_tensor(used)].float()
        weight = torch.as_tensor(self.weight[number, used]).to(maps)
        sums = maps.sum(-1) + maps.sum(-2)  # rows of map + transposed map, [heads, L]
        total = sums.sum(-1)
        added = torch.tensordot(weight, maps, 1)
        return (added + added.T - (sums.T * (weight / (total + (total == 0)))) @ sums).cpu().numpy()

    def save(self, path):
        """Write the head to an ``.npz`` file."""
        np.savez(path, weight=self.weight, bias=self.bias)

    @classmethod
    def load(cls, path):
        """Read a head that :meth:`save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            return cls(stored["weight"], float(stored["bias"]))


def fit_contact_head(maps, contacts, min_separation=6, c=0.15):
    """Fit a sparse (L1) logistic regression from all heads to contacts.

    Parameters
    ----------
    maps : iterable of arrays or Tensors, shape [layers, heads, L, L]
        One for each chain, of its own length; a generator keeps a single chain's maps in memory.
    contacts : iterable of bool arrays, shape [L, L]
    min_separation : int
        Pairs closer than that along the chain are left out: they touch anyway.
    c : float
        Inverse strength of the penalty: smaller keeps fewer heads.

    Returns
    -------
    ContactHead

    Raises
    ------
    ValueError
        If the training pairs hold no contact, or nothing but contacts.

    Source: Rao et al. 2021, section 3.
    """
    features, truth = [], []
    for chain_maps, chain_contacts in zip(maps, contacts, strict=True):
        shape, (i, j) = chain_maps.shape[:2], pairs(len(chain_contacts), min_separation)
        corrected = symmetric_apc(torch.as_tensor(chain_maps)).flatten(0, 1).cpu().numpy()
        features.append(corrected[:, i, j].T)
        truth.append(np.asarray(chain_contacts)[i, j])
    truth = np.concatenate(truth)
    if truth.all() or not truth.any():
        raise ValueError(f"of {len(truth)} training pairs {truth.sum()} are contacts: a regression needs both kinds")
    fitted = sparse_regression(c).fit(np.concatenate(features), truth)
    return ContactHead(fitted.coef_.reshape(shape), float(fitted.intercept_[0]))


def sparse_regression(c):
    """scikit-learn's logistic regression with an L1 penalty of inverse strength ``c``, before it is fitted."""
    # scikit-learn 1.8 renamed the way to ask for it
    renamed = tuple(map(int, sklearn.__version__.split(".")[:2])) >= (1, 8)
    l1 = {"l1_ratio": 1.0} if renamed else {"penalty": "l1"}
    return LogisticRegression(C=c, solver="liblinear", random_state=0, **l1)


def head_profile(maps):
    """Where heads look: the share of a head's attention at |i - j| = 1, at 3 or 4 (a turn of a helix), and at 24 or more.

    Parameters
    ----------
    maps : array or Tensor, shape [layers, heads, L, L]

    Returns
    -------
    array, shape [layers, heads, 3]
    """
    maps = np.asarray(maps, float)
    position = np.arange(maps.shape[-1])
    apart = abs(position[:, None] - position)
    looked_at = (apart == 1, (apart == 3) | (apart == 4), apart >= 24)
    return np.stack([maps[..., where].sum(-1) for where in looked_at], -1) / maps.sum((-2, -1))[..., None]

"""A folding model small enough for a laptop: ESM-2's features → a distogram → coordinates, and how sure it is of them.

The parts are those of ESMFold in miniature: a residue state and a pair state from the language model, a head that turns the pair state into
a distribution over distances (a distogram), coordinates that agree with it, and the score the model expects for them. What is missing is
ESMFold's trunk of 48 blocks, its structure module, and a training set of hundreds of thousands of structures.
"""
import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from plmcourse.contacts import attention_maps, symmetric_apc
from plmcourse.embeddings import embed
from plmcourse.structures import RADIUS, THRESHOLDS, coordinates_from_distances, distances, natural_hand

# Upper edges of the distance bins in Å: half an Å wide where lDDT looks, wider beyond, the last bin open
EDGES = np.concatenate([np.arange(2.5, 20, 0.5), np.arange(20, 40, 2.5), np.arange(40, 71, 10)])
CENTRES = torch.tensor(np.concatenate([[2.0], (EDGES[1:] + EDGES[:-1]) / 2, [75.0]]), dtype=torch.float32)
FAR = 64  # residues so far apart along the chain, or farther, are treated alike
BOND = 3.8  # Å between neighbouring C-alpha atoms
_STEP = 0.25  # Å, of the table in which expected scores are looked up


class Features:
    """What the folding head sees of a protein: ESM-2's embeddings and attention maps, decorrelated and scaled.

    The raw features have very different spreads (a few channels of the hidden states outweigh all others), and from sixty proteins a head
    does not learn to put up with that. So their principal components are used, each with variance 1.

    Parameters
    ----------
    plm : PLM
    sequences : list of str
        The components are those of these proteins; the first twenty are enough.
    residue_channels, pair_channels : int
        How many components are kept.
    """

    def __init__(self, plm, sequences, residue_channels=64, pair_channels=16):
        self.plm = plm
        raw = [self._raw(sequence) for sequence in sequences[:20]]
        self.residue_scale = _decorrelation(np.concatenate([residues for residues, _ in raw]), residue_channels)
        self.pair_scale = _decorrelation(np.concatenate([pairs.flatten(0, 1)[::53] for _, pairs in raw]), pair_channels)

    def _raw(self, sequence):
        """Last hidden states [L, D], and the symmetric, APC-corrected maps of all heads [L, L, layers · heads]."""
        maps = symmetric_apc(attention_maps(self.plm, sequence)).flatten(0, 1).permute(1, 2, 0)
        return embed(self.plm, [sequence])[0].float().cpu(), maps.float()

    def __call__(self, sequence):
        """Residue features [L, residue_channels] and pair features [L, L, pair_channels] of a protein, as float32 Tensors."""
        return tuple(raw @ matrix + offset for raw, (matrix, offset) in zip(self._raw(sequence), (self.residue_scale, self.pair_scale)))


def _decorrelation(rows, channels):
    """Principal components of standardised channels, each with variance 1, as a matrix and an offset to apply to further rows."""
    fitted = make_pipeline(StandardScaler(), PCA(channels, whiten=True, random_state=0)).fit(rows)
    offset = fitted.transform(np.zeros((1, rows.shape[1])))
    return torch.tensor(fitted.transform(np.eye(rows.shape[1])) - offset).float(), torch.tensor(offset[0]).float()


def separation(length):
    """How far apart residues are along the chain, at most ``FAR``: LongTensor [L, L]."""
    position = torch.arange(length)
    return (position[:, None] - position).abs().clamp(max=FAR)


def distance_bins(xyz):
    """Number of the bin of each distance in a structure [L, 3]: LongTensor [L, L]."""
    return torch.tensor(np.digitize(distances(xyz), EDGES))


def separation_prior(structures):
    """The baseline that knows no sequence: how often each distance occurs at each separation along the chain.

    Parameters
    ----------
    structures : list of arrays, shape [L, 3]

    Returns
    -------
    Tensor, shape [FAR + 1, bins]
        Logarithms of probabilities.
    """
    counts = torch.full((FAR + 1, len(CENTRES)), 0.1)
    for xyz in structures:
        counts.index_put_((separation(len(xyz)), distance_bins(xyz)), torch.tensor(1.0), accumulate=True)
    return (counts / counts.sum(-1, keepdim=True)).log()


class FoldingHead(nn.Module):
    """From residue and pair features to a distogram.

    The pair state of residues i and j adds up what is known of them: both residues, the stretch of the chain between them, how long it
    is, and the attention between them. Two layers turn it into a correction of the prior, so an untrained head is the baseline itself.

    Parameters
    ----------
    prior : Tensor, shape [FAR + 1, bins]
        As :func:`separation_prior` gives it.
    residue_channels, pair_channels : int
        As in :class:`Features`.
    """

    def __init__(self, prior, residue_channels=64, pair_channels=16):
        super().__init__()
        hidden, state, dropout = 24, 32, 0.2  # small: sixty proteins do not teach a large head
        self.register_buffer("prior", prior)
        self.neighbours = nn.Conv1d(residue_channels, hidden, 5, padding=2)
        self.ends, self.product, self.between = (nn.Linear(hidden, state) for _ in range(3))
        self.apart = nn.Embedding(FAR + 1, state)
        self.attention = nn.Linear(pair_channels, state)
        self.dropout = nn.Dropout(dropout)
        self.correct = nn.Sequential(nn.LayerNorm(state), nn.Linear(state, 2 * state), nn.GELU(), nn.Dropout(dropout),
                                     nn.Linear(2 * state, len(CENTRES)))
        nn.init.zeros_(self.correct[-1].weight)
        nn.init.zeros_(self.correct[-1].bias)

    def forward(self, residues, pairs):
        """Logits of the distance bins [L, L, bins], symmetric, from features [L, residue_channels] and [L, L, pair_channels]."""
        x = self.dropout(F.gelu(self.neighbours(self.dropout(residues).T).T))
        apart = separation(len(x))
        ends, product = self.ends(x), self.product(x)
        z = (ends[:, None] + ends) + product[:, None] * product + self.between(stretch_means(x)) + self.apart(apart)
        z = z + self.attention(self.dropout(pairs))
        change = self.correct(z)
        return self.prior[apart] + (change + change.transpose(0, 1)) / 2


def stretch_means(x):
    """Mean of the rows from i to j, both included, for all i and j: [L, C] → [L, L, C]."""
    before = F.pad(x.cumsum(0), (0, 0, 1, 0))  # sums of the rows before each, and of all
    forward = before[None, 1:] - before[:-1, None]  # of the rows from i to j, where i <= j
    position = torch.arange(len(x))
    ordered = (position[:, None] <= position)[..., None]
    count = (position[:, None] - position).abs() + 1
    return torch.where(ordered, forward, forward.transpose(0, 1)) / count[..., None]


def fit_head(head, examples, epochs=6, seed=0):
    """Train a folding head by cross-entropy, one protein at a time.

    Parameters
    ----------
    head : FoldingHead
        Changed in place, and in eval mode afterwards.
    examples : list of (residues, pairs, xyz)
        Features as :class:`Features` gives them, and the structure [L, 3].
    epochs : int
    seed : int
        Of the order of the proteins and of dropout; the global random state is left as it was.

    Returns
    -------
    list of float
        Mean loss of each epoch, in nats.
    """
    optimizer = torch.optim.AdamW(head.parameters(), 3e-3, weight_decay=0.05)
    total = epochs * len(examples)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, 10 * (step + 1) / total) * (1 - step / total))
    losses, rng = [], np.random.default_rng(seed)
    head.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _ in tqdm(range(epochs), desc="epochs", mininterval=1):
            order = rng.permutation(len(examples))
            losses.append(float(np.mean([_step(head, optimizer, schedule, examples[number]) for number in order])))
    head.eval()
    return losses


def _step(head, optimizer, schedule, example):
    """One step on one protein; its loss before the step."""
    loss = distogram_loss(head, *example)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(head.parameters(), 1.0)
    optimizer.step()
    schedule.step()
    return loss.item()


def distogram_loss(head, residues, pairs, xyz):
    """Cross-entropy of one protein's distances in nats, a weighted mean over its pairs: a scalar with gradient.

    Pairs count by 1 / √(separation): of the L² pairs most are far apart, and their distances are the least predictable.
    """
    apart = separation(len(xyz))
    weight = torch.where(apart > 0, apart.clamp(min=1) ** -0.5, 0.0)
    each = F.cross_entropy(head(residues, pairs).permute(2, 0, 1)[None], distance_bins(xyz)[None], reduction="none")[0]
    return (each * weight).sum() / weight.sum()


@torch.no_grad()
def distogram(head, residues, pairs):
    """Probability of each distance bin for each pair of residues: Tensor [L, L, bins], summing to 1 over the bins."""
    return head(residues, pairs).softmax(-1)


def kept(softness=0.0):
    """Share of lDDT's thresholds that a distance d keeps when the native one is in bin b: Tensor [bins, steps of d].

    Bins beyond lDDT's radius count nothing. With ``softness`` (Å) the thresholds are rounded off, which gives a slope to follow.
    """
    steps = torch.arange(0, 30 + _STEP, _STEP)
    change = (CENTRES[:, None] - steps).abs()
    thresholds = torch.tensor(THRESHOLDS)[:, None, None]
    share = torch.sigmoid((thresholds - change) / softness) if softness else (change <= thresholds).float()
    return share.mean(0) * (CENTRES < RADIUS)[:, None]


def _look_up(table, d):
    """Value of each row of a table at the distance d, linear between its steps."""
    place = (d / _STEP).clamp(max=table.shape[-1] - 1.001)
    below = place.detach().long()[..., None]
    left, right = table.gather(-1, below)[..., 0], table.gather(-1, below + 1)[..., 0]
    return left + (right - left) * (place - below[..., 0])


def expected_lddt(probabilities, xyz):
    """The lDDT-Cα that a structure would have on average if native distances were drawn from the distogram.

    For each pair: how likely the native distance lies within lDDT's radius, and how likely the distance in the structure keeps it. It is the
    head's confidence in a structure, as pLDDT is ESMFold's.

    Parameters
    ----------
    probabilities : Tensor, shape [L, L, bins]
    xyz : array or Tensor, shape [L, 3]

    Returns
    -------
    Tensor, shape [L]
        Between 0 and 1.
    """
    others = 1 - torch.eye(len(xyz))
    near = (probabilities * (CENTRES < RADIUS)).sum(-1) * others
    score = _look_up(probabilities @ kept(), torch.as_tensor(distances(xyz)).float()) * others
    return score.sum(-1) / near.sum(-1).clamp(min=1e-9)


def fold_distogram(probabilities, steps=200):
    """A chain of C-alpha atoms that agrees with a distogram.

    Expected distances give a first structure by classical scaling. It is far from a chain, since uncertain distances all shrink to their
    mean. So gradient steps follow: first towards the expected distances, each pair weighted by how certain it is; then towards a high
    expected lDDT, with soft thresholds first and hard ones at the end, while neighbours stay 3.8 Å apart and others farther than 4 Å.

    Parameters
    ----------
    probabilities : Tensor, shape [L, L, bins]
    steps : int
        0 for the first structure alone.

    Returns
    -------
    float array, shape [L, 3], in Å
    """
    expected = (probabilities * CENTRES).sum(-1)
    expected = (expected + expected.T).fill_diagonal_(0) / 2
    variance = (probabilities * CENTRES ** 2).sum(-1) - expected ** 2
    i, j = torch.triu_indices(*expected.shape, 1)
    aim, certainty = expected[i, j], 1 / (variance[i, j].clamp(min=0) + 0.5)  # at most that of a distance known to half an Å or so
    certainty /= certainty.sum()
    near = (probabilities * (CENTRES < RADIUS)).sum(-1)
    share = (1 / near.sum(-1)[i] + 1 / near.sum(-1)[j]) / len(near)  # of a pair in the mean over residues

    tables = [(probabilities[i, j] @ kept(softness)) * share[:, None] for softness in (2.0, 1.5, 1.0, 0.5)]

    def stress(xyz, d, done):
        return (certainty * (d - aim) ** 2).sum()

    def disappointment(xyz, d, done):
        return strain(xyz, d, j - i) + 0.01 * stress(xyz, d, done) - _look_up(tables[int(4 * done)], d).sum()

    first = steps * 3 // 10
    xyz = natural_hand(_descend(coordinates_from_distances(expected.numpy()), stress, first, rate=2.0))
    return natural_hand(_descend(xyz, disappointment, steps - first, rate=1.0))


def _descend(xyz, loss_of, steps, rate):
    """Gradient steps of falling size on a loss of coordinates, distances of all pairs i < j, and share of the steps done."""
    xyz = torch.tensor(xyz, dtype=torch.float32, requires_grad=True)
    optimizer = torch.optim.Adam([xyz], lr=rate)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * (1.02 - step / steps)
        loss = loss_of(xyz, F.pdist(xyz), step / steps)  # distances in the order of triu_indices
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return xyz.detach().double().numpy()


def strain(xyz, d, apart):
    """What a chain must not do, as a penalty: bonds of another length than 3.8 Å, and residues closer than 4 Å to each other."""
    bonds = (xyz[1:] - xyz[:-1]).norm(dim=-1)
    clashes = (4.0 - d).clamp(min=0) * (apart > 2)
    return 0.02 * ((bonds - BOND) ** 2).mean() + 0.02 * (clashes ** 2).sum() / len(xyz)

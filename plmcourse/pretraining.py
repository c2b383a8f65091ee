"""Masked language modelling: hide residues, score the guesses, take a training step."""
import math
from concurrent.futures import ThreadPoolExecutor

import torch
import torch.nn.functional as F

from plmcourse.embeddings import batches
from plmcourse.sequences import IGNORE, MASK, PAD, RESIDUES, clean

FIRST, LAST = 4, 24  # ids of the 20 standard amino acids, as a slice


def is_residue(tokens):
    """True where a token is one of the 20 standard amino acids: all that is ever masked. Same shape as ``tokens``."""
    return (tokens >= FIRST) & (tokens < LAST)


def mask_tokens(tokens, generator, mask_prob=0.15):
    """Corrupt a batch as BERT does: of the selected residues 80 % become ``<mask>``, 10 % a random residue, 10 % stay.

    Parameters
    ----------
    tokens : LongTensor, shape [B, T]
        Not changed. Only the 20 standard residues (ids 4 to 23) are ever selected, each independently.
    generator : torch.Generator
        The only source of randomness.
    mask_prob : float
        Probability that a residue is selected.

    Returns
    -------
    corrupted, labels : LongTensor, shape [B, T]
        What the model sees, and what it must guess: the original id where selected, -100 elsewhere.

    Source: Devlin et al. 2019, NAACL, "BERT"; Lin et al. 2023, Science 379:1123, supplement A.2.
    """
    draw = torch.rand(tokens.shape, generator=generator)
    selected = (draw < mask_prob) & is_residue(tokens)
    fate = torch.rand(tokens.shape, generator=generator)
    random_residue = torch.randint(FIRST, LAST, tokens.shape, generator=generator)
    corrupted = tokens.masked_fill(selected & (fate < 0.8), MASK)
    corrupted = torch.where(selected & (fate >= 0.8) & (fate < 0.9), random_residue, corrupted)
    return corrupted, tokens.masked_fill(~selected, IGNORE)


def mlm_loss(logits, labels):
    """Mean negative log-probability of the true token over the labelled positions of the whole batch.

    Parameters
    ----------
    logits : Tensor, shape [B, T, V]
    labels : LongTensor, shape [B, T]
        -100 where nothing is to be guessed.

    Returns
    -------
    Tensor, a scalar in nats with a gradient, float32 or better

    Raises
    ------
    ValueError
        If no position is labelled: the mean of nothing is not a loss.
    """
    if not (labels != IGNORE).any():
        raise ValueError("no position is labelled (all labels are -100): there is nothing to average over")
    logits = logits if logits.dtype == torch.float64 else logits.float()
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORE)


def perplexity(logits, labels):
    """exp of :func:`mlm_loss`: among how many equally likely letters the model hesitates. A float."""
    return math.exp(mlm_loss(logits.detach(), labels).item())


def unigram_perplexity(train, test):
    """Perplexity on ``test`` of a model that only knows how common each amino acid is in ``train``.

    Parameters
    ----------
    train, test : list of str
        Proteins of standard amino acids.

    Returns
    -------
    float
        Frequencies with add-one smoothing over the 20 letters, so that a letter missing in ``train`` is not impossible.
    """
    train, test = ("".join(clean(s, f"sequence {i}", RESIDUES) for i, s in enumerate(part, 1)) for part in (train, test))
    total = len(train) + len(RESIDUES)
    nll = -sum(test.count(letter) * math.log((train.count(letter) + 1) / total) for letter in RESIDUES)
    return math.exp(nll / len(test))


def audit_masking(mask_fn):
    """Find the bugs of a masking function by running it: what :func:`mask_tokens` promises, tested point by point.

    Parameters
    ----------
    mask_fn : callable
        ``mask_fn(tokens, generator) -> (corrupted, labels)``, which should do what :func:`mask_tokens` does.

    Returns
    -------
    set of str, empty for a correct function
        "mutates_input"; "touches_special", a token that is no standard residue is changed or labelled; "bad_replacements",
        the residues put in include another id than 4 to 23, or lack one of these; "wrong_labels"; "wrong_rate" and
        "wrong_split", which are not judged when the labels are wrong; "ignores_generator".
    """
    tokens = torch.arange(33).repeat(200, 25)  # 5,000 of each id
    given = tokens.clone()
    corrupted, labels = mask_fn(given, torch.Generator().manual_seed(0))
    changed, labelled, residue = corrupted != tokens, labels != IGNORE, is_residue(tokens)
    put_in = set(corrupted[changed & (corrupted != MASK)].tolist())
    found = {"mutates_input": not torch.equal(given, tokens),
             "touches_special": bool(((changed | labelled) & ~residue).any()),
             "bad_replacements": bool(put_in) and put_in != set(range(FIRST, LAST)),
             "wrong_labels": _labels_are_wrong(tokens[residue], changed[residue], labels[residue]),
             "ignores_generator": _ignores_generator(mask_fn, tokens)}
    if not found["wrong_labels"]:
        seen, kept = corrupted[labelled & residue], ~changed[labelled & residue]
        masked, kept, rate = (float(part.float().mean()) for part in (seen == MASK, kept, labelled[residue]))
        found["wrong_rate"] = abs(rate - 0.15) > 0.01
        found["wrong_split"] = abs(masked - 0.8) > 0.015 or abs(kept - 0.105) > 0.015  # a twentieth of the draws hit the original
    return {name for name, guilty in found.items() if guilty}


def _labels_are_wrong(tokens, changed, labels):
    """Whether residues have another label than -100 or their own id, were changed without one, or are labelled one and all."""
    own, none = labels == tokens, labels == IGNORE
    return bool((~own & ~none).any() or (changed & ~own).any() or own.all())


def _ignores_generator(mask_fn, tokens):
    """Whether the same seed gives two results, or two seeds give the same."""
    first, again, other = (torch.cat(mask_fn(tokens.clone(), torch.Generator().manual_seed(seed))) for seed in (0, 0, 1))
    return not torch.equal(first, again) or torch.equal(first, other)


def random_crop(tokens, length, start):
    """At most ``length`` tokens of a protein, from ``start`` in [0, 1): 0 is the first window, just under 1 the last.

    ``<cls>`` and ``<eos>`` are tokens like the others: they are in the crop only where the protein really begins or ends.
    """
    first = int(start * max(1, len(tokens) - length + 1))
    return tokens[first:first + length]


@torch.no_grad()
def masked_nll(plm, sequences, mask_prob=0.15, seed=0):
    """Negative log-probabilities at masked residues of proteins that the model may not have seen.

    Parameters
    ----------
    plm : PLM
    sequences : list of str
    mask_prob : float
        Share of the residues of each protein that is replaced by ``<mask>``, all at once.
    seed : int
        The same seed masks the same residues, whatever the model.

    Returns
    -------
    list of Tensor, shape [masked residues of the protein], nats, in the order of the sequences
    """
    tokens = [plm.tokenize([sequence])[0].cpu() for sequence in sequences]
    hidden = [(torch.rand(len(row), generator=torch.Generator().manual_seed(seed + i)) < mask_prob) & is_residue(row)
              for i, row in enumerate(tokens)]
    found = [None] * len(tokens)
    for rows in batches([len(row) for row in tokens], plm.tokens_per_batch):
        seen = torch.nn.utils.rnn.pad_sequence([tokens[i].masked_fill(hidden[i], MASK) for i in rows], True, PAD)
        log_probs = plm.forward(seen.to(plm.device)).logits.float().log_softmax(-1).cpu()
        for place, i in enumerate(rows):
            where = hidden[i].nonzero()[:, 0]
            found[i] = -log_probs[place, where, tokens[i][where]]
    return found


def masked_perplexity(plm, sequences, mask_prob=0.15, seed=0):
    """exp of the mean of :func:`masked_nll` over all masked residues: 1 is certainty, 20 a guess. A float."""
    return math.exp(torch.cat(masked_nll(plm, sequences, mask_prob, seed)).mean().item())


def warm_up_and_decay(done, warm_up=0.02, decay=0.5):
    """Share of the full learning rate when a share ``done`` of the training is over: up, level, then down to 1 %."""
    return max(0.01, min(1.0, done / warm_up, (1 - done) / decay))


class Trainer:
    """Training steps for a model: Muon for the encoder's matrices, AdamW for everything else.

    Muon turns the momentum of a matrix into the nearest orthogonal matrix before it is applied, so that all directions
    learn at the same pace; a small model leaves the "only frequencies" plateau several times sooner than with AdamW alone.

    Parameters
    ----------
    model : transformers.EsmForMaskedLM
    muon_lr, adamw_lr : float
        Peak learning rates.
    workers : int
        Threads on a CPU. Each computes the gradients of whole microbatches on one core, which loses nothing to waiting;
        the sum is taken in a fixed order, so the result is the same each time. A GPU needs one.

    Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; torch.optim.Muon.
    """

    def __init__(self, model, muon_lr=0.02, adamw_lr=2e-3, workers=1):
        self.model, self.peak = model, (muon_lr, adamw_lr)
        # neither gets a gradient from this loss: the contact head, and the position table that rotary models never read
        named = [(name, p) for name, p in model.named_parameters() if "contact_head" not in name
                 and "position_embeddings" not in name]
        self.parameters = [p for _, p in named]
        matrices = [p for name, p in named if p.ndim == 2 and "encoder.layer" in name]
        others = [p for name, p in named if not (p.ndim == 2 and "encoder.layer" in name)]
        # Muon's own arithmetic is a tenth to a third of a step on a CPU: each worker does its share of the matrices
        self.muons = [torch.optim.Muon(matrices[i::workers], lr=muon_lr, momentum=0.95, weight_decay=0.01,
                                       adjust_lr_fn="original") for i in range(workers)]
        self.adamw = torch.optim.AdamW(others, lr=adamw_lr, betas=(0.9, 0.98), weight_decay=0.01)
        self.pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) if workers > 1 else None

    def step(self, microbatches, loss, rate=1.0):
        """One update from the gradients of several microbatches.

        Parameters
        ----------
        microbatches : list
            Anything that ``loss`` understands.
        loss : callable
            ``loss(model, microbatch) -> (sum, weight)``: the summed loss with its gradient, and the number of positions
            (or their weight) that it is a sum over.
        rate : float
            Share of the peak learning rates, from :func:`warm_up_and_decay`.

        Returns
        -------
        float
            The loss per position before the update, in nats.
        """
        def gradients(microbatch):
            total, weight = loss(self.model, microbatch)
            return total.item(), float(weight), torch.autograd.grad(total, self.parameters)

        spread = self.pool.map if self.pool else map
        totals, weights, grads = zip(*spread(gradients, microbatches))
        for parameter, parts in zip(self.parameters, zip(*grads)):
            parameter.grad = sum(parts) / sum(weights)
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for optimizer, peak in [*((muon, self.peak[0]) for muon in self.muons), (self.adamw, self.peak[1])]:
            for group in optimizer.param_groups:
                group["lr"] = peak * rate
        list(spread(lambda optimizer: optimizer.step(), [*self.muons, self.adamw]))
        return sum(totals) / sum(weights)

    def state_dict(self):
        """What the optimizers remember; with the model's weights it is everything that the next step depends on."""
        return [optimizer.state_dict() for optimizer in [*self.muons, self.adamw]]

    def load_state_dict(self, states):
        """Go on from there. The number of workers must be the same, since each has its share of Muon's momentum."""
        for optimizer, state in zip([*self.muons, self.adamw], states, strict=True):
            optimizer.load_state_dict(state)

"""Exercise 1.2, mlm_loss and perplexity."""
import math

import numpy as np
import torch
from torch.nn import functional

from plmcourse.pretraining import mlm_loss


def _labelled(labels):
    """Where there is a label; ValueError if nowhere."""
    known = labels != -100
    if not known.any():
        raise ValueError("no position has a label")
    return known


def wrong_mlm_loss__each_row_the_same(logits, labels):
    """Mean of the rows' means: a protein with few labels weighs as much as one with many.

    message: average within each row
    """
    _labelled(labels)
    losses = [functional.cross_entropy(row.float(), wanted) for row, wanted in zip(logits, labels)
              if (wanted != -100).any()]
    return torch.stack(losses).mean()


def wrong_mlm_loss__divides_by_all_positions(logits, labels):
    """Sums over the labelled positions, divides by B times T.

    message: divide by all positions
    """
    _labelled(labels)
    return functional.cross_entropy(logits.float().transpose(1, 2), labels, reduction="none").mean()


def wrong_mlm_loss__divides_by_rows(logits, labels):
    """Divides by the number of proteins.

    message: divide by the number of rows
    """
    _labelled(labels)
    return functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction="sum") / len(logits)


def wrong_mlm_loss__sum(logits, labels):
    """Sums and never divides.

    message: This is the sum
    """
    _labelled(labels)
    return functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction="sum")


def wrong_mlm_loss__one_per_position(logits, labels):
    """reduction="none": one number per position.

    message: The loss has shape [21]
    """
    _labelled(labels)
    return functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction="none")


def wrong_mlm_loss__unlabelled_as_zero(logits, labels):
    """Clamps -100 to 0: <cls> would have to be guessed wherever there is no label.

    message: as if token 0 were the answer
    """
    _labelled(labels)
    return functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten().clamp(min=0))


def wrong_mlm_loss__counts_from_the_end(logits, labels):
    """Indexes with -100 and adds those up too, modulo the vocabulary.

    message: label -100 count
    """
    _labelled(labels)
    log_probs = logits.float().log_softmax(-1)
    return -log_probs.gather(-1, (labels % logits.shape[-1]).unsqueeze(-1)).mean()


def wrong_mlm_loss__ignores_padding_id(logits, labels):
    """ignore_index=1: stops at -100.

    message: Target -100 is out of bounds
    """
    _labelled(labels)
    return functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=1)


def wrong_mlm_loss__label_zero_left_out(logits, labels):
    """`labels > 0` leaves out positions whose right token is 0.

    message: The label 0 is left out
    """
    _labelled(labels)
    known = labels > 0
    return functional.cross_entropy(logits.float()[known], labels[known])


def wrong_mlm_loss__first_row_only(logits, labels):
    """Only the first protein counts.

    message: The first row alone
    """
    _labelled(labels)
    return functional.cross_entropy(logits[0].float(), labels[0])


def wrong_mlm_loss__half_precision(logits, labels):
    """Computes in the precision of the logits: right for float32.

    message: work in float32
    """
    _labelled(labels)
    return functional.cross_entropy(logits.flatten(0, 1), labels.flatten())


def wrong_mlm_loss__float_too_late(logits, labels):
    """Rounds in half precision and converts the result.

    message: convert before the softmax
    """
    known = _labelled(labels)
    return functional.cross_entropy(logits[known], labels[known]).float()


def wrong_mlm_loss__softmax_in_half(logits, labels):
    """Only the mean is taken in float32.

    message: convert before the softmax
    """
    known = _labelled(labels)
    log_probs = logits[known].log_softmax(-1)
    return -log_probs[torch.arange(len(log_probs)), labels[known]].float().mean()


def wrong_mlm_loss__item(logits, labels):
    """Returns a Python number: nothing to train with.

    message: no .item()
    """
    _labelled(labels)
    return functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten()).item()


def wrong_mlm_loss__detached(logits, labels):
    """Cuts the gradient off.

    message: carries no gradient
    """
    _labelled(labels)
    return functional.cross_entropy(logits.detach().float().flatten(0, 1), labels.flatten())


def wrong_mlm_loss__no_grad(logits, labels):
    """Computes under torch.no_grad.

    message: carries no gradient
    """
    _labelled(labels)
    with torch.no_grad():
        return functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten())


def wrong_mlm_loss__new_leaf(logits, labels):
    """Wraps the number in a new tensor with requires_grad=True: a gradient that leads nowhere.

    message: does not reach the logits
    """
    _labelled(labels)
    loss = functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten()).item()
    return torch.tensor(loss, requires_grad=True)


def wrong_mlm_loss__numpy(logits, labels):
    """Computes in numpy: the value is right, the gradient lost.

    message: carries no gradient
    """
    known = _labelled(labels)
    rows = logits.detach()[known].double().numpy()
    largest = rows.max(1, keepdims=True)
    log_probs = rows - largest - np.log(np.exp(rows - largest).sum(1, keepdims=True))
    return torch.tensor(-log_probs[np.arange(len(rows)), labels[known].numpy()].mean())


def wrong_mlm_loss__softmax_over_positions(logits, labels):
    """log_softmax(1) runs over the positions, not over the tokens.

    message: softmax runs over the positions
    """
    known = _labelled(labels)
    log_probs = logits.float().log_softmax(1)[known]
    return -log_probs[torch.arange(len(log_probs)), labels[known]].mean()


def wrong_mlm_loss__no_softmax(logits, labels):
    """Averages raw logits.

    message: raw logits
    """
    known = _labelled(labels)
    chosen = logits[known].float()
    return -chosen[torch.arange(len(chosen)), labels[known]].mean()


def wrong_mlm_loss__softmax_twice(logits, labels):
    """Feeds probabilities to cross_entropy, which takes raw scores.

    message: wants raw logits
    """
    _labelled(labels)
    return functional.cross_entropy(logits.float().softmax(-1).flatten(0, 1), labels.flatten())


def wrong_mlm_loss__probabilities(logits, labels):
    """Mean of -p, no logarithm.

    message: no logarithm
    message: logarithm is missing
    message: mean probability
    message: probabilities themselves
    """
    known = _labelled(labels)
    probs = logits[known].float().softmax(-1)
    return -probs[torch.arange(len(probs)), labels[known]].mean()


def wrong_mlm_loss__log_of_the_mean(logits, labels):
    """-log of the mean probability.

    message: logarithm of the mean probability
    """
    known = _labelled(labels)
    probs = logits[known].float().softmax(-1)
    return -probs[torch.arange(len(probs)), labels[known]].mean().log()


def wrong_mlm_loss__base_two(logits, labels):
    """Bits instead of nats.

    message: base 2
    """
    _labelled(labels)
    return functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten()) / math.log(2)


def wrong_mlm_loss__sign(logits, labels):
    """Mean log-probability: the minus is missing.

    message: The sign is turned
    """
    _labelled(labels)
    return -functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten())


def wrong_mlm_loss__perplexity(logits, labels):
    """Returns exp of the loss.

    message: This is the perplexity
    """
    _labelled(labels)
    return functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten()).exp()


def wrong_mlm_loss__overflows(logits, labels):
    """exp of the raw logits: infinite for large ones.

    message: For large logits
    """
    known = _labelled(labels)
    exponentials = logits[known].float().exp()
    return -(exponentials[torch.arange(len(exponentials)), labels[known]] / exponentials.sum(-1)).log().mean()


def wrong_mlm_loss__underflows(logits, labels):
    """log of softmax instead of log_softmax: a very unlikely token gives infinity.

    message: For large logits
    """
    known = _labelled(labels)
    probs = logits[known].float().softmax(-1)
    return -probs[torch.arange(len(probs)), labels[known]].log().mean()


def wrong_mlm_loss__cut_off(logits, labels):
    """Adds 1e-3 inside the logarithm "for stability".

    message: not the mean negative log-probability
    message: For large logits
    """
    known = _labelled(labels)
    probs = logits[known].float().softmax(-1)
    return -(probs[torch.arange(len(probs)), labels[known]] + 1e-3).log().mean()


def wrong_mlm_loss__label_smoothing(logits, labels):
    """label_smoothing=0.1: another loss.

    message: not the mean negative log-probability
    """
    _labelled(labels)
    return functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), label_smoothing=0.1)


def wrong_mlm_loss__next_token(logits, labels):
    """Shifts by one, as in a causal model.

    message: causal
    """
    _labelled(labels)
    return functional.cross_entropy(logits[:, :-1].float().flatten(0, 1), labels[:, 1:].flatten())


def wrong_mlm_loss__reshaped(logits, labels):
    """reshape instead of transpose: numbers of other positions.

    message: reshape
    message: transpose
    message: view
    message: order of the axes
    """
    _labelled(labels)
    return functional.cross_entropy(logits.float().reshape(len(logits), -1, logits.shape[1]), labels)


def wrong_mlm_loss__not_transposed(logits, labels):
    """cross_entropy wants [B, V, T].

    message: stopped with
    """
    _labelled(labels)
    return functional.cross_entropy(logits.float(), labels)


def wrong_mlm_loss__twenty_residues(logits, labels):
    """Softmax over the 20 residues only.

    message: runs over 20 residues
    """
    known = _labelled(labels)
    return functional.cross_entropy(logits[known].float()[:, 4:24], (labels[known] - 4) % 20)


def wrong_mlm_loss__33_in_the_code(logits, labels):
    """A vocabulary of 33, whatever the logits' last axis is.

    message: stopped with
    """
    _labelled(labels)
    return functional.cross_entropy(logits.float().reshape(-1, 33), labels.flatten())


def wrong_mlm_loss__most_probable(logits, labels):
    """Surprise of the most probable token, not of the right one.

    message: not the mean negative log-probability
    message: most probable
    """
    known = _labelled(labels)
    return -logits[known].float().log_softmax(-1).max(-1).values.mean()


def wrong_mlm_loss__error_rate(logits, labels):
    """The share of wrong guesses.

    message: not the mean negative log-probability
    message: carries no gradient
    """
    known = _labelled(labels)
    return (logits[known].argmax(-1) != labels[known]).float().mean()


def wrong_mlm_loss__changes_labels(logits, labels):
    """Writes 0 into the caller's labels.

    message: changes its input
    """
    known = _labelled(labels)
    labels[~known] = 0
    losses = functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction="none")
    return losses[known.flatten()].mean()


def wrong_mlm_loss__changes_logits(logits, labels):
    """Subtracts the maximum in the caller's logits.

    message: changes its input
    """
    _labelled(labels)
    logits -= logits.max(-1, keepdim=True).values
    return functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten())


def wrong_mlm_loss__nan_without_labels(logits, labels):
    """Nothing labelled gives nan without a word.

    message: tensor(nan) where a ValueError
    """
    return functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten())


def wrong_mlm_loss__zero_without_labels(logits, labels):
    """Nothing labelled counts as a perfect model.

    message: where a ValueError
    """
    losses = functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction="sum")
    return losses / (labels != -100).sum().clamp(min=1)


def wrong_mlm_loss__assertion_without_labels(logits, labels):
    """AssertionError where a ValueError is asked for.

    message: AssertionError where a ValueError
    """
    assert (labels != -100).any()
    return functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten())


def wrong_mlm_loss__refuses_a_row_without_labels(logits, labels):
    """ValueError as soon as one protein has no label, though others have.

    message: stopped with ValueError
    """
    if not (labels != -100).any(1).all():
        raise ValueError("a protein without labels")
    return functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten())


def wrong_mlm_loss__swallows_errors(logits, labels):
    """Whatever goes wrong, the loss is zero.

    message: where a ValueError
    """
    try:
        _labelled(labels)
        return functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten())
    except ValueError:
        return logits.float().sum() * 0


def wrong_mlm_loss__list_of_one(logits, labels):
    """Returns shape [1] instead of a scalar.

    message: The loss has shape [1]
    """
    _labelled(labels)
    return functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten()).reshape(1)


def wrong_mlm_loss__nothing(logits, labels):
    """Forgets the return.

    message: is the line with 'return' missing?
    """
    _labelled(labels)
    functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten())


def right_mlm_loss__cross_entropy(logits, labels):
    if (labels == -100).all():
        raise ValueError("no position has a label")
    return functional.cross_entropy(logits.float().view(-1, logits.shape[-1]), labels.view(-1), ignore_index=-100)


def right_mlm_loss__transposed(logits, labels):
    if not (labels >= 0).any():
        raise ValueError("nothing to guess")
    return torch.nn.CrossEntropyLoss()(logits.to(torch.float32).transpose(1, 2), labels)


def right_mlm_loss__gather(logits, labels):
    known = labels >= 0
    if known.sum() == 0:
        raise ValueError("nothing to guess")
    log_probs = torch.log_softmax(logits[known].float(), dim=-1)
    return -log_probs.gather(1, labels[known][:, None]).mean()


def right_mlm_loss__log_sum_exp_in_double(logits, labels):
    known = labels.ne(-100)
    if not known.any():
        raise ValueError("nothing to guess")
    scores = logits[known].double()
    right = scores[range(len(scores)), labels[known]]
    return (scores.logsumexp(-1) - right).mean()


def right_mlm_loss__by_hand(logits, labels):
    known = labels != -100
    if known.sum() < 1:
        raise ValueError("nothing to guess")
    scores = logits.float()
    scores = scores - scores.max(dim=-1, keepdim=True).values
    log_probs = scores - scores.exp().sum(dim=-1, keepdim=True).log()
    one_hot = functional.one_hot(labels.clamp(min=0), logits.shape[-1]) * known.unsqueeze(-1)
    return -torch.einsum("btv,btv->", log_probs, one_hot.float()) / known.sum()


def right_mlm_loss__loops(logits, labels):
    losses = []
    for scores, wanted in zip(logits, labels.tolist()):
        for row, token in zip(scores, wanted):
            if token != -100:
                losses.append(-torch.log_softmax(row.double(), 0)[token])
    if not losses:
        raise ValueError("nothing to guess")
    return sum(losses) / len(losses)


def right_mlm_loss__nll_sum(logits, labels):
    """Sum over the rows, divided by all labels."""
    count = int((labels != -100).sum())
    if count == 0:
        raise ValueError("nothing to guess")
    total = sum(functional.nll_loss(row.float().log_softmax(-1), wanted, reduction="sum")
                for row, wanted in zip(logits, labels))
    return total / count


def wrong_perplexity__tensor(logits, labels):
    """Returns a tensor, not a number.

    message: asked for is a Python float
    """
    return mlm_loss(logits, labels).exp()


def wrong_perplexity__no_exponential(logits, labels):
    """Returns the loss.

    message: This is the loss
    """
    return mlm_loss(logits, labels).item()


def wrong_perplexity__power_of_two(logits, labels):
    """2 to the power of a loss in nats.

    message: 2 to the power
    """
    return 2 ** mlm_loss(logits, labels).item()


def wrong_perplexity__power_of_ten(logits, labels):
    """10 to the power of a loss in nats.

    message: 10 to the power
    message: not exp of the mean loss
    """
    return 10 ** mlm_loss(logits, labels).item()


def wrong_perplexity__sign(logits, labels):
    """exp of minus the loss: the mean probability, below 1.

    message: exp(-loss)
    """
    return math.exp(-mlm_loss(logits, labels).item())


def wrong_perplexity__mean_of_exponentials(logits, labels):
    """Averages exp(loss) of the positions, not exp of the average.

    message: mean of exp(loss)
    """
    known = _labelled(labels)
    return functional.cross_entropy(logits[known].float(), labels[known], reduction="none").exp().mean().item()


def wrong_perplexity__inverse_mean_probability(logits, labels):
    """1 / mean p.

    message: one over the mean probability
    """
    known = _labelled(labels)
    probs = logits[known].float().softmax(-1)
    return 1 / probs[torch.arange(len(probs)), labels[known]].mean().item()


def wrong_perplexity__mean_of_the_rows(logits, labels):
    """Mean of the proteins' perplexities.

    message: each row
    message: row's
    message: rows'
    message: proteins'
    """
    _labelled(labels)
    found = [mlm_loss(row[None], wanted[None]).exp().item() for row, wanted in zip(logits, labels)
             if (wanted != -100).any()]
    return sum(found) / len(found)


def wrong_perplexity__each_row_the_same(logits, labels):
    """exp of the mean of the proteins' losses.

    message: average within each row
    """
    _labelled(labels)
    found = [mlm_loss(row[None], wanted[None]).item() for row, wanted in zip(logits, labels)
             if (wanted != -100).any()]
    return math.exp(sum(found) / len(found))


def wrong_perplexity__sum(logits, labels):
    """exp of the sum.

    message: exp of the summed loss
    """
    return math.exp(mlm_loss(logits, labels).item() * int((labels != -100).sum()))


def wrong_perplexity__all_positions(logits, labels):
    """Divides by all positions before the exponential.

    message: divide by all positions
    """
    return math.exp(mlm_loss(logits, labels).item() * (labels != -100).float().mean().item())


def wrong_perplexity__half_precision(logits, labels):
    """exp in half precision: three digits.

    message: not exp of the mean loss
    message: work in float32
    """
    return mlm_loss(logits, labels).to(torch.bfloat16).exp().item()


def wrong_perplexity__entropy_of_the_model(logits, labels):
    """exp of the entropy of the predictions; the right token is never looked at.

    message: not exp of the mean loss
    message: entropy
    """
    known = _labelled(labels)
    log_probs = logits[known].float().log_softmax(-1)
    return math.exp(-(log_probs.exp() * log_probs).sum(-1).mean().item())


def wrong_perplexity__rounded(logits, labels):
    """Rounds to one digit.

    message: not exp of the mean loss
    message: round
    """
    return round(math.exp(mlm_loss(logits, labels).item()), 1)


def wrong_perplexity__expm1(logits, labels):
    """exp(loss) - 1.

    message: not exp of the mean loss
    """
    return math.expm1(mlm_loss(logits, labels).item())


def wrong_perplexity__of_the_vocabulary(logits, labels):
    """Divides by the size of the vocabulary.

    message: not exp of the mean loss
    """
    return math.exp(mlm_loss(logits, labels).item()) / logits.shape[-1]


def wrong_perplexity__text(logits, labels):
    """Returns formatted text.

    message: asked for is a Python float
    """
    return f"{math.exp(mlm_loss(logits, labels).item()):.6f}"


def wrong_perplexity__nothing(logits, labels):
    """Forgets the return.

    message: is the line with 'return' missing?
    """
    math.exp(mlm_loss(logits, labels).item())


def right_perplexity__math_exp(logits, labels):
    return math.exp(mlm_loss(logits, labels).item())


def right_perplexity__torch(logits, labels):
    return torch.exp(mlm_loss(logits, labels)).item()


def right_perplexity__float(logits, labels):
    return float(mlm_loss(logits, labels).detach().double().exp())


def right_perplexity__power(logits, labels):
    return math.e ** float(mlm_loss(logits, labels).detach())


def right_perplexity__geometric_mean(logits, labels):
    """Inverse of the geometric mean of the probabilities."""
    known = _labelled(labels)
    log_probs = logits[known].double().log_softmax(-1)
    return 1 / math.exp(np.mean([row[token].item() for row, token in zip(log_probs, labels[known])]))


def right_perplexity__numpy(logits, labels):
    """numpy throughout; np.float64 is a float."""
    ids = labels.numpy()
    if not (ids != -100).any():
        raise ValueError("nothing to guess")
    rows = logits.detach().float().numpy().astype(np.float64)[ids != -100]
    largest = rows.max(1)
    log_sums = largest + np.log(np.exp(rows - largest[:, None]).sum(1))
    return np.exp((log_sums - rows[np.arange(len(rows)), ids[ids != -100]]).mean())


def right_perplexity__base_two(logits, labels):
    """Bits and powers of two: the same number."""
    return 2.0 ** (mlm_loss(logits, labels).item() / math.log(2))

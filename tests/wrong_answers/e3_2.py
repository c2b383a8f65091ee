"""Exercise 3.2, mean_pool."""
import numpy as np
import torch


def wrong_mean_pool__everything(hidden, tokens):
    """Averages over all columns: <cls>, <eos> and padding count.

    message: counts <cls> and <eos>
    """
    return hidden.float().mean(1)


def wrong_mean_pool__counts_padding(hidden, tokens):
    """Leaves out <cls> and <eos>, but padding counts.

    message: counts padding.
    """
    mask = ((tokens != 0) & (tokens != 2)).unsqueeze(-1)
    return (hidden.float() * mask).sum(1) / mask.sum(1)


def wrong_mean_pool__counts_bos_and_eos(hidden, tokens):
    """Leaves out padding only.

    message: counts <cls> and <eos>
    """
    mask = (tokens != 1).unsqueeze(-1)
    return (hidden.float() * mask).sum(1) / mask.sum(1)


def wrong_mean_pool__counts_bos(hidden, tokens):
    """<cls> counts.

    message: counts <cls>.
    """
    mask = ((tokens != 1) & (tokens != 2)).unsqueeze(-1)
    return (hidden.float() * mask).sum(1) / mask.sum(1)


def wrong_mean_pool__counts_eos(hidden, tokens):
    """<eos> counts.

    message: counts <eos>.
    """
    mask = ((tokens != 1) & (tokens != 0)).unsqueeze(-1)
    return (hidden.float() * mask).sum(1) / mask.sum(1)


def wrong_mean_pool__padding_is_zero(hidden, tokens):
    """Believes that id 0 is padding, as the lecture says.

    message: counts <eos>.
    """
    mask = (tokens > 0).unsqueeze(-1)
    return (hidden.float() * mask).sum(1) / mask.sum(1)


def wrong_mean_pool__divides_by_all_columns(hidden, tokens):
    """Sums the residues only, but divides by the width of the batch.

    message: you divide by all columns of the batch
    """
    mask = ((tokens >= 4) & (tokens <= 28)).unsqueeze(-1)
    return (hidden.float() * mask).mean(1)


def wrong_mean_pool__divides_by_width_minus_two(hidden, tokens):
    """Divides by the width minus two: right for the longest protein of a batch.

    message: you divide by the residues of the longest protein
    """
    mask = ((tokens >= 4) & (tokens <= 28)).unsqueeze(-1)
    return (hidden.float() * mask).sum(1) / (tokens.shape[1] - 2)


def wrong_mean_pool__sum(hidden, tokens):
    """Sums and never divides.

    message: This is the sum over the residues
    """
    mask = ((tokens >= 4) & (tokens <= 28)).unsqueeze(-1)
    return (hidden.float() * mask).sum(1)


def wrong_mean_pool__first_and_last_column(hidden, tokens):
    """Cuts the first and last column: right for one protein, not in a padded batch.

    message: You cut off the first and the last column
    """
    return hidden[:, 1:-1].float().mean(1)


def wrong_mean_pool__mask_of_the_first(hidden, tokens):
    """Uses the first protein's mask for all: right when all are equally long.

    message: You use the first protein's residues for all proteins
    """
    mask = (tokens[0] >= 4) & (tokens[0] <= 28)
    return hidden[:, mask].float().mean(1)


def wrong_mean_pool__counts_mask_token(hidden, tokens):
    """Everything from id 4 counts, <mask> (32) too.

    message: counts <mask> (id 32)
    """
    mask = (tokens >= 4).unsqueeze(-1)
    return (hidden.float() * mask).sum(1) / mask.sum(1)


def wrong_mean_pool__by_place(hidden, tokens):
    """Everything between <cls> and <eos> counts, a <mask> too.

    message: counts <mask> (id 32)
    """
    lengths = (tokens != 1).sum(1) - 2
    return torch.stack([hidden[i, 1:n + 1].float().mean(0) for i, n in enumerate(lengths)])


def wrong_mean_pool__standard_only(hidden, tokens):
    """Leaves out X, B, U, Z and O (24 to 28).

    message: leaves out X (id 24)
    """
    mask = ((tokens >= 4) & (tokens <= 23)).unsqueeze(-1)
    return (hidden.float() * mask).sum(1) / mask.sum(1)


def wrong_mean_pool__from_five(hidden, tokens):
    """`> 4` leaves out leucine, id 4.

    message: leaves out L (id 4)
    """
    mask = ((tokens > 4) & (tokens <= 28)).unsqueeze(-1)
    return (hidden.float() * mask).sum(1) / mask.sum(1)


def wrong_mean_pool__to_cysteine_excluded(hidden, tokens):
    """range(4, 23) leaves out cysteine, id 23.

    message: leaves out C (id 23)
    """
    mask = torch.isin(tokens, torch.tensor([*range(4, 23), *range(24, 29)])).unsqueeze(-1)
    return (hidden.float() * mask).sum(1) / mask.sum(1)


def wrong_mean_pool__last_residue_lost(hidden, tokens):
    """Slices one short: the last residue does not count.

    message: Your average lacks the last residue
    """
    lengths = (tokens != 1).sum(1) - 2
    return torch.stack([hidden[i, 1:n].float().mean(0) for i, n in enumerate(lengths)])


def wrong_mean_pool__starts_at_bos(hidden, tokens):
    """The right number of rows, but from <cls> on.

    message: begins at <cls> and lacks the last residue
    """
    lengths = (tokens != 1).sum(1) - 2
    return torch.stack([hidden[i, :n].float().mean(0) for i, n in enumerate(lengths)])


def wrong_mean_pool__max(hidden, tokens):
    """Takes the maximum instead of the mean.

    message: max pooling
    """
    mask = ((tokens >= 4) & (tokens <= 28)).unsqueeze(-1)
    return hidden.masked_fill(~mask, float("-inf")).max(1).values


def wrong_mean_pool__median(hidden, tokens):
    """Takes the median instead of the mean.

    message: The result is not the mean over the residues
    """
    return torch.stack([h[(t >= 4) & (t <= 28)].median(0).values for h, t in zip(hidden, tokens)])


def wrong_mean_pool__bos_vector(hidden, tokens):
    """Returns the vector of <cls>, as for BERT.

    message: This is the vector of <cls> alone
    """
    return hidden[:, 0]


def wrong_mean_pool__mutates(hidden, tokens):
    """Sets the other rows of the caller's tensor to zero.

    message: changes its input: argument 1
    """
    mask = (tokens >= 4) & (tokens <= 28)
    hidden[~mask] = 0
    return hidden.sum(1) / mask.sum(1, keepdim=True)


def wrong_mean_pool__multiplies_in_place(hidden, tokens):
    """`hidden *= mask` changes the caller's tensor.

    message: changes its input: argument 1
    """
    mask = ((tokens >= 4) & (tokens <= 28)).unsqueeze(-1)
    hidden *= mask
    return hidden.sum(1) / mask.sum(1)


def wrong_mean_pool__half_sum(hidden, tokens):
    """Sums in the input's half precision: right for float32.

    message: add up in float32
    """
    mask = ((tokens >= 4) & (tokens <= 28)).unsqueeze(-1)
    return (hidden * mask).sum(1) / mask.sum(1)


def wrong_mean_pool__keepdim(hidden, tokens):
    """Returns [B, 1, D].

    message: the result has shape [2, 1, 3]
    """
    mask = ((tokens >= 4) & (tokens <= 28)).unsqueeze(-1)
    return (hidden.float() * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True)


def wrong_mean_pool__wrong_axis(hidden, tokens):
    """Averages over the features: one number per token.

    message: the result has shape [2, 5]
    """
    return hidden.float().mean(-1)


def wrong_mean_pool__over_the_batch(hidden, tokens):
    """Averages over the proteins as well: one vector.

    message: the result has shape [3]
    """
    mask = (tokens >= 4) & (tokens <= 28)
    return hidden[mask].float().mean(0)


def wrong_mean_pool__divides_by_residues_of_batch(hidden, tokens):
    """Divides by the residues of the whole batch: right for one protein.

    message: you divide by the residues of the whole batch
    """
    mask = ((tokens >= 4) & (tokens <= 28)).unsqueeze(-1)
    return (hidden.float() * mask).sum(1) / mask.sum()


def wrong_mean_pool__mean_length(hidden, tokens):
    """Divides by the mean length of the batch: right when all are equally long.

    message: you divide by the mean length
    """
    mask = ((tokens >= 4) & (tokens <= 28)).unsqueeze(-1)
    return (hidden.float() * mask).sum(1) / mask.sum(1).float().mean()


def wrong_mean_pool__only_first_protein(hidden, tokens):
    """Returns the first protein's vector only.

    message: the result has shape [1, 3]
    """
    mask = (tokens[0] >= 4) & (tokens[0] <= 28)
    return hidden[0][mask].mean(0, keepdim=True)


def wrong_mean_pool__nothing(hidden, tokens):
    """Forgets the return.

    message: is the line with 'return' missing?
    """
    mask = ((tokens >= 4) & (tokens <= 28)).unsqueeze(-1)
    pooled = (hidden.float() * mask).sum(1) / mask.sum(1)  # noqa: F841


def right_mean_pool__loop(hidden, tokens):
    pooled = []
    for vectors, ids in zip(hidden, tokens):
        keep = [i for i, token in enumerate(ids.tolist()) if 4 <= token <= 28]
        pooled.append(vectors[keep].float().mean(dim=0))
    return torch.stack(pooled)


def right_mean_pool__vectorised(hidden, tokens):
    mask = ((tokens >= 4) & (tokens <= 28)).unsqueeze(-1)
    return (hidden.float() * mask).sum(1) / mask.sum(1)


def right_mean_pool__einsum(hidden, tokens):
    weight = ((tokens > 3) & (tokens < 29)).float()
    weight = weight / weight.sum(1, keepdim=True)
    return torch.einsum("bt,btd->bd", weight, hidden.float())


def right_mean_pool__numpy(hidden, tokens):
    values, ids = hidden.detach().float().cpu().numpy(), tokens.cpu().numpy()
    residue = np.isin(ids, np.arange(4, 29))
    return torch.from_numpy(np.stack([v[r].mean(0) for v, r in zip(values, residue)]))


def right_mean_pool__double(hidden, tokens):
    mask = ((tokens >= 4) & (tokens <= 28)).unsqueeze(-1)
    return (hidden.double() * mask).sum(1) / mask.sum(1)


def right_mean_pool__nanmean(hidden, tokens):
    mask = ((tokens >= 4) & (tokens <= 28)).unsqueeze(-1)
    return hidden.float().masked_fill(~mask, float("nan")).nanmean(1)

"""Exercise 5.2, ResidueClassifier and align_labels."""
import copy

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

PAD, IGNORE = 1, -100


class Classifier(nn.Module):
    """A classifier as it should be, in small methods: an answer changes one of them."""

    def __init__(self, backbone, classes, dropout=0.1):
        super().__init__()
        self.backbone = backbone
        self.head = self.make_head(backbone.config.hidden_size, classes, dropout)

    def make_head(self, dim, classes, dropout):
        return nn.Sequential(nn.Dropout(dropout), nn.Linear(dim, classes))

    def encode(self, tokens):
        """[B, T] -> [B, T, D]"""
        return self.backbone(tokens, attention_mask=tokens != PAD).last_hidden_state

    def forward(self, tokens):
        return self.head(self.encode(tokens))


# ----------------------------------------------------------------------------------------------- ResidueClassifier

class wrong_ResidueClassifier__softmax(Classifier):
    """Returns probabilities.

    message: softmax
    """

    def forward(self, tokens):
        return super().forward(tokens).softmax(-1)


class wrong_ResidueClassifier__softmax_in_the_head(Classifier):
    """The head ends with a softmax layer.

    message: softmax
    """

    def make_head(self, dim, classes, dropout):
        return nn.Sequential(nn.Dropout(dropout), nn.Linear(dim, classes), nn.Softmax(dim=-1))


class wrong_ResidueClassifier__softmax_over_tokens(Classifier):
    """softmax(1): over the positions.

    message: softmax
    """

    def forward(self, tokens):
        return super().forward(tokens).softmax(1)


class wrong_ResidueClassifier__log_softmax(Classifier):
    """Returns log-probabilities.

    message: softmax
    """

    def forward(self, tokens):
        return F.log_softmax(super().forward(tokens), dim=-1)


class wrong_ResidueClassifier__argmax(Classifier):
    """Returns the best class of each token.

    message: shape
    message: argmax
    """

    def forward(self, tokens):
        return super().forward(tokens).argmax(-1)


class wrong_ResidueClassifier__classes_in_the_middle(Classifier):
    """[B, classes, T], as cross_entropy wants it.

    message: shape
    """

    def forward(self, tokens):
        return super().forward(tokens).transpose(1, 2)


class wrong_ResidueClassifier__batch_in_the_middle(Classifier):
    """[T, B, classes].

    message: shape
    """

    def forward(self, tokens):
        return super().forward(tokens).transpose(0, 1)


class wrong_ResidueClassifier__flattened(Classifier):
    """[B * T, classes].

    message: shape
    """

    def forward(self, tokens):
        return super().forward(tokens).flatten(0, 1)


class wrong_ResidueClassifier__ends_cut_off(Classifier):
    """[B, T - 2, classes]: without the first and the last column.

    message: shape
    """

    def forward(self, tokens):
        return super().forward(tokens)[:, 1:-1]


class wrong_ResidueClassifier__residues_only(Classifier):
    """[residues of the batch, classes].

    message: shape
    """

    def forward(self, tokens):
        return super().forward(tokens)[(tokens >= 4) & (tokens <= 28)]


class wrong_ResidueClassifier__one_per_protein(Classifier):
    """The mean over the residues, as in 5.1: [B, classes].

    message: shape
    """

    def encode(self, tokens):
        mask = ((tokens >= 4) & (tokens <= 28)).unsqueeze(-1)
        return (super().encode(tokens) * mask).sum(1) / mask.sum(1)


class wrong_ResidueClassifier__mean_for_every_residue(Classifier):
    """The right shape, but each residue gets the mean of its protein.

    message: mean
    message: own vector
    message: same
    message: each residue
    """

    def encode(self, tokens):
        hidden, mask = super().encode(tokens), ((tokens >= 4) & (tokens <= 28)).unsqueeze(-1)
        return ((hidden * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True)).expand_as(hidden)


class wrong_ResidueClassifier__moved_by_one(Classifier):
    """Drops the row of <cls> and fills up at the end: each residue gets its neighbour's logits.

    message: shift
    message: neighbour
    message: moved
    message: own vector
    """

    def encode(self, tokens):
        return super().encode(tokens).roll(-1, dims=1)


class wrong_ResidueClassifier__no_attention_mask(Classifier):
    """Residues attend to padding.

    message: attention
    """

    def encode(self, tokens):
        return self.backbone(tokens).last_hidden_state


class wrong_ResidueClassifier__attention_mask_of_zeros(Classifier):
    """Believes that padding is id 0: hides <cls> and shows padding.

    message: attention
    message: padding
    """

    def encode(self, tokens):
        return self.backbone(tokens, attention_mask=tokens != 0).last_hidden_state


class wrong_ResidueClassifier__attention_to_residues_only(Classifier):
    """<cls> and <eos>, which ESM-2 knows, are hidden from the residues.

    message: attention
    message: <cls>
    """

    def encode(self, tokens):
        return self.backbone(tokens, attention_mask=(tokens >= 4) & (tokens <= 28)).last_hidden_state


class wrong_ResidueClassifier__first_hidden_state(Classifier):
    """The embedding layer's output: no residue has seen another.

    message: last
    message: layer
    """

    def encode(self, tokens):
        return self.backbone(tokens, attention_mask=tokens != PAD, output_hidden_states=True).hidden_states[0]


class wrong_ResidueClassifier__layer_before_the_last(Classifier):
    """hidden_states[-2].

    message: last
    """

    def encode(self, tokens):
        return self.backbone(tokens, attention_mask=tokens != PAD, output_hidden_states=True).hidden_states[-2]


class wrong_ResidueClassifier__frozen_in_init(Classifier):
    """Freezes the backbone: nothing is left to thaw on purpose.

    message: requires_grad
    message: frozen
    message: freeze
    """

    def __init__(self, backbone, classes, dropout=0.1):
        super().__init__(backbone, classes, dropout)
        self.backbone.requires_grad_(False)


class wrong_ResidueClassifier__no_grad(Classifier):
    """The backbone runs under torch.no_grad.

    message: gradient
    message: no_grad
    """

    def encode(self, tokens):
        with torch.no_grad():
            return super().encode(tokens)


class wrong_ResidueClassifier__copied_backbone(Classifier):
    """Trains a copy: the backbone that was passed never changes.

    message: copy
    message: copies
    """

    def __init__(self, backbone, classes, dropout=0.1):
        super().__init__(copy.deepcopy(backbone), classes, dropout)


class wrong_ResidueClassifier__two_outputs(Classifier):
    """Always two classes.

    message: shape
    message: classes
    """

    def make_head(self, dim, classes, dropout):
        return super().make_head(dim, 2, dropout)


class wrong_ResidueClassifier__one_output_more(Classifier):
    """A class for "no label".

    message: shape
    message: classes
    """

    def make_head(self, dim, classes, dropout):
        return super().make_head(dim, classes + 1, dropout)


class wrong_ResidueClassifier__no_dropout(Classifier):
    """The argument is never used.

    message: dropout
    """

    def make_head(self, dim, classes, dropout):
        return nn.Linear(dim, classes)


class wrong_ResidueClassifier__fixed_dropout(Classifier):
    """0.1 whatever the caller says.

    message: dropout
    """

    def make_head(self, dim, classes, dropout):
        return super().make_head(dim, classes, 0.1)


class wrong_ResidueClassifier__dropout_always_on(Classifier):
    """F.dropout drops by default, in evaluation too.

    message: dropout
    """

    def __init__(self, backbone, classes, dropout=0.1):
        super().__init__(backbone, classes, dropout)
        self.head, self.dropout = nn.Linear(backbone.config.hidden_size, classes), dropout

    def encode(self, tokens):
        return F.dropout(super().encode(tokens), self.dropout)


class wrong_ResidueClassifier__head_in_eval(Classifier):
    """Puts the head in evaluation mode at each call: dropout never drops.

    message: dropout
    """

    def forward(self, tokens):
        self.head.eval()
        return super().forward(tokens)


class wrong_ResidueClassifier__other_names(Classifier):
    """Calls them esm and classifier, as transformers does.

    message: backbone
    message: head
    """

    def __init__(self, backbone, classes, dropout=0.1):
        nn.Module.__init__(self)
        self.esm, self.classifier = backbone, self.make_head(backbone.config.hidden_size, classes, dropout)

    def forward(self, tokens):
        return self.classifier(self.esm(tokens, attention_mask=tokens != PAD).last_hidden_state)


class wrong_ResidueClassifier__nothing(Classifier):
    """Forgets the return.

    message: is the line with 'return' missing?
    """

    def forward(self, tokens):
        super().forward(tokens)


class right_ResidueClassifier__own_dropout(nn.Module):
    """A plain linear head, the dropout a module beside it."""

    def __init__(self, backbone, classes, dropout=0.1):
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(backbone.config.hidden_size, classes)

    def forward(self, tokens):
        output = self.backbone(input_ids=tokens, attention_mask=(tokens != 1).long())
        return self.head(self.dropout(output.last_hidden_state))


class right_ResidueClassifier__mlp(nn.Module):
    """A head with a hidden layer."""

    def __init__(self, backbone, classes, dropout=0.1):
        super().__init__()
        dim = backbone.config.hidden_size
        self.backbone = backbone
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Dropout(dropout),
                                  nn.Linear(2 * dim, classes))

    def forward(self, tokens):
        return self.head(self.backbone(tokens, attention_mask=tokens.ne(1))[0])


class right_ResidueClassifier__zeros_off_the_residues(nn.Module):
    """The rows that mean nothing are set to zero; F.dropout knows whether the model trains."""

    def __init__(self, backbone, classes, dropout=0.1):
        super().__init__()
        self.backbone, self.p = backbone, dropout
        self.head = nn.Linear(backbone.config.hidden_size, classes)

    def forward(self, tokens):
        hidden = self.backbone(tokens, attention_mask=tokens != 1).last_hidden_state
        logits = self.head(F.dropout(hidden, self.p, training=self.training))
        return logits * ((tokens >= 4) & (tokens <= 28)).unsqueeze(-1)


class right_ResidueClassifier__one_protein_at_a_time(nn.Module):
    """Cuts the padding off, needs no mask, and puts the padding back."""

    def __init__(self, backbone, classes, dropout=0.1):
        super().__init__()
        self.backbone, self.classes = backbone, classes
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(backbone.config.hidden_size, classes))

    def forward(self, tokens):
        logits = []
        for row in tokens:
            own = self.head(self.backbone(row[row != 1][None]).last_hidden_state[0])
            logits.append(torch.cat([own, own.new_zeros(len(row) - len(own), self.classes)]))
        return torch.stack(logits)


# ---------------------------------------------------------------------------------------------------- align_labels

def residues(tokens):
    return (tokens >= 4) & (tokens <= 28)


def refuse(labels, tokens):
    """The ValueError that is asked for."""
    if len(labels) != len(tokens):
        raise ValueError(f"{len(labels)} lists of labels for {len(tokens)} proteins")
    for number, (own, row) in enumerate(zip(labels, tokens)):
        if len(own) != int(residues(row).sum()):
            raise ValueError(f"protein {number}: {len(own)} labels for {int(residues(row).sum())} residues")


def wrong_align_labels__from_bos_on(labels, tokens):
    """The first label stands at <cls>: all are one place too early.

    message: <cls>
    message: shift
    """
    refuse(labels, tokens)
    aligned = torch.full_like(tokens, IGNORE)
    for number, own in enumerate(labels):
        aligned[number, :len(own)] = torch.as_tensor(own)
    return aligned


def wrong_align_labels__one_too_late(labels, tokens):
    """The last label stands at <eos>.

    message: <eos>
    message: shift
    """
    refuse(labels, tokens)
    aligned = torch.full_like(tokens, IGNORE)
    for number, own in enumerate(labels):
        aligned[number, 2:2 + len(own)] = torch.as_tensor(own)
    return aligned


def wrong_align_labels__rolled(labels, tokens):
    """Moved by one among the residues: each has the label of the one before, as for predicting the next token.

    message: shift
    message: neighbour
    message: moved
    message: early
    message: late
    """
    refuse(labels, tokens)
    aligned = torch.full_like(tokens, IGNORE)
    for number, own in enumerate(labels):
        aligned[number, residues(tokens[number])] = torch.as_tensor(own).roll(1).to(tokens.dtype)
    return aligned


def wrong_align_labels__without_ends(labels, tokens):
    """[B, T - 2]: no places for <cls> and <eos>.

    message: shape
    """
    refuse(labels, tokens)
    aligned = torch.full_like(tokens[:, 2:], IGNORE)
    for number, own in enumerate(labels):
        aligned[number, :len(own)] = torch.as_tensor(own)
    return aligned


def wrong_align_labels__cut_to_the_shortest(labels, tokens):
    """As many columns as the shortest protein has residues.

    message: shape
    """
    refuse(labels, tokens)
    shortest = min(map(len, labels))
    return torch.stack([torch.as_tensor(own[:shortest]).long() for own in labels])


def wrong_align_labels__list(labels, tokens):
    """A list with a tensor per protein, each as long as the protein.

    message: list
    message: shape
    message: kind
    message: ensor
    """
    refuse(labels, tokens)
    return [torch.as_tensor(own).long() for own in labels]


def wrong_align_labels__one_row(labels, tokens):
    """All labels in one row.

    message: shape
    """
    refuse(labels, tokens)
    aligned = torch.full_like(tokens, IGNORE)
    aligned[residues(tokens)] = torch.cat([torch.as_tensor(own).long() for own in labels])
    return aligned.flatten()


def wrong_align_labels__padding_is_zero(labels, tokens):
    """Padding gets class 0.

    message: padding
    """
    refuse(labels, tokens)
    aligned = torch.full_like(tokens, IGNORE)
    aligned[tokens == PAD] = 0
    for number, own in enumerate(labels):
        aligned[number, residues(tokens[number])] = torch.as_tensor(own).long()
    return aligned


def wrong_align_labels__zeros(labels, tokens):
    """Begins with zeros: everything off the residues is class 0.

    message: -100
    """
    refuse(labels, tokens)
    aligned = torch.zeros_like(tokens)
    for number, own in enumerate(labels):
        aligned[number, residues(tokens[number])] = torch.as_tensor(own).long()
    return aligned


def wrong_align_labels__minus_one(labels, tokens):
    """-1 where there is no residue.

    message: -100
    """
    refuse(labels, tokens)
    aligned = torch.full_like(tokens, -1)
    for number, own in enumerate(labels):
        aligned[number, residues(tokens[number])] = torch.as_tensor(own).long()
    return aligned


def wrong_align_labels__padding_token(labels, tokens):
    """Pads labels as tokens are padded, with 1: that is a class.

    message: -100
    message: padding
    """
    refuse(labels, tokens)
    aligned = torch.full_like(tokens, PAD)
    for number, own in enumerate(labels):
        aligned[number, residues(tokens[number])] = torch.as_tensor(own).long()
    return aligned


def wrong_align_labels__ends_labelled(labels, tokens):
    """<cls> gets the first residue's label and <eos> the last one's.

    message: <cls>
    message: <eos>
    """
    refuse(labels, tokens)
    aligned = torch.full_like(tokens, IGNORE)
    for number, own in enumerate(labels):
        own = torch.as_tensor(own).long()
        aligned[number, :len(own) + 2] = torch.cat([own[:1], own, own[-1:]])
    return aligned


def wrong_align_labels__bos_is_class_zero(labels, tokens):
    """Places count from 1, and the first column keeps a 0.

    message: <cls>
    """
    refuse(labels, tokens)
    aligned = torch.full_like(tokens, IGNORE)
    aligned[:, 0] = 0
    for number, own in enumerate(labels):
        aligned[number, residues(tokens[number])] = torch.as_tensor(own).long()
    return aligned


def wrong_align_labels__eos_is_class_zero(labels, tokens):
    """Everything before the padding that has no label gets 0: <eos>.

    message: <eos>
    """
    refuse(labels, tokens)
    aligned = torch.full_like(tokens, IGNORE)
    aligned[tokens == 2] = 0
    for number, own in enumerate(labels):
        aligned[number, residues(tokens[number])] = torch.as_tensor(own).long()
    return aligned


def wrong_align_labels__from_the_end(labels, tokens):
    """Counts from the last column, where only the longest protein has its <eos>.

    message: padding
    message: <eos>
    message: shift
    """
    refuse(labels, tokens)
    aligned = torch.full_like(tokens, IGNORE)
    for number, own in enumerate(labels):
        aligned[number, tokens.shape[1] - 1 - len(own):-1] = torch.as_tensor(own)
    return aligned


def wrong_align_labels__one_after_the_other(labels, tokens):
    """Fills all rows with one long list, as if all proteins were as long: labels run into the next one.

    message: padding
    message: protein
    message: row
    """
    refuse(labels, tokens)
    width = tokens.shape[1] - 2
    every = [int(label) for own in labels for label in own]
    every += [IGNORE] * (len(tokens) * width - len(every))
    aligned = torch.full_like(tokens, IGNORE)
    aligned[:, 1:-1] = torch.tensor(every).reshape(len(tokens), width)
    return aligned


def wrong_align_labels__places_of_the_first(labels, tokens):
    """The first protein's residues are the places for all, and what does not fit is cut off.

    message: first protein
    message: protein
    message: residue
    """
    refuse(labels, tokens)
    places = torch.nonzero(residues(tokens[0])).flatten()
    aligned = torch.full_like(tokens, IGNORE)
    for number, own in enumerate(labels):
        own = torch.as_tensor(own).long()[:len(places)]
        aligned[number, places[:len(own)]] = own
    return aligned


def wrong_align_labels__last_label_repeated(labels, tokens):
    """Repeats the last label over the padding of shorter proteins.

    message: padding
    message: <eos>
    """
    refuse(labels, tokens)
    aligned = torch.full_like(tokens, IGNORE)
    for number, own in enumerate(labels):
        aligned[number, 1:] = int(own[-1])
        aligned[number, 1:1 + len(own)] = torch.as_tensor(own)
    return aligned


def wrong_align_labels__class_zero_lost(labels, tokens):
    """`label or -100`: class 0 is as good as no label.

    message: class 0
    message: label 0
    message: -100
    """
    refuse(labels, tokens)
    aligned = torch.full_like(tokens, IGNORE)
    for number, own in enumerate(labels):
        aligned[number, residues(tokens[number])] = torch.tensor([int(label) or IGNORE for label in own])
    return aligned


def wrong_align_labels__standard_residues_only(labels, tokens):
    """Ids 24 to 28 are no residues: a protein with an X has one label too many.

    message: X
    message: ValueError
    """
    if len(labels) != len(tokens):
        raise ValueError("as many lists as proteins, please")
    aligned = torch.full_like(tokens, IGNORE)
    for number, own in enumerate(labels):
        mask = (tokens[number] >= 4) & (tokens[number] <= 23)
        if mask.sum() != len(own):
            raise ValueError(f"protein {number} has {int(mask.sum())} residues and {len(own)} labels")
        aligned[number, mask] = torch.as_tensor(own).long()
    return aligned


def wrong_align_labels__x_without_label(labels, tokens):
    """Takes the label of an X away.

    message: X
    """
    refuse(labels, tokens)
    aligned = torch.full_like(tokens, IGNORE)
    aligned[residues(tokens)] = torch.cat([torch.as_tensor(own).long() for own in labels])
    aligned[tokens > 23] = IGNORE
    return aligned


def wrong_align_labels__leucine_without_label(labels, tokens):
    """`> 4` leaves out leucine, id 4.

    message: L
    """
    refuse(labels, tokens)
    aligned = torch.full_like(tokens, IGNORE)
    aligned[residues(tokens)] = torch.cat([torch.as_tensor(own).long() for own in labels])
    aligned[tokens == 4] = IGNORE
    return aligned


def wrong_align_labels__no_error(labels, tokens):
    """Too many labels are cut off, too few leave residues without.

    message: ValueError
    """
    if len(labels) != len(tokens):
        raise ValueError("as many lists as proteins, please")
    aligned = torch.full_like(tokens, IGNORE)
    for number, own in enumerate(labels):
        places = torch.nonzero(residues(tokens[number])).flatten()[:len(own)]
        aligned[number, places] = torch.as_tensor(own).long()[:len(places)]
    return aligned


def wrong_align_labels__too_few_allowed(labels, tokens):
    """Only too many labels are refused.

    message: ValueError
    """
    if len(labels) != len(tokens):
        raise ValueError("as many lists as proteins, please")
    aligned = torch.full_like(tokens, IGNORE)
    for number, own in enumerate(labels):
        places = torch.nonzero(residues(tokens[number])).flatten()
        if len(own) > len(places):
            raise ValueError(f"protein {number} has {len(places)} residues and {len(own)} labels")
        aligned[number, places[:len(own)]] = torch.as_tensor(own).long()
    return aligned


def wrong_align_labels__too_many_allowed(labels, tokens):
    """Only too few labels are refused.

    message: ValueError
    """
    if len(labels) != len(tokens):
        raise ValueError("as many lists as proteins, please")
    aligned = torch.full_like(tokens, IGNORE)
    for number, own in enumerate(labels):
        places = torch.nonzero(residues(tokens[number])).flatten()
        if len(own) < len(places):
            raise ValueError(f"protein {number} has {len(places)} residues and {len(own)} labels")
        aligned[number, places] = torch.as_tensor(own).long()[:len(places)]
    return aligned


def wrong_align_labels__checks_the_sum(labels, tokens):
    """As many labels as residues in the whole batch, but not in each protein: labels run into the next one.

    message: ValueError
    """
    every = torch.cat([torch.as_tensor(own).long() for own in labels])
    if len(labels) != len(tokens) or len(every) != residues(tokens).sum():
        raise ValueError(f"{len(every)} labels for {int(residues(tokens).sum())} residues")
    aligned = torch.full_like(tokens, IGNORE)
    aligned[residues(tokens)] = every
    return aligned


def wrong_align_labels__fewer_lists_allowed(labels, tokens):
    """zip stops at the shorter one: proteins without labels are as if of no interest.

    message: ValueError
    """
    aligned = torch.full_like(tokens, IGNORE)
    for number, (own, row) in enumerate(zip(labels, tokens)):
        if len(own) != residues(row).sum():
            raise ValueError(f"protein {number} has {int(residues(row).sum())} residues and {len(own)} labels")
        aligned[number, residues(row)] = torch.as_tensor(own).long()
    return aligned


def wrong_align_labels__assertion(labels, tokens):
    """assert raises an AssertionError.

    message: ValueError
    """
    assert len(labels) == len(tokens), "as many lists as proteins, please"
    aligned = torch.full_like(tokens, IGNORE)
    for number, own in enumerate(labels):
        mask = residues(tokens[number])
        assert len(own) == mask.sum(), f"protein {number} has another number of labels than of residues"
        aligned[number, mask] = torch.as_tensor(own).long()
    return aligned


def wrong_align_labels__lists_changed(labels, tokens):
    """Puts the padded labels into the caller's list.

    message: changes its input
    """
    refuse(labels, tokens)
    for number, own in enumerate(labels):
        padded = torch.full_like(tokens[number], IGNORE)
        padded[residues(tokens[number])] = torch.as_tensor(own).long()
        labels[number] = padded
    return torch.stack(labels)


def wrong_align_labels__tokens_changed(labels, tokens):
    """Writes the labels over the tokens.

    message: changes its input
    """
    refuse(labels, tokens)
    for number, own in enumerate(labels):
        mask = residues(tokens[number])
        tokens[number, ~mask] = IGNORE
        tokens[number, mask] = torch.as_tensor(own).long()
    return tokens


def wrong_align_labels__float(labels, tokens):
    """torch.full with -100.0: labels must be whole numbers for cross_entropy.

    message: float
    message: long
    message: int
    message: Long
    message: whole
    """
    refuse(labels, tokens)
    aligned = torch.full(tokens.shape, -100.0)
    for number, own in enumerate(labels):
        aligned[number, residues(tokens[number])] = torch.as_tensor(own).float()
    return aligned


def wrong_align_labels__numpy(labels, tokens):
    """A NumPy array.

    message: ensor
    message: array
    message: numpy
    """
    refuse(labels, tokens)
    aligned = np.full(tuple(tokens.shape), IGNORE)
    for number, own in enumerate(labels):
        aligned[number, residues(tokens[number]).numpy()] = np.asarray(own)
    return aligned


def wrong_align_labels__nothing(labels, tokens):
    """Forgets the return.

    message: is the line with 'return' missing?
    """
    refuse(labels, tokens)
    aligned = torch.full_like(tokens, IGNORE)
    for number, own in enumerate(labels):
        aligned[number, residues(tokens[number])] = torch.as_tensor(own).long()


def right_align_labels__loop(labels, tokens):
    if len(labels) != len(tokens):
        raise ValueError("labels and tokens hold different numbers of proteins")
    rows = []
    for own, ids in zip(labels, tokens.tolist()):
        waiting, row = [int(label) for label in own], []
        for token in ids:
            if 4 <= token <= 28:
                if not waiting:
                    raise ValueError("there are fewer labels than residues")
                row.append(waiting.pop(0))
            else:
                row.append(-100)
        if waiting:
            raise ValueError("there are more labels than residues")
        rows.append(row)
    return torch.tensor(rows, device=tokens.device)


def right_align_labels__vectorised(labels, tokens):
    mask = (tokens > 3) & (tokens < 29)
    if [len(own) for own in labels] != mask.sum(1).tolist():
        raise ValueError(f"labels: {[len(own) for own in labels]}, residues: {mask.sum(1).tolist()}")
    aligned = torch.full(tokens.shape, -100, dtype=torch.long, device=tokens.device)
    aligned[mask] = torch.cat([torch.as_tensor(own) for own in labels]).to(aligned)
    return aligned


def right_align_labels__masked_scatter(labels, tokens):
    mask = ((tokens >= 4) & (tokens <= 28)).cpu()
    counts = torch.tensor([len(own) for own in labels])
    if counts.shape != (tokens.shape[0],) or (counts != mask.sum(1)).any():
        raise ValueError("each protein needs a label for each of its residues")
    every = torch.from_numpy(np.concatenate([np.asarray(own, dtype=np.int64) for own in labels]))
    return torch.full(tokens.shape, -100).masked_scatter(mask, every).to(tokens.device)


def right_align_labels__numpy(labels, tokens):
    ids = tokens.cpu().numpy()
    is_residue = np.isin(ids, np.arange(4, 29))
    aligned = np.where(is_residue, 0, -100)
    if len(labels) != len(ids):
        raise ValueError(f"{len(labels)} is not {len(ids)}")
    for row, mask, own in zip(aligned, is_residue, labels):
        if mask.sum() != len(own):
            raise ValueError(f"{len(own)} labels, {mask.sum()} residues")
        row[mask] = np.asarray(own)
    return torch.from_numpy(aligned.astype(np.int64)).to(tokens.device)

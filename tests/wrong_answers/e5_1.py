"""Exercise 5.1, SequenceClassifier."""
import copy

import torch
from torch import nn
from torch.nn import functional as F

CLS, PAD, EOS = 0, 1, 2


class Classifier(nn.Module):
    """A classifier as it should be, in small methods: an answer changes one of them."""

    def __init__(self, backbone, classes, dropout=0.1):
        super().__init__()
        self.backbone = backbone
        self.head = self.make_head(backbone.config.hidden_size, classes, dropout)

    def make_head(self, dim, classes, dropout):
        return nn.Sequential(nn.Dropout(dropout), nn.Linear(dim, classes))

    def attention_mask(self, tokens):
        return tokens != PAD

    def encode(self, tokens):
        """[B, T] -> [B, T, D]"""
        return self.backbone(tokens, attention_mask=self.attention_mask(tokens)).last_hidden_state

    def counts(self, tokens):
        """True where a vector counts in the mean."""
        return (tokens >= 4) & (tokens <= 28)

    def pool(self, hidden, tokens):
        """[B, T, D] -> [B, D]"""
        mask = self.counts(tokens).unsqueeze(-1)
        return (hidden * mask).sum(1) / mask.sum(1)

    def forward(self, tokens):
        return self.head(self.pool(self.encode(tokens), tokens))


# ------------------------------------------------------------------------------------------------------- the mean

class wrong_SequenceClassifier__padding_in_the_mean(Classifier):
    """Leaves out <cls> and <eos>, but padding counts.

    message: padding
    """

    def counts(self, tokens):
        return (tokens != CLS) & (tokens != EOS)


class wrong_SequenceClassifier__bos_and_eos_in_the_mean(Classifier):
    """Leaves out padding only.

    message: <cls>
    message: <eos>
    """

    def counts(self, tokens):
        return tokens != PAD


class wrong_SequenceClassifier__bos_in_the_mean(Classifier):
    """<cls> counts.

    message: <cls>
    """

    def counts(self, tokens):
        return (tokens != PAD) & (tokens != EOS)


class wrong_SequenceClassifier__eos_in_the_mean(Classifier):
    """<eos> counts.

    message: <eos>
    """

    def counts(self, tokens):
        return (tokens != PAD) & (tokens != CLS)


class wrong_SequenceClassifier__mean_of_everything(Classifier):
    """Averages over all columns.

    message: padding
    message: <cls>
    """

    def pool(self, hidden, tokens):
        return hidden.mean(1)


class wrong_SequenceClassifier__first_and_last_column_cut(Classifier):
    """hidden[:, 1:-1] is right for one protein; in a padded batch <eos> and padding count.

    message: padding
    message: <eos>
    """

    def pool(self, hidden, tokens):
        return hidden[:, 1:-1].mean(1)


class wrong_SequenceClassifier__mask_of_the_first(Classifier):
    """The first protein's residues for all: right when all are equally long.

    message: first protein
    message: padding
    """

    def pool(self, hidden, tokens):
        return hidden[:, self.counts(tokens)[0]].mean(1)


class wrong_SequenceClassifier__standard_residues_only(Classifier):
    """X and the other four letters from 24 to 28 do not count.

    message: X
    """

    def counts(self, tokens):
        return (tokens >= 4) & (tokens <= 23)


class wrong_SequenceClassifier__bos_vector(Classifier):
    """The vector of <cls>, as for BERT.

    message: <cls>
    """

    def pool(self, hidden, tokens):
        return hidden[:, 0]


class wrong_SequenceClassifier__last_column(Classifier):
    """The last column's vector, as for a language model that reads from left to right: <eos> or padding.

    message: last
    message: padding
    message: <eos>
    """

    def pool(self, hidden, tokens):
        return hidden[:, -1]


class wrong_SequenceClassifier__max(Classifier):
    """The largest value of each feature instead of the mean.

    message: max
    """

    def pool(self, hidden, tokens):
        return hidden.masked_fill(~self.counts(tokens).unsqueeze(-1), float("-inf")).max(1).values


class wrong_SequenceClassifier__sum(Classifier):
    """Sums and never divides.

    message: sum
    message: divide
    """

    def pool(self, hidden, tokens):
        return (hidden * self.counts(tokens).unsqueeze(-1)).sum(1)


class wrong_SequenceClassifier__divides_by_all_columns(Classifier):
    """Sets the other rows to zero and takes the mean: divides by the width of the batch.

    message: divide
    message: padding
    """

    def pool(self, hidden, tokens):
        return (hidden * self.counts(tokens).unsqueeze(-1)).mean(1)


class wrong_SequenceClassifier__mean_of_the_batch(Classifier):
    """One mean over the residues of all proteins, for every protein.

    message: batch
    message: each protein
    message: own
    """

    def pool(self, hidden, tokens):
        return hidden[self.counts(tokens)].mean(0).expand(len(tokens), -1)


# ----------------------------------------------------------------------------------------------------- the backbone

class wrong_SequenceClassifier__no_attention_mask(Classifier):
    """Residues attend to padding.

    message: attention
    """

    def encode(self, tokens):
        return self.backbone(tokens).last_hidden_state


class wrong_SequenceClassifier__attention_mask_upside_down(Classifier):
    """True where there is padding.

    message: attention
    message: padding
    """

    def attention_mask(self, tokens):
        return tokens == PAD


class wrong_SequenceClassifier__attention_mask_of_zeros(Classifier):
    """Believes that padding is id 0, as in many other models: hides <cls> and shows padding.

    message: attention
    message: padding
    """

    def attention_mask(self, tokens):
        return tokens != 0


class wrong_SequenceClassifier__attention_to_residues_only(Classifier):
    """One mask for both purposes: <cls> and <eos>, which ESM-2 knows, are hidden from the residues.

    message: attention
    message: <cls>
    """

    def attention_mask(self, tokens):
        return self.counts(tokens)


class wrong_SequenceClassifier__first_hidden_state(Classifier):
    """The embedding layer's output: no residue has seen another.

    message: last
    message: layer
    """

    def encode(self, tokens):
        return self.backbone(tokens, attention_mask=tokens != PAD, output_hidden_states=True).hidden_states[0]


class wrong_SequenceClassifier__layer_before_the_last(Classifier):
    """hidden_states[-2], which many embed with.

    message: last
    """

    def encode(self, tokens):
        return self.backbone(tokens, attention_mask=tokens != PAD, output_hidden_states=True).hidden_states[-2]


class wrong_SequenceClassifier__frozen_in_init(Classifier):
    """Freezes the backbone: nothing is left to thaw on purpose.

    message: requires_grad
    message: frozen
    message: freeze
    """

    def __init__(self, backbone, classes, dropout=0.1):
        super().__init__(backbone, classes, dropout)
        for parameter in self.backbone.parameters():
            parameter.requires_grad = False


class wrong_SequenceClassifier__no_grad(Classifier):
    """The backbone runs under torch.no_grad.

    message: gradient
    message: no_grad
    """

    def encode(self, tokens):
        with torch.no_grad():
            return super().encode(tokens)


class wrong_SequenceClassifier__detached(Classifier):
    """Cuts the gradient before the head.

    message: gradient
    message: detach
    """

    def pool(self, hidden, tokens):
        return super().pool(hidden, tokens).detach()


class wrong_SequenceClassifier__copied_backbone(Classifier):
    """Trains a copy: the backbone that was passed never changes.

    message: copy
    message: copies
    """

    def __init__(self, backbone, classes, dropout=0.1):
        super().__init__(copy.deepcopy(backbone), classes, dropout)


class wrong_SequenceClassifier__backbone_in_a_list(Classifier):
    """A module in a list is not among the model's parameters.

    message: backbone
    """

    def __init__(self, backbone, classes, dropout=0.1):
        nn.Module.__init__(self)
        self.hidden_backbone = [backbone]
        self.head = self.make_head(backbone.config.hidden_size, classes, dropout)

    def encode(self, tokens):
        return self.hidden_backbone[0](tokens, attention_mask=tokens != PAD).last_hidden_state


# --------------------------------------------------------------------------------------------------------- the head

class wrong_SequenceClassifier__softmax(Classifier):
    """Returns probabilities.

    message: softmax
    """

    def forward(self, tokens):
        return super().forward(tokens).softmax(-1)


class wrong_SequenceClassifier__softmax_in_the_head(Classifier):
    """The head ends with a softmax layer.

    message: softmax
    """

    def make_head(self, dim, classes, dropout):
        return nn.Sequential(nn.Dropout(dropout), nn.Linear(dim, classes), nn.Softmax(dim=-1))


class wrong_SequenceClassifier__softmax_over_the_batch(Classifier):
    """softmax(0): over the proteins.

    message: softmax
    """

    def forward(self, tokens):
        return super().forward(tokens).softmax(0)


class wrong_SequenceClassifier__log_softmax(Classifier):
    """Returns log-probabilities.

    message: softmax
    """

    def forward(self, tokens):
        return F.log_softmax(super().forward(tokens), dim=-1)


class wrong_SequenceClassifier__sigmoid(Classifier):
    """Squeezes each logit into 0 to 1.

    message: sigmoid
    message: logits
    """

    def forward(self, tokens):
        return torch.sigmoid(super().forward(tokens))


class wrong_SequenceClassifier__argmax(Classifier):
    """Returns the best class.

    message: shape
    message: argmax
    """

    def forward(self, tokens):
        return super().forward(tokens).argmax(-1)


class wrong_SequenceClassifier__transposed(Classifier):
    """[classes, B].

    message: shape
    """

    def forward(self, tokens):
        return super().forward(tokens).T


class wrong_SequenceClassifier__one_per_token(Classifier):
    """Never pools: [B, T, classes].

    message: shape
    """

    def pool(self, hidden, tokens):
        return hidden


class wrong_SequenceClassifier__keepdim(Classifier):
    """[B, 1, classes].

    message: shape
    """

    def pool(self, hidden, tokens):
        return super().pool(hidden, tokens).unsqueeze(1)


class wrong_SequenceClassifier__squeezed(Classifier):
    """squeeze() loses the batch when it holds one protein.

    message: shape
    """

    def forward(self, tokens):
        return super().forward(tokens).squeeze()


class wrong_SequenceClassifier__two_outputs(Classifier):
    """Always two classes.

    message: shape
    message: classes
    """

    def make_head(self, dim, classes, dropout):
        return super().make_head(dim, 2, dropout)


class wrong_SequenceClassifier__one_output_too_few(Classifier):
    """classes - 1 outputs, since probabilities sum to 1.

    message: shape
    message: classes
    """

    def make_head(self, dim, classes, dropout):
        return super().make_head(dim, classes - 1, dropout)


class wrong_SequenceClassifier__width_of_the_small_model(Classifier):
    """320, the width of the smallest ESM-2.

    message: RuntimeError
    message: hidden_size
    """

    def make_head(self, dim, classes, dropout):
        return super().make_head(320, classes, dropout)


class wrong_SequenceClassifier__no_dropout(Classifier):
    """The argument is never used.

    message: dropout
    """

    def make_head(self, dim, classes, dropout):
        return nn.Linear(dim, classes)


class wrong_SequenceClassifier__fixed_dropout(Classifier):
    """0.1 whatever the caller says.

    message: dropout
    """

    def make_head(self, dim, classes, dropout):
        return nn.Sequential(nn.Dropout(0.1), nn.Linear(dim, classes))


class wrong_SequenceClassifier__dropout_always_on(Classifier):
    """F.dropout drops by default, in evaluation too.

    message: dropout
    """

    def __init__(self, backbone, classes, dropout=0.1):
        super().__init__(backbone, classes, dropout)
        self.head, self.dropout = nn.Linear(backbone.config.hidden_size, classes), dropout

    def forward(self, tokens):
        return self.head(F.dropout(self.pool(self.encode(tokens), tokens), self.dropout))


class wrong_SequenceClassifier__dropout_the_wrong_way_round(Classifier):
    """Drops in evaluation and not in training.

    message: dropout
    """

    def __init__(self, backbone, classes, dropout=0.1):
        super().__init__(backbone, classes, dropout)
        self.head, self.dropout = nn.Linear(backbone.config.hidden_size, classes), dropout

    def forward(self, tokens):
        return self.head(F.dropout(self.pool(self.encode(tokens), tokens), self.dropout, not self.training))


class wrong_SequenceClassifier__head_in_eval(Classifier):
    """Puts the head in evaluation mode at each call: dropout never drops.

    message: dropout
    """

    def forward(self, tokens):
        self.head.eval()
        return super().forward(tokens)


class wrong_SequenceClassifier__dropout_of_logits(Classifier):
    """Drops logits, behind the linear layer.

    message: dropout
    """

    def make_head(self, dim, classes, dropout):
        return nn.Sequential(nn.Linear(dim, classes), nn.Dropout(dropout))


class wrong_SequenceClassifier__head_made_in_forward(Classifier):
    """A new head with new weights at each call.

    message: head
    """

    def __init__(self, backbone, classes, dropout=0.1):
        super().__init__(backbone, classes, dropout)
        self.sizes = backbone.config.hidden_size, classes, dropout

    def forward(self, tokens):
        self.head = self.make_head(*self.sizes).train(self.training)
        return super().forward(tokens)


class wrong_SequenceClassifier__head_in_a_list(Classifier):
    """A module in a list is not among the model's parameters, and eval() does not reach it: it goes on dropping.

    message: head
    message: dropout
    """

    def __init__(self, backbone, classes, dropout=0.1):
        nn.Module.__init__(self)
        self.backbone = backbone
        self.head = [nn.Dropout(dropout), nn.Linear(backbone.config.hidden_size, classes)]

    def forward(self, tokens):
        dropout, linear = self.head
        return linear(dropout(self.pool(self.encode(tokens), tokens)))


class wrong_SequenceClassifier__other_names(Classifier):
    """Calls them esm and classifier, as transformers does.

    message: backbone
    message: head
    """

    def __init__(self, backbone, classes, dropout=0.1):
        nn.Module.__init__(self)
        self.esm, self.classifier = backbone, self.make_head(backbone.config.hidden_size, classes, dropout)

    def forward(self, tokens):
        hidden = self.esm(tokens, attention_mask=tokens != PAD).last_hidden_state
        return self.classifier(self.pool(hidden, tokens))


# ------------------------------------------------------------------------------------------------ what Python wants

class wrong_SequenceClassifier__no_super(Classifier):
    """nn.Module's own __init__ is not called.

    message: AttributeError
    message: super()
    """

    def __init__(self, backbone, classes, dropout=0.1):
        self.backbone = backbone
        self.head = self.make_head(backbone.config.hidden_size, classes, dropout)


class wrong_SequenceClassifier__changes_tokens(Classifier):
    """Sets <cls> and <eos> in the caller's batch to padding, to leave them out of the mean.

    message: changes its input
    """

    def pool(self, hidden, tokens):
        tokens[(tokens == CLS) | (tokens == EOS)] = PAD
        mask = (tokens != PAD).unsqueeze(-1)
        return (hidden * mask).sum(1) / mask.sum(1)


class wrong_SequenceClassifier__two_results(Classifier):
    """Returns the logits and the mean vector.

    message: tuple
    message: kind
    """

    def forward(self, tokens):
        pooled = self.pool(self.encode(tokens), tokens)
        return self.head(pooled), pooled


class wrong_SequenceClassifier__nothing(Classifier):
    """Forgets the return.

    message: is the line with 'return' missing?
    """

    def forward(self, tokens):
        super().forward(tokens)


# --------------------------------------------------------------------------------------------------- right answers

class right_SequenceClassifier__own_dropout(nn.Module):
    """A plain linear head, the dropout a module beside it."""

    def __init__(self, backbone, classes, dropout=0.1):
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(backbone.config.hidden_size, classes)

    def forward(self, tokens):
        hidden = self.backbone(input_ids=tokens, attention_mask=(tokens != 1).long()).last_hidden_state
        mask = ((tokens > 3) & (tokens < 29)).unsqueeze(-1)
        return self.head(self.dropout((hidden * mask).sum(1) / mask.sum(1)))


class right_SequenceClassifier__mlp(nn.Module):
    """A head with a hidden layer."""

    def __init__(self, backbone, classes, dropout=0.1):
        super().__init__()
        dim = backbone.config.hidden_size
        self.backbone = backbone
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(dim, dim), nn.Tanh(), nn.Dropout(dropout),
                                  nn.Linear(dim, classes))

    def forward(self, tokens):
        hidden = self.backbone(tokens, attention_mask=tokens.ne(1)).last_hidden_state
        weight = ((tokens >= 4) & (tokens <= 28)).to(hidden.dtype)
        weight = weight / weight.sum(1, keepdim=True)
        return self.head(torch.einsum("bt,btd->bd", weight, hidden))


class right_SequenceClassifier__functional_dropout(nn.Module):
    """F.dropout that knows whether the model trains; the mean protein by protein."""

    def __init__(self, backbone, classes, dropout=0.1):
        super().__init__()
        self.backbone, self.p = backbone, dropout
        self.head = nn.Linear(backbone.config.hidden_size, classes)

    def forward(self, tokens):
        hidden = self.backbone(tokens, (tokens != 1).int())[0]
        means = [vectors[(ids >= 4) & (ids <= 28)].mean(0) for vectors, ids in zip(hidden, tokens)]
        return self.head(F.dropout(torch.stack(means), self.p, training=self.training))


class right_SequenceClassifier__one_protein_at_a_time(nn.Module):
    """Cuts the padding off and needs no mask."""

    def __init__(self, backbone, classes, dropout=0.1):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(backbone.config.hidden_size, classes))

    def forward(self, tokens):
        logits = []
        for row in tokens:
            ids = row[row != 1]
            hidden = self.backbone(ids[None]).last_hidden_state[0]
            logits.append(self.head(hidden[(ids >= 4) & (ids <= 28)].mean(0)))
        return torch.stack(logits)


class right_SequenceClassifier__the_course_s_pooling(nn.Module):
    """With mean_pool of notebook 3."""

    def __init__(self, backbone, classes, dropout=0.1):
        from plmcourse import mean_pool

        super().__init__()
        self.backbone, self.pool = backbone, mean_pool
        self.head = nn.Sequential(nn.Dropout(p=dropout), nn.Linear(backbone.config.hidden_size, classes, bias=True))

    def forward(self, tokens):
        output = self.backbone(tokens, attention_mask=(tokens != 1), output_hidden_states=True)
        return self.head(self.pool(output.hidden_states[-1], tokens).to(self.head[1].weight.dtype))

"""Exercise 2.4, MiniESM2."""
import copy

import torch
from torch import nn
from torch.nn import functional as F

from wrong_answers.e2_3 import Block

CLS, PAD, MASK = 0, 1, 32


class Mini(nn.Module):
    """The model as it should be, in small methods: an answer changes one of them."""

    def __init__(self, layers, dim, heads):
        super().__init__()
        self.embed = nn.Embedding(33, dim, padding_idx=PAD)
        self.blocks = nn.ModuleList([Block(dim, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(dim)
        self.head_dense, self.head_norm = nn.Linear(dim, dim), nn.LayerNorm(dim)
        self.head_bias = nn.Parameter(torch.zeros(33))

    def seen(self, tokens):
        """Where attention may look."""
        return tokens != PAD

    def share(self, tokens):
        """Share of <mask> in each protein, [B, 1, 1]."""
        return ((tokens == MASK).sum(1) / (tokens != PAD).sum(1))[:, None, None]

    def zeroed(self, x, tokens):
        """The embedding without that of <mask>."""
        return x.masked_fill((tokens == MASK).unsqueeze(-1), 0.0)

    def rescaled(self, x, tokens):
        return x * 0.88 / (1 - self.share(tokens))

    def embedding(self, tokens):
        x = self.rescaled(self.zeroed(self.embed(tokens), tokens), tokens)
        return x * (tokens != PAD).unsqueeze(-1)

    def encode(self, x, mask):
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x)

    def features(self, x):
        """What the head compares with the embeddings."""
        return self.head_norm(F.gelu(self.head_dense(x)))

    def decode(self, x):
        return x @ self.embed.weight.T + self.head_bias

    def forward(self, tokens):
        return self.decode(self.features(self.encode(self.embedding(tokens), self.seen(tokens))))


class wrong_MiniESM2__untied_head(Mini):
    """An output layer with a weight of its own.

    message: tied
    message: embed.weight
    """

    def __init__(self, layers, dim, heads):
        super().__init__(layers, dim, heads)
        self.decoder = nn.Linear(dim, 33, bias=False)

    def decode(self, x):
        return self.decoder(x) + self.head_bias


class wrong_MiniESM2__copied_head(Mini):
    """Copies the embedding into the output layer once: the two part when weights are loaded or trained.

    message: tied
    message: copy
    message: embed.weight
    """

    def __init__(self, layers, dim, heads):
        super().__init__(layers, dim, heads)
        self.decoder = nn.Linear(dim, 33, bias=False)
        self.decoder.weight.data.copy_(self.embed.weight.data)

    def decode(self, x):
        return self.decoder(x) + self.head_bias


class wrong_MiniESM2__detached_head(Mini):
    """Tied by value, but cut off from training: embed.weight.data has no gradient.

    message: gradient
    message: detach
    message: .data
    """

    def decode(self, x):
        return x @ self.embed.weight.data.T + self.head_bias


class wrong_MiniESM2__no_token_dropout(Mini):
    """Neither zeroes <mask> nor rescales.

    message: token dropout
    message: 0.88
    message: rescale
    """

    def embedding(self, tokens):
        return self.embed(tokens) * (tokens != PAD).unsqueeze(-1)


class wrong_MiniESM2__not_rescaled(Mini):
    """Zeroes <mask>, and leaves the other embeddings as they are.

    message: 0.88
    message: rescale
    message: scale
    """

    def rescaled(self, x, tokens):
        return x


class wrong_MiniESM2__mask_not_zeroed(Mini):
    """Rescales, but <mask> keeps its embedding.

    message: <mask>
    message: zero
    """

    def zeroed(self, x, tokens):
        return x


class wrong_MiniESM2__always_the_same_scale(Mini):
    """0.88 whatever the share of <mask>: right for a protein without <mask>.

    message: observed
    message: share of <mask>
    message: 0.88
    """

    def rescaled(self, x, tokens):
        return x * 0.88


class wrong_MiniESM2__only_observed(Mini):
    """Divides by 1 - share as dropout does, without the 0.88 of training.

    message: 0.88
    """

    def rescaled(self, x, tokens):
        return x / (1 - self.share(tokens))


class wrong_MiniESM2__fifteen_percent(Mini):
    """0.85: takes all selected positions for <mask>, of which only 80 % are.

    message: 0.85
    message: 0.88
    message: 0.12
    """

    def rescaled(self, x, tokens):
        return x * 0.85 / (1 - self.share(tokens))


class wrong_MiniESM2__scale_upside_down(Mini):
    """Multiplies by 1 - share and divides by 0.88.

    message: upside down
    message: inverse
    message: divide
    message: 0.88
    """

    def rescaled(self, x, tokens):
        return x * (1 - self.share(tokens)) / 0.88


class wrong_MiniESM2__share_of_all_columns(Mini):
    """Padding counts: a protein's logits depend on the others in the batch.

    message: padding
    """

    def share(self, tokens):
        return (tokens == MASK).float().mean(1)[:, None, None]


class wrong_MiniESM2__share_of_the_residues(Mini):
    """<cls> and <eos> do not count: the share of <mask> among the residues.

    message: <cls>
    message: all tokens
    """

    def share(self, tokens):
        return ((tokens == MASK).sum(1) / (tokens >= 4).sum(1))[:, None, None]


class wrong_MiniESM2__share_of_the_batch(Mini):
    """One share for the whole batch.

    message: batch
    message: each protein
    message: per protein
    message: per sequence
    """

    def share(self, tokens):
        return (tokens == MASK).sum() / (tokens != PAD).sum()


class wrong_MiniESM2__scaled_in_training_only(Mini):
    """Takes token dropout for dropout and switches it off in eval mode.

    message: eval
    message: training
    """

    def rescaled(self, x, tokens):
        return super().rescaled(x, tokens) if self.training else x


class wrong_MiniESM2__embedding_times_root(Mini):
    """Multiplies the embeddings by sqrt(dim), as the first transformer did.

    message: sqrt
    message: square root
    message: scale
    """

    def embedding(self, tokens):
        return super().embedding(tokens) * self.embed.embedding_dim ** 0.5


class wrong_MiniESM2__learned_positions(Mini):
    """Adds a learned vector for each position, as ESM-1b did.

    message: position
    """

    def __init__(self, layers, dim, heads):
        super().__init__(layers, dim, heads)
        self.positions = nn.Embedding(1026, dim)

    def embedding(self, tokens):
        return super().embedding(tokens) + self.positions.weight[:tokens.shape[1]]


class wrong_MiniESM2__embedding_layer_norm(Mini):
    """A LayerNorm after the embedding, as in BERT.

    message: LayerNorm
    message: embedding
    """

    def __init__(self, layers, dim, heads):
        super().__init__(layers, dim, heads)
        self.embed_norm = nn.LayerNorm(dim)

    def embedding(self, tokens):
        return self.embed_norm(super().embedding(tokens))


class wrong_MiniESM2__no_padding_mask(Mini):
    """Attention sees the padding.

    message: padding
    """

    def seen(self, tokens):
        return None


class wrong_MiniESM2__mask_the_wrong_way_round(Mini):
    """Attention sees nothing but the padding.

    message: padding
    message: wrong way round
    """

    def seen(self, tokens):
        return tokens == PAD


class wrong_MiniESM2__padding_is_zero(Mini):
    """Believes that id 0 is padding, as the lecture says: hides <cls>.

    message: id 1
    message: padding
    message: <cls>
    """

    def seen(self, tokens):
        return tokens != CLS


class wrong_MiniESM2__residues_only(Mini):
    """Attention sees residues only: <cls> and <eos> are hidden like padding.

    message: <cls>
    message: <eos>
    """

    def seen(self, tokens):
        return tokens >= 4


class wrong_MiniESM2__mask_token_hidden(Mini):
    """Hides <mask> from attention, too.

    message: <mask>
    """

    def seen(self, tokens):
        return (tokens != PAD) & (tokens != MASK)


class wrong_MiniESM2__mask_in_first_block_only(Mini):
    """Hands the mask to the first block and forgets it in the others.

    message: padding
    message: every block
    message: each block
    """

    def encode(self, x, mask):
        for number, block in enumerate(self.blocks):
            x = block(x, mask if number == 0 else None)
        return self.norm(x)


class wrong_MiniESM2__no_final_norm(Mini):
    """The head reads the last block as it is.

    message: self.norm
    message: final
    message: last block
    message: after the blocks
    """

    def encode(self, x, mask):
        for block in self.blocks:
            x = block(x, mask)
        return x


class wrong_MiniESM2__norm_after_each_block(Mini):
    """The final LayerNorm stands inside the loop.

    message: loop
    message: after each block
    message: after the last block
    """

    def encode(self, x, mask):
        for block in self.blocks:
            x = self.norm(block(x, mask))
        return x


class wrong_MiniESM2__norm_before_the_blocks(Mini):
    """The final LayerNorm comes first.

    message: before the blocks
    message: after the last block
    message: after the blocks
    """

    def encode(self, x, mask):
        x = self.norm(x)
        for block in self.blocks:
            x = block(x, mask)
        return x


class wrong_MiniESM2__one_block_too_few(Mini):
    """range(1, layers): one block too few.

    message: blocks
    message: layers
    """

    def __init__(self, layers, dim, heads):
        super().__init__(layers - 1, dim, heads)


class wrong_MiniESM2__one_block_again_and_again(Mini):
    """[block] * layers is the same block again and again.

    message: same block
    message: one block
    message: shared
    message: of its own
    """

    def __init__(self, layers, dim, heads):
        super().__init__(1, dim, heads)
        self.blocks = nn.ModuleList([self.blocks[0]] * layers)


class wrong_MiniESM2__last_block_skipped(Mini):
    """Makes all blocks and runs all but the last.

    message: last block
    message: every block
    message: blocks
    """

    def encode(self, x, mask):
        for block in self.blocks[:-1]:
            x = block(x, mask)
        return self.norm(x)


class wrong_MiniESM2__blocks_in_reverse(Mini):
    """Runs the last block first.

    message: order
    message: reverse
    message: first block
    """

    def encode(self, x, mask):
        for block in reversed(self.blocks):
            x = block(x, mask)
        return self.norm(x)


class wrong_MiniESM2__blocks_in_a_list(Mini):
    """A plain list of blocks: torch does not know their parameters.

    message: ModuleList
    message: plain list
    message: parameters
    """

    def __init__(self, layers, dim, heads):
        super().__init__(layers, dim, heads)
        blocks = list(self.blocks)
        del self.blocks
        self.blocks = blocks


class wrong_MiniESM2__head_without_gelu(Mini):
    """Dense and LayerNorm, no GELU between them.

    message: GELU
    message: gelu
    """

    def features(self, x):
        return self.head_norm(self.head_dense(x))


class wrong_MiniESM2__tanh_gelu_in_head(Mini):
    """The tanh approximation in the head.

    message: tanh
    message: erf
    """

    def features(self, x):
        return self.head_norm(F.gelu(self.head_dense(x), approximate="tanh"))


class wrong_MiniESM2__head_without_norm(Mini):
    """No LayerNorm in the head.

    message: head_norm
    """

    def features(self, x):
        return F.gelu(self.head_dense(x))


class wrong_MiniESM2__head_norm_before_gelu(Mini):
    """Dense, LayerNorm, GELU: the order is wrong.

    message: order
    message: head_norm
    message: after the GELU
    """

    def features(self, x):
        return F.gelu(self.head_norm(self.head_dense(x)))


class wrong_MiniESM2__final_norm_in_head(Mini):
    """Uses the final LayerNorm again where head_norm belongs.

    message: head_norm
    """

    def features(self, x):
        return self.norm(F.gelu(self.head_dense(x)))


class wrong_MiniESM2__no_head(Mini):
    """Compares the last hidden state itself with the embeddings.

    message: head_dense
    message: without the head
    """

    def features(self, x):
        return x


class wrong_MiniESM2__head_bias_unused(Mini):
    """head_bias is made and never added.

    message: head_bias
    """

    def decode(self, x):
        return x @ self.embed.weight.T


class wrong_MiniESM2__head_bias_no_parameter(Mini):
    """A plain tensor of zeros: it is neither loaded nor trained.

    message: head_bias
    message: nn.Parameter
    """

    def __init__(self, layers, dim, heads):
        super().__init__(layers, dim, heads)
        del self.head_bias
        self.head_bias = torch.zeros(33)


class wrong_MiniESM2__probabilities(Mini):
    """Returns probabilities.

    message: softmax
    message: probabilities
    """

    def decode(self, x):
        return super().decode(x).softmax(-1)


class wrong_MiniESM2__log_probabilities(Mini):
    """Returns log-probabilities: the softmax of both is the same, but these are no logits.

    message: softmax
    message: log_softmax
    message: log-prob
    """

    def decode(self, x):
        return super().decode(x).log_softmax(-1)


class wrong_MiniESM2__hidden_states(Mini):
    """Returns what the head makes, not logits.

    message: shape
    message: [B, T, 33]
    """

    def decode(self, x):
        return x


class wrong_MiniESM2__without_cls_and_eos(Mini):
    """Cuts off the first and the last column.

    message: shape
    message: [B, T, 33]
    """

    def forward(self, tokens):
        return super().forward(tokens)[:, 1:-1]


class wrong_MiniESM2__tokens_changed(Mini):
    """Turns <mask> into padding, whose embedding is zero, in the caller's tokens.

    message: changes its input
    message: changes the tokens
    message: changes tokens
    message: in place
    """

    def forward(self, tokens):
        seen, share = self.seen(tokens), self.share(tokens)
        tokens[tokens == MASK] = PAD
        x = self.embed(tokens) * (tokens != PAD).unsqueeze(-1) * 0.88 / (1 - share)
        return self.decode(self.features(self.encode(x, seen)))


class right_MiniESM2__small_methods(Mini):
    """The parent's own methods."""


class right_MiniESM2__all_in_forward(nn.Module):
    def __init__(self, layers, dim, heads):
        super().__init__()
        self.embed = nn.Embedding(33, dim)
        self.blocks = nn.ModuleList()
        for _ in range(layers):
            self.blocks.append(Block(dim, heads))
        self.norm, self.head_norm = nn.LayerNorm(dim, eps=1e-5), nn.LayerNorm(dim, eps=1e-5)
        self.head_dense = nn.Linear(dim, dim)
        self.head_bias = nn.Parameter(torch.empty(33).zero_())

    def forward(self, tokens):
        not_padding, is_mask = tokens.ne(1), tokens.eq(32)
        x = self.embed(tokens) * is_mask.logical_not().unsqueeze(2)
        ratio = is_mask.sum(dim=1).float() / not_padding.sum(dim=1)
        x = x * ((1 - 0.15 * 0.8) / (1 - ratio)).view(-1, 1, 1)
        for block in self.blocks:
            x = block(x, mask=not_padding)
        x = self.head_dense(self.norm(x))
        x = x * torch.special.ndtr(x)
        return F.linear(self.head_norm(x), self.embed.weight, self.head_bias)


class right_MiniESM2__decoder_with_the_same_weight(Mini):
    """An nn.Linear whose weight is the embedding's parameter itself: a second name for it."""

    def __init__(self, layers, dim, heads):
        super().__init__(layers, dim, heads)
        self.decoder = nn.Linear(dim, 33, bias=False)
        self.decoder.weight = self.embed.weight

    def decode(self, x):
        return self.decoder(x) + self.head_bias


class right_MiniESM2__padding_keeps_its_embedding(Mini):
    """Padding is only hidden from attention: no residue's logits depend on its embedding."""

    def embedding(self, tokens):
        return self.rescaled(self.zeroed(self.embed(tokens), tokens), tokens)


class right_MiniESM2__one_hot(Mini):
    """One-hot rows without a one for <mask> and padding times the weight; einsum back to logits."""

    def embedding(self, tokens):
        one_hot = F.one_hot(tokens, 33).to(self.embed.weight.dtype)
        one_hot[..., [PAD, MASK]] = 0
        kept = (tokens != MASK).logical_and(tokens != PAD).sum(1) / (tokens != PAD).sum(1)
        return torch.einsum("btv,vd,b->btd", one_hot, self.embed.weight, 0.88 / kept)

    def decode(self, x):
        return torch.einsum("btd,vd->btv", x, self.embed.weight).add(self.head_bias)


class right_MiniESM2__protein_by_protein(Mini):
    """Runs each protein without padding and without a mask; zeros stand in the padding's rows."""

    def forward(self, tokens):
        rows = [super(right_MiniESM2__protein_by_protein, self).forward(row[row != PAD][None])[0] for row in tokens]
        missing = [tokens.shape[1] - len(row) for row in rows]
        return torch.stack([F.pad(row, (0, 0, 0, number)) for row, number in zip(rows, missing)])


class right_MiniESM2__other_containers(Mini):
    """Blocks in an nn.Sequential and copies of the first, hidden states kept, the head in an nn.Sequential."""

    def __init__(self, layers, dim, heads):
        super().__init__(layers, dim, heads)
        self.blocks = nn.Sequential(*[copy.deepcopy(self.blocks[0]) for _ in range(layers)])
        self.head = nn.Sequential(self.head_dense, nn.GELU(), self.head_norm)
        self.layers, self.dim, self.vocabulary = layers, dim, 33

    def encode(self, x, mask):
        states = [x]
        for number in range(self.layers):
            states.append(self.blocks[number](states[-1], mask))
        return self.norm(states[-1])

    def features(self, x):
        return self.head(x)

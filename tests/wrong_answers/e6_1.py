"""Exercise 6.1, LoRALinear."""
import math

import torch
from torch import nn
from torch.nn import functional as F


class Adapter(nn.Module):
    """The layer as it should be, in small methods: an answer changes one of them."""

    def __init__(self, base, r=8, alpha=16, dropout=0.0):
        super().__init__()
        self.refuse(r)
        self.r, self.alpha, self.p = r, alpha, dropout
        self.base = self.freeze(base)
        self.make_matrices(base, r)
        self.scaling = self.scale(alpha, r)
        self.dropout = nn.Dropout(dropout)

    def refuse(self, r):
        if r < 1:
            raise ValueError(f"r is {r}, at least 1 is needed")

    def freeze(self, base):
        for parameter in base.parameters():
            parameter.requires_grad = False
        return base

    def first(self, base, r):
        """A, [r, in]."""
        return 0.02 * torch.randn(r, base.in_features, dtype=base.weight.dtype, device=base.weight.device)

    def second(self, base, r):
        """B, [out, r]."""
        return torch.zeros(base.out_features, r, dtype=base.weight.dtype, device=base.weight.device)

    def make_matrices(self, base, r):
        self.A, self.B = nn.Parameter(self.first(base, r)), nn.Parameter(self.second(base, r))

    def scale(self, alpha, r):
        return alpha / r

    def branch(self, x):
        return self.dropout(x) @ self.A.T @ self.B.T

    def forward(self, x):
        return self.base(x) + self.scaling * self.branch(x)


# --------------------------------------------------------------------------------------------- how A and B begin

class wrong_LoRALinear__both_zero(Adapter):
    """A and B both begin at zero: neither ever gets a gradient.

    message: zero
    message: random
    """

    def first(self, base, r):
        return super().first(base, r).zero_()


class wrong_LoRALinear__both_random(Adapter):
    """B is drawn as A is: a new adapter changes what the layer computes.

    message: zero
    """

    def second(self, base, r):
        return super().second(base, r).normal_(0, 0.02)


class wrong_LoRALinear__A_zero_and_B_random(Adapter):
    """The zeros stand in A, the random numbers in B.

    message: zero
    message: random
    """

    def first(self, base, r):
        return super().first(base, r).zero_()

    def second(self, base, r):
        return super().second(base, r).normal_(0, 0.02)


class wrong_LoRALinear__A_of_ones(Adapter):
    """All rows of A are the same, and stay the same: an update of rank 1 whatever r is.

    message: random
    message: rows
    """

    def first(self, base, r):
        return torch.ones_like(super().first(base, r))


class wrong_LoRALinear__A_too_large(Adapter):
    """A is drawn with a standard deviation of 1, so that the branch jumps as soon as B leaves zero.

    message: too large
    """

    def first(self, base, r):
        return torch.randn_like(super().first(base, r))


# -------------------------------------------------------------------------------------------------- their shapes

class wrong_LoRALinear__shapes_swapped(Adapter):
    """A is [in, r] and B is [r, out]: the same products, other shapes than asked for.

    message: shape
    message: [r, in]
    message: r × in
    """

    def first(self, base, r):
        return super().first(base, r).T.contiguous()

    def second(self, base, r):
        return super().second(base, r).T.contiguous()

    def branch(self, x):
        return self.dropout(x) @ self.A @ self.B


class wrong_LoRALinear__A_and_B_exchanged(Adapter):
    """B reads the input and A writes the output: the zeros stand in the first matrix.

    message: shape
    message: zero
    """

    def make_matrices(self, base, r):
        self.B, self.A = nn.Parameter(self.first(base, r)), nn.Parameter(self.second(base, r))

    def branch(self, x):
        return self.dropout(x) @ self.B.T @ self.A.T


class wrong_LoRALinear__square_layers_only(Adapter):
    """B is as long as the input is wide: right for a dim x dim layer alone.

    message: [out
    message: shape
    message: stopped with
    """

    def second(self, base, r):
        return torch.zeros(base.in_features, r, dtype=base.weight.dtype, device=base.weight.device)


class wrong_LoRALinear__rank_8_whatever_r_is(Adapter):
    """The default is written into the shapes.

    message: shape
    message: rank
    message: r is
    """

    def make_matrices(self, base, r):
        super().make_matrices(base, 8)


class wrong_LoRALinear__full_matrix(Adapter):
    """One trainable matrix [out, in]: full fine-tuning beside the layer, and no A and B as asked for.

    message: called A
    message: no A
    message: self.A
    message: attribute
    message: name
    """

    def make_matrices(self, base, r):
        self.delta = nn.Parameter(torch.zeros_like(base.weight))

    def branch(self, x):
        return self.dropout(x) @ self.delta.T


class wrong_LoRALinear__other_names(Adapter):
    """Calls the matrices lora_A and lora_B, as peft does.

    message: called A
    message: no A
    message: self.A
    message: attribute
    message: name
    """

    def make_matrices(self, base, r):
        self.lora_A, self.lora_B = nn.Parameter(self.first(base, r)), nn.Parameter(self.second(base, r))

    def branch(self, x):
        return self.dropout(x) @ self.lora_A.T @ self.lora_B.T


# --------------------------------------------------------------------------------------------------- the scaling

class wrong_LoRALinear__alpha_missing(Adapter):
    """The update is added as it is.

    message: alpha
    message: scal
    """

    def scale(self, alpha, r):
        return 1.0


class wrong_LoRALinear__scaling_not_used(Adapter):
    """The attribute is right, forward does not multiply by it.

    message: alpha
    message: scal
    """

    def forward(self, x):
        return self.base(x) + self.branch(x)


class wrong_LoRALinear__root_of_r(Adapter):
    """alpha / sqrt(r): the scaling of rsLoRA.

    message: sqrt
    message: root
    message: alpha / r
    """

    def scale(self, alpha, r):
        return alpha / math.sqrt(r)


class wrong_LoRALinear__r_over_alpha(Adapter):
    """The fraction upside down.

    message: alpha / r
    message: r / alpha
    """

    def scale(self, alpha, r):
        return r / alpha


class wrong_LoRALinear__alpha_not_divided(Adapter):
    """Multiplies by alpha alone.

    message: alpha / r
    message: divide
    """

    def scale(self, alpha, r):
        return alpha


class wrong_LoRALinear__one_over_r(Adapter):
    """Divides by r and forgets alpha.

    message: alpha
    """

    def scale(self, alpha, r):
        return 1 / r


class wrong_LoRALinear__whole_numbers(Adapter):
    """alpha // r: zero as soon as alpha is the smaller one.

    message: //
    message: alpha / r
    message: whole
    message: integer
    """

    def scale(self, alpha, r):
        return alpha // r


class wrong_LoRALinear__scaling_of_the_defaults(Adapter):
    """16 / 8 = 2, whatever alpha and r are.

    message: alpha
    """

    def scale(self, alpha, r):
        return 2.0


class wrong_LoRALinear__scaled_at_both_matrices(Adapter):
    """Each of the two products is scaled: (alpha / r) squared.

    message: twice
    message: alpha / r
    """

    def branch(self, x):
        return self.scaling * super().branch(x)


class wrong_LoRALinear__base_scaled_too(Adapter):
    """A bracket too many: what the base computes is scaled as well.

    message: base
    """

    def forward(self, x):
        return self.scaling * (self.base(x) + self.branch(x))


# ----------------------------------------------------------------------------------------------- the frozen base

class wrong_LoRALinear__base_not_frozen(Adapter):
    """The base trains along.

    message: frozen
    message: freeze
    """

    def freeze(self, base):
        return base


class wrong_LoRALinear__bias_trained(Adapter):
    """Freezes the base's weight and forgets its bias.

    message: bias
    """

    def freeze(self, base):
        base.weight.requires_grad = False
        return base


class wrong_LoRALinear__requires_grad_of_the_module(Adapter):
    """Sets an attribute of the module, which no parameter takes notice of.

    message: frozen
    message: freeze
    message: requires_grad
    """

    def freeze(self, base):
        base.requires_grad = False
        return base


class wrong_LoRALinear__eval_for_frozen(Adapter):
    """Takes eval mode for freezing.

    message: frozen
    message: freeze
    message: requires_grad
    """

    def freeze(self, base):
        return base.eval()


class wrong_LoRALinear__all_frozen(Adapter):
    """Freezes the whole module once it is complete, A and B with it.

    message: frozen
    message: train
    message: requires_grad
    """

    def __init__(self, base, r=8, alpha=16, dropout=0.0):
        super().__init__(base, r, alpha, dropout)
        self.requires_grad_(False)


class wrong_LoRALinear__weight_copied_bias_dropped(Adapter):
    """A frozen copy of the weight, and no bias.

    message: bias
    """

    def freeze(self, base):
        kept = nn.Linear(base.in_features, base.out_features, bias=False, dtype=base.weight.dtype)
        kept.weight.data = base.weight.data.clone()
        return super().freeze(kept)


class wrong_LoRALinear__new_base(Adapter):
    """A new linear layer of the base's size: what was learned is gone.

    message: base
    """

    def freeze(self, base):
        bias = base.bias is not None
        return super().freeze(nn.Linear(base.in_features, base.out_features, bias=bias, dtype=base.weight.dtype))


class wrong_LoRALinear__base_without_gradient(Adapter):
    """Runs the base under no_grad: layers below get no gradient through it.

    message: gradient
    message: no_grad
    """

    def forward(self, x):
        with torch.no_grad():
            kept = self.base(x)
        return kept + self.scaling * self.branch(x)


class wrong_LoRALinear__base_cannot_lack_a_bias(Adapter):
    """Stops when the base has no bias.

    message: bias
    """

    def freeze(self, base):
        base.weight.requires_grad, base.bias.requires_grad = False, False
        return base


# ----------------------------------------------------------------------------------------------- what is trained

class wrong_LoRALinear__A_frozen(Adapter):
    """A stays as it was drawn.

    message: train
    message: frozen
    message: gradient
    message: requires_grad
    message: requires grad
    """

    def make_matrices(self, base, r):
        super().make_matrices(base, r)
        self.A.requires_grad = False


class wrong_LoRALinear__B_frozen(Adapter):
    """B stays at zero for ever.

    message: train
    message: frozen
    message: gradient
    message: requires_grad
    message: requires grad
    """

    def make_matrices(self, base, r):
        super().make_matrices(base, r)
        self.B.requires_grad_(False)


class wrong_LoRALinear__buffers(Adapter):
    """A and B are buffers: saved with the model, and unknown to the optimiser.

    message: Parameter
    message: parameter
    """

    def make_matrices(self, base, r):
        self.register_buffer("A", self.first(base, r).requires_grad_())
        self.register_buffer("B", self.second(base, r).requires_grad_())


class wrong_LoRALinear__plain_tensors(Adapter):
    """A and B are tensors that ask for gradients, but no parameters.

    message: Parameter
    message: parameter
    """

    def make_matrices(self, base, r):
        self.A, self.B = self.first(base, r).requires_grad_(), self.second(base, r).requires_grad_()


class wrong_LoRALinear__in_a_plain_list(Adapter):
    """The parameters stand in a list, where the module does not find them; A and B only look them up.

    message: Parameter
    message: parameter
    """

    A = property(lambda self: self.matrices[0])
    B = property(lambda self: self.matrices[1])

    def make_matrices(self, base, r):
        self.matrices = [nn.Parameter(self.first(base, r)), nn.Parameter(self.second(base, r))]


class wrong_LoRALinear__data_in_forward(Adapter):
    """.data cuts A and B off from the gradient.

    message: gradient
    message: .data
    """

    def branch(self, x):
        return self.dropout(x) @ self.A.data.T @ self.B.data.T


class wrong_LoRALinear__input_detached(Adapter):
    """The branch reads x.detach(): layers below get no gradient through it.

    message: gradient
    message: detach
    """

    def branch(self, x):
        return super().branch(x.detach())


class wrong_LoRALinear__linears_with_biases(Adapter):
    """Two nn.Linear with their biases: more parameters than A and B.

    message: bias
    """

    def make_matrices(self, base, r):
        self.down = nn.Linear(base.in_features, r, dtype=base.weight.dtype)
        self.up = nn.Linear(r, base.out_features, dtype=base.weight.dtype)
        self.A, self.B = self.down.weight, self.up.weight
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def branch(self, x):
        return self.up(self.down(self.dropout(x)))


class wrong_LoRALinear__scaling_trained(Adapter):
    """The scaling is a parameter, too.

    message: scaling
    message: parameter
    """

    def scale(self, alpha, r):
        return nn.Parameter(torch.tensor(alpha / r))


# ------------------------------------------------------------------------------------------------------- dropout

class wrong_LoRALinear__dropout_on_the_base(Adapter):
    """The base reads what dropout left.

    message: dropout
    """

    def forward(self, x):
        x = self.dropout(x)
        return self.base(x) + self.scaling * (x @ self.A.T @ self.B.T)


class wrong_LoRALinear__dropout_on_the_base_alone(Adapter):
    """Dropout before the base, none in the branch.

    message: dropout
    """

    def forward(self, x):
        return self.base(self.dropout(x)) + self.scaling * (x @ self.A.T @ self.B.T)


class wrong_LoRALinear__dropout_on_the_output(Adapter):
    """Drops entries of the layer's whole output.

    message: dropout
    """

    def forward(self, x):
        return self.dropout(self.base(x) + self.scaling * (x @ self.A.T @ self.B.T))


class wrong_LoRALinear__dropout_on_the_branch_s_output(Adapter):
    """Drops entries of the update, not of what the branch reads.

    message: dropout
    """

    def branch(self, x):
        return self.dropout(x @ self.A.T @ self.B.T)


class wrong_LoRALinear__dropout_between_A_and_B(Adapter):
    """Drops whole ranks.

    message: dropout
    """

    def branch(self, x):
        return self.dropout(x @ self.A.T) @ self.B.T


class wrong_LoRALinear__dropout_in_eval_mode(Adapter):
    """F.dropout without its argument `training` drops in eval mode, too.

    message: eval
    message: dropout
    """

    def branch(self, x):
        return F.dropout(x, self.p) @ self.A.T @ self.B.T


class wrong_LoRALinear__dropout_never(Adapter):
    """Makes the dropout and does not call it.

    message: dropout
    """

    def branch(self, x):
        return x @ self.A.T @ self.B.T


class wrong_LoRALinear__dropout_taken_for_what_is_kept(Adapter):
    """nn.Dropout(1 - dropout): drops nearly all where little was asked for.

    message: dropout
    """

    def __init__(self, base, r=8, alpha=16, dropout=0.0):
        super().__init__(base, r, alpha, dropout)
        self.dropout = nn.Dropout(1 - dropout)


class wrong_LoRALinear__dropout_hard_coded(Adapter):
    """A dropout of 0.1, whatever was asked for.

    message: dropout
    """

    def __init__(self, base, r=8, alpha=16, dropout=0.0):
        super().__init__(base, r, alpha, dropout)
        self.dropout = nn.Dropout(0.1)


class wrong_LoRALinear__dropout_not_rescaled(Adapter):
    """Sets entries to zero and leaves the others as they are: training sees a smaller update than evaluation.

    message: dropout
    """

    def branch(self, x):
        if self.training:
            x = x * (torch.rand_like(x) >= self.p)
        return x @ self.A.T @ self.B.T


class wrong_LoRALinear__dropout_in_place(Adapter):
    """nn.Dropout(inplace=True) writes zeros into the caller's tensor.

    message: changes its input
    message: in place
    message: in-place
    message: inplace
    """

    def __init__(self, base, r=8, alpha=16, dropout=0.0):
        super().__init__(base, r, alpha, dropout)
        self.dropout = nn.Dropout(dropout, inplace=True)


# --------------------------------------------------------------------------------------------------------- dtype

class wrong_LoRALinear__float32(Adapter):
    """A and B in float32 on a bfloat16 base: the branch stops.

    message: dtype
    message: bfloat16
    """

    def make_matrices(self, base, r):
        self.A = nn.Parameter(0.02 * torch.randn(r, base.in_features, device=base.weight.device))
        self.B = nn.Parameter(torch.zeros(base.out_features, r, device=base.weight.device))


class wrong_LoRALinear__float32_cast_in_forward(Adapter):
    """A and B in float32, taken to the input's dtype at each call: it runs, but they are not in the base's dtype.

    message: dtype
    message: bfloat16
    """

    def make_matrices(self, base, r):
        super().make_matrices(base, r)
        self.A, self.B = nn.Parameter(self.A.data.float()), nn.Parameter(self.B.data.float())

    def branch(self, x):
        return self.dropout(x) @ self.A.T.to(x.dtype) @ self.B.T.to(x.dtype)


class wrong_LoRALinear__float32_output(Adapter):
    """The update is worked out in float32, and the output stays there.

    message: dtype
    message: bfloat16
    """

    def branch(self, x):
        return self.dropout(x).float() @ self.A.float().T @ self.B.float().T


# -------------------------------------------------------------------------------------------------- how they add

class wrong_LoRALinear__merged_at_construction(Adapter):
    """Adds B A to the base's weight when it is made, which is nothing yet, and never looks at A and B again.

    message: A and B
    message: update
    message: gradient
    """

    def __init__(self, base, r=8, alpha=16, dropout=0.0):
        super().__init__(base, r, alpha, dropout)
        with torch.no_grad():
            self.base.weight += self.scaling * (self.B @ self.A)

    def forward(self, x):
        return self.base(x)


class wrong_LoRALinear__merged_at_each_call(Adapter):
    """Writes the update into the base at each call: the frozen weight moves.

    message: base
    """

    def forward(self, x):
        with torch.no_grad():
            self.base.weight += self.scaling * (self.B @ self.A)
        return self.base(x)


class wrong_LoRALinear__update_instead_of_base(Adapter):
    """Returns the update alone.

    message: base
    """

    def forward(self, x):
        return self.scaling * self.branch(x)


class wrong_LoRALinear__one_after_the_other(Adapter):
    """The branch reads what the base wrote, as an adapter layer does; for square layers only.

    message: beside
    message: input
    message: base(x)
    message: reads
    """

    def forward(self, x):
        kept = self.base(x)
        return kept + self.scaling * self.branch(kept)


class wrong_LoRALinear__subtracted(Adapter):
    """A sign too many.

    message: add
    message: sign
    message: subtract
    """

    def forward(self, x):
        return self.base(x) - self.scaling * self.branch(x)


class wrong_LoRALinear__bias_added_again(Adapter):
    """The base's bias is added in the branch as well.

    message: bias
    """

    def branch(self, x):
        return F.linear(F.linear(self.dropout(x), self.A), self.B, self.base.bias)


class wrong_LoRALinear__activation_between(Adapter):
    """ReLU between A and B, as in an adapter layer: the update can no longer be merged into a weight.

    message: activation
    message: ReLU
    message: linear
    message: alpha / r
    """

    def branch(self, x):
        return F.relu(self.dropout(x) @ self.A.T) @ self.B.T


class wrong_LoRALinear__three_dimensions_only(Adapter):
    """Names the dimensions: a single vector, or a table of vectors, stops it.

    message: stopped with
    message: dimension
    message: shape
    """

    def branch(self, x):
        return torch.einsum("btd,rd,or->bto", self.dropout(x), self.A, self.B)


class wrong_LoRALinear__nothing(Adapter):
    """Forgets the return in forward.

    message: is the line with 'return' missing?
    message: returns None
    """

    def forward(self, x):
        super().forward(x)


# ---------------------------------------------------------------------------------------------------- the rank 0

class wrong_LoRALinear__no_error_for_rank_0(Adapter):
    """r is not looked at: 0 ends in a ZeroDivisionError.

    message: ValueError
    """

    def refuse(self, r):
        pass


class wrong_LoRALinear__rank_0_is_no_update(Adapter):
    """Takes r = 0 for "no adapter" and goes on.

    message: ValueError
    """

    def refuse(self, r):
        if r < 0:
            raise ValueError("r is negative")

    def scale(self, alpha, r):
        return alpha / r if r else 0.0


class wrong_LoRALinear__assert(Adapter):
    """An assert where a ValueError is asked for.

    message: ValueError
    """

    def refuse(self, r):
        assert r >= 1, "r must be at least 1"


class wrong_LoRALinear__rank_1_refused(Adapter):
    """r <= 1: the smallest rank is refused.

    message: r = 1
    message: r=1
    message: rank
    message: at least 1
    message: stopped with ValueError
    """

    def refuse(self, r):
        if r <= 1:
            raise ValueError("r is too small")


# --------------------------------------------------------------------------------------------------------- right

class right_LoRALinear__small_methods(Adapter):
    """The parent's own methods."""


class right_LoRALinear__functional(nn.Module):
    """F.linear twice, A drawn as nn.Linear draws its weight."""

    def __init__(self, base, r=8, alpha=16, dropout=0.0):
        super().__init__()
        if r <= 0:
            raise ValueError(f"r must be at least 1, not {r}")
        base.requires_grad_(False)
        self.base, self.scaling = base, alpha / r
        self.A = nn.Parameter(base.weight.new_empty(r, base.in_features))
        self.B = nn.Parameter(base.weight.new_zeros(base.out_features, r))
        nn.init.kaiming_uniform_(self.A, a=5 ** 0.5)
        self.dropout = nn.Dropout(dropout) if dropout > 0 else nn.Identity()

    def forward(self, x):
        update = F.linear(F.linear(self.dropout(x), self.A), self.B)
        return self.base(x) + self.scaling * update


class right_LoRALinear__submodules(nn.Module):
    """Two nn.Linear without biases do the work; A and B are their weights under a second name."""

    def __init__(self, base, r=8, alpha=16, dropout=0.0):
        if r < 1:
            raise ValueError(r)
        super().__init__()
        self.base = base
        self.down = nn.Linear(base.in_features, r, bias=False).to(base.weight)
        self.up = nn.Linear(r, base.out_features, bias=False).to(base.weight)
        self.A, self.B = self.down.weight, self.up.weight
        self.dropout, self.scaling = nn.Dropout(dropout), alpha / r
        self.base.requires_grad_(False)
        nn.init.zeros_(self.B)

    def forward(self, x):
        return self.base(x) + self.up(self.down(self.dropout(x))) * self.scaling


class right_LoRALinear__einsum(nn.Module):
    """Weights out of the base, an ellipsis for the leading dimensions, dropout as a function."""

    def __init__(self, base, r=8, alpha=16, dropout=0.0):
        super().__init__()
        if not r >= 1:
            raise ValueError(f"no update of rank {r}")
        self.base, self.p = base, dropout
        base.weight.requires_grad = False
        if base.bias is not None:
            base.bias.requires_grad = False
        options = {"dtype": base.weight.dtype, "device": base.weight.device}
        self.A = nn.Parameter(nn.init.xavier_normal_(torch.empty(r, base.in_features, **options)))
        self.B = nn.Parameter(torch.zeros(base.out_features, r, **options))
        self.scaling = alpha / r

    def forward(self, x):
        y = F.linear(x, self.base.weight, self.base.bias)
        low = torch.einsum("...d,rd->...r", F.dropout(x, self.p, self.training), self.A)
        return y + torch.einsum("...r,or->...o", low * self.scaling, self.B)


class right_LoRALinear__uniform_and_addition_step_by_step(nn.Module):
    """Drawn between -1/sqrt(in) and 1/sqrt(in), and written out line by line."""

    def __init__(self, base, r=8, alpha=16, dropout=0.0):
        super().__init__()
        if r < 1:
            raise ValueError("the rank must be 1 or more")
        self.base = base
        for _, parameter in self.base.named_parameters():
            parameter.requires_grad_(False)
        bound = 1 / math.sqrt(base.in_features)
        self.A = nn.Parameter(torch.zeros(r, base.in_features).uniform_(-bound, bound).to(base.weight))
        self.B = nn.Parameter(torch.zeros(base.out_features, r).to(base.weight))
        self.r, self.alpha = r, alpha
        self.drop = nn.Dropout(p=dropout)

    @property
    def scaling(self):
        return self.alpha / self.r

    def forward(self, x):
        result = self.base(x)
        dropped = self.drop(x)
        low = torch.matmul(dropped, self.A.transpose(0, 1))
        high = torch.matmul(low, self.B.transpose(0, 1))
        high = high * self.alpha / self.r
        return result + high

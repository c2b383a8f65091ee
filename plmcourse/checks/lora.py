"""Checks of notebook 6: LoRALinear, inject_lora, lora_parameters, merge."""

import copy
import functools
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn
from transformers import EsmConfig, EsmForSequenceClassification

from plmcourse import lora
from plmcourse.checks import inputs
from plmcourse.checks.engine import Exercise, expect, expect_close, expect_value_error
from plmcourse.checks.tiny import tiny_plm
from plmcourse.models import FAMILY


def _normal(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=inputs.generator(seed)).to(dtype)


def _linear(fan_in=3, fan_out=5, bias=True, dtype=torch.float32, seed=1):
    """A linear layer whose weights are known and whose bias, where it has one, is far from zero."""
    layer = nn.Linear(fan_in, fan_out, bias=bias, dtype=dtype)
    with torch.no_grad():
        layer.weight.copy_(_normal(fan_out, fan_in, seed=seed))
        if bias:
            layer.bias.copy_(2 + _normal(fan_out, seed=seed + 1))
    return layer


def _fill(layer, seed=5):
    """Give A and B numbers as after training: in a fresh layer B is zero and hides every mistake."""
    with torch.no_grad():
        layer.A.copy_(_normal(*layer.A.shape, seed=seed))
        layer.B.copy_(_normal(*layer.B.shape, seed=seed + 1))
    return layer


def _wraps(module):
    """Whether a module is some LoRALinear, the course's or a student's."""
    return isinstance(module, nn.Module) and all(hasattr(module, name) for name in ("base", "A", "B"))


# ---------------------------------------------------------------------------------------------------------- 6.1 LoRALinear

linear_exercise = Exercise(
    "6.1",
    [lora.LoRALinear],
    hints=[
        "The frozen layer computes as ever; beside it x goes through two thin matrices, and what comes out is scaled and added.",
        (
            "Two nn.Parameters: A of shape [r, in] random (nn.init.kaiming_uniform_ or a small normal), B of shape [out, r] zeros, both"
            " made with dtype=base.weight.dtype, device=base.weight.device. base.requires_grad_(False) freezes. nn.Dropout knows when it is"
            " in training."
        ),
        (
            "self.A = nn.Parameter(torch.empty(r, base.in_features, dtype=…, device=…)); nn.init.kaiming_uniform_(self.A, a=5**0.5);"
            " forward: return self.base(x) + self.scaling * F.linear(F.linear(self.dropout(x), self.A), self.B)."
        ),
    ],
)


def _expect_parts(layer, base, r):
    """Attributes base, A, B: there, of the right kind and shape."""
    for name in ("base", "A", "B"):
        expect(hasattr(layer, name), f"The layer has no attribute {name!r}: asked for are base, A, B and scaling.")
    lost = base.bias is not None and getattr(layer.base, "bias", None) is None
    expect(not lost, "layer.base has lost the bias: keep the layer that was given, as self.base = base.")
    expect(layer.base is base, "layer.base is not the layer that was given: keep that one, without a copy, as self.base = base.")
    shapes = {"A": (r, base.in_features), "B": (base.out_features, r)}
    turned = {*shapes.values(), *(shape[::-1] for shape in shapes.values())}
    for name, shape in shapes.items():
        part = getattr(layer, name)
        expect(
            isinstance(part, nn.Parameter),
            f"{name} is a {type(part).__name__}; asked for is an nn.Parameter, so that an optimizer finds it as a matrix without bias.",
        )
        expect(
            tuple(part.shape) == shape,
            f"{name} has the shape {list(part.shape)}, asked for is {list(shape)}: A [r, in] reads the input, B [out, r] writes the output."
            + (" A and B are swapped, or one is transposed." if tuple(part.shape) in turned else ""),
            f"nn.Linear({base.in_features}, {base.out_features}) and r = {r}",
        )


@torch.no_grad()
def _expect_side_by_side(LoRALinear):
    """In a square layer a branch behind the frozen layer fits as well as one beside it."""
    base, x = _linear(4, 4), _normal(2, 4)
    layer = LoRALinear(base, 2, 6).eval()
    if not (_wraps(layer) and all(isinstance(part, nn.Parameter) for part in (layer.A, layer.B))):
        return  # the next lines say what is missing
    if [tuple(layer.A.shape), tuple(layer.B.shape)] == [(2, 4), (4, 2)]:
        kept = F.linear(x, base.weight, base.bias)
        behind = [scale * (kept @ _fill(layer).A.T @ layer.B.T) for scale in (1, 3)]
        wrong = any(torch.allclose(layer(x), start + branch, atol=1e-3) for branch in behind for start in (kept, 0))
        expect(not wrong, "The branch reads what base(x) gives; it stands beside base and reads the same input, x.")


@linear_exercise.step("parts", points=0)
def linear_parts(LoRALinear):
    _expect_side_by_side(LoRALinear)
    for bias in (True, False):
        base = _linear(bias=bias)
        layer = LoRALinear(base, 2, 6)
        _expect_parts(layer, base, 2)
        result = layer(_normal(4, 3))
        expect(isinstance(result, torch.Tensor), f"LoRALinear.forward returns a {type(result).__name__}; asked for is a tensor.")
        expect(tuple(result.shape) == (4, 5), f"An input of shape [4, 3] gives one of {list(result.shape)}, not [4, 5].")


@linear_exercise.step("starts as nothing", points=1)
def linear_start(LoRALinear):
    base, x = _linear(8, 5), _normal(4, 8)
    before = copy.deepcopy(base.state_dict())
    layer = LoRALinear(base, 4, 8)
    expect(bool(torch.isfinite(layer.A).all()), "A holds numbers that are not finite: torch.empty must be filled.")
    zero_a, zero_b = not layer.A.any(), not layer.B.any()
    expect(not (zero_a and zero_b), "A and B are both zero: then neither ever gets a gradient. B starts at zero, A at random.")
    expect(not zero_a, "A is zero and B is random; the exercise asks for it the other way round: A random, B zero.")
    expect(zero_b, "A and B are both random, so a fresh adapter changes what the model says: B must start at zero.")
    ranks = torch.linalg.matrix_rank(layer.A.detach().double()).item()
    expect(
        ranks == 4,
        f"The 4 rows of A span only {ranks} direction{'s' * (ranks > 1)}: fill A at random, or several ranks learn the same thing.",
    )
    size = LoRALinear(_linear(400, 5), 4, 8).A.detach().double().square().mean().sqrt().item()
    expect(
        size <= 2 / 400**0.5,
        f"The numbers in A are too large, {size:.2g} for 400 inputs where 1 / √400 = 0.05 would do: the branch gets far too strong once B"
        " leaves zero. nn.init.kaiming_uniform_(A, a=5**0.5) draws small ones.",
    )
    changed = any(not torch.equal(value, before[name]) for name, value in base.state_dict().items())
    expect(not changed, "The weights of base are changed; they are to be kept as they are.")
    plain, bias = F.linear(x, before["weight"], before["bias"]), before["bias"]
    twice = any(torch.allclose(layer(x), plain + scale * bias, atol=1e-4) for scale in (1, 2))
    expect(not twice, "The bias of base is added in the branch as well: base(x) has it already.")
    expect(
        torch.equal(layer(x), plain),
        "A fresh layer does not give exactly what base gives: start from self.base(x), and add the branch, which is zero.",
    )


@linear_exercise.step("output", points=1)
@torch.no_grad()
def linear_output(LoRALinear):
    for r, alpha, bias, shape in (
        (2, 6, True, (4, 3)),
        (2, 6, False, (4, 3)),
        (4, 1, True, (2, 7, 3)),
        (1, 8, True, (3,)),
        (5, 16, True, (2, 3)),
    ):
        base, x = _linear(bias=bias), _normal(*shape)
        layer = _fill(LoRALinear(base, r, alpha)).eval()
        branch = x @ layer.A.T @ layer.B.T
        plain = F.linear(x, base.weight, base.bias)
        result = layer(x)
        moved = not torch.equal(F.linear(x, base.weight, base.bias), plain)
        expect(not moved, "A forward pass changes base.weight: the frozen weights stay as they are, the branch is added to the output.")
        expect(torch.equal(result, layer(x)), "Two calls in eval mode give two outputs: dropout is still on there.")
        expect_close(
            result,
            plain + alpha / r * branch,
            functools.partial(_output_mistakes, plain, branch, base, r, alpha),
            "With numbers in A and B the output is not base(x) + alpha / r · x Aᵀ Bᵀ.",
            f"nn.Linear(3, 5, bias={bias}), r = {r}, alpha = {alpha}: the scale is {alpha / r:g}",
        )


def _output_mistakes(plain, branch, base, r, alpha):
    mistakes = {
        "The scale is missing: the branch is multiplied by alpha / r.": plain + branch,
        "The branch is multiplied by alpha, but not divided by r.": plain + alpha * branch,
        "The branch is divided by r, but alpha is missing: alpha / r.": plain + branch / r,
        "The branch is multiplied by alpha / √r (rsLoRA does that); asked for is alpha / r.": plain + alpha / r**0.5 * branch,
        "The scale is turned round: alpha / r, not r / alpha.": plain + r / alpha * branch,
        "The branch is multiplied by alpha · r: alpha / r.": plain + alpha * r * branch,
        "The scale is rounded to a whole number (//): alpha / r.": plain + alpha // r * branch,
        "The scale is always 2, as for the default alpha and r; compute alpha / r.": plain + 2 * branch,
        "The whole sum is scaled; only the branch is.": alpha / r * (plain + branch),
        "base(x) is missing from the sum.": alpha / r * branch,
        "A and B play no part in the output: the branch, zero at the start but not later, is missing from the sum.": plain,
        "The branch is subtracted.": plain - alpha / r * branch,
    }
    if base.bias is not None:
        mistakes |= {
            "The bias is added twice: base(x) has it already.": plain + base.bias + alpha / r * branch,
            "The bias is scaled with the branch; LoRA leaves it to base.": plain + alpha / r * (branch + base.bias),
            "The bias of base is lost.": plain - base.bias + alpha / r * branch,
        }
    return mistakes


@linear_exercise.step("scaling", points=0)
def linear_scaling(LoRALinear):
    for r, alpha in ((2, 6), (4, 1), (8, 16)):
        layer = LoRALinear(_linear(), r, alpha)
        found = getattr(layer, "scaling", None)
        expect(found is not None, "The layer has no attribute 'scaling'; set it to alpha / r, exercise 6.4 needs it.")
        right = isinstance(found, (int, float)) or isinstance(found, torch.Tensor) and found.numel() == 1
        expect(
            right and abs(float(found) - alpha / r) < 1e-6,
            f"scaling is {found!r}; asked for is alpha / r.",
            f"r = {r}, alpha = {alpha}: {alpha / r:g}",
        )


@linear_exercise.step("what learns", points=1)
def linear_gradients(LoRALinear):
    base, x = _linear(), _normal(4, 3)
    layer = LoRALinear(base, 2, 6)
    trainable = {name for name, parameter in layer.named_parameters() if parameter.requires_grad}
    expect("base.weight" not in trainable, "base is not frozen: base.requires_grad_(False).")
    expect("base.bias" not in trainable, "The bias of base is not frozen: base.requires_grad_(False) takes weight and bias.")
    known = dict(layer.named_parameters())
    for name in "AB":
        expect(name in known, f"{name} is no parameter of the layer, no optimizer would find it: self.{name} = nn.Parameter(...).")
        expect(name in trainable, f"{name} is frozen, its requires_grad is False: A and B are what is trained, only base is frozen.")
    expect(trainable == {"A", "B"}, f"More than A and B is trainable: {', '.join(sorted(trainable - {'A', 'B'}))}.")
    result = layer(x)
    expect(result.requires_grad, "Neither A nor B gets a gradient: is their .data used, or the branch computed under no_grad?")
    result.square().sum().backward()
    expect(layer.B.grad is not None, "B gets no gradient: is it detached, or its .data used?")
    expect(bool(layer.B.grad.any()), "The gradient of B is zero at the start: with A random, it must not be.")
    _fill(layer).zero_grad()
    layer(x).square().sum().backward()
    for name in "AB":
        gradient = getattr(layer, name).grad
        expect(
            gradient is not None and bool(gradient.any()),
            f"After B has left zero, {name} gets no gradient: is it detached, or its .data used?",
        )
    _expect_input_gradient(layer, base)


def _expect_input_gradient(layer, base):
    """The layers below learn as well: the gradient must flow through both paths."""
    x = _normal(1, 3).requires_grad_()
    layer(x).sum().backward()
    whole = (base.weight + layer.scaling * layer.B @ layer.A).detach().sum(0)
    expect(
        x.grad is not None and torch.allclose(x.grad[0], whole, atol=1e-4),
        "The gradient of the input is wrong, so that layers below would not learn: run base(x) and the branch without no_grad or detach.",
    )


@linear_exercise.step("dropout", points=1)
@torch.no_grad()
def linear_dropout(LoRALinear):
    base, x = _linear(2, 3), torch.tensor([[1.0, 10.0]]).repeat(200, 1)
    layer = LoRALinear(base, 1, 1, 0.5)
    layer.A.fill_(1)
    layer.B.fill_(1)
    right = base(x) + 11
    expect(
        torch.allclose(layer.eval()(x), right, atol=1e-4),
        "In eval mode dropout is still on: use nn.Dropout, or F.dropout(x, p, self.training).",
    )
    layer.train()
    layer.B.zero_()
    expect(
        torch.allclose(layer(x), base(x), atol=1e-4),
        "In training dropout reaches the frozen path, too: base must see the whole x, only the branch a thinned one.",
    )
    layer.B.fill_(1)
    branch = layer(x) - base(x)
    expect(not torch.allclose(branch, torch.full_like(branch, 11), atol=1e-3), "In training nothing is dropped: dropout is not used.")
    _expect_dropped(branch)
    without = LoRALinear(base, 1, 1).train()
    without.A.fill_(1)
    without.B.fill_(1)
    expect(torch.allclose(without(x), right, atol=1e-4), "Without a dropout given, something is dropped in training: the default is 0.0.")


def _expect_dropped(branch):
    """``branch``: what the branch added in 200 rows, for an input (1, 10), A and B of ones, dropout 0.5."""
    case = "input (1, 10), A and B all ones, dropout 0.5: the branch adds 0, 2, 20 or 22"
    expect(
        torch.allclose(branch, branch[:, :1].expand_as(branch), atol=1e-3),
        "Dropout works on what the branch returns; asked for is dropout on its input, before A.",
        case,
    )
    found = {round(value.item()) for value in branch[:, 0]}
    expect(not found <= {0, 22}, "Dropout stands between A and B; asked for is dropout on the input, before A.", case)
    expect(not found <= {0, 1, 10, 11}, "What is kept is not scaled up by 1 / (1 - dropout): nn.Dropout does it.", case)
    expect(found == {0, 2, 20, 22}, f"The branch adds {', '.join(map(str, sorted(found)[:6]))}: this is not dropout on the input.", case)


@linear_exercise.step("precision", points=1)
def linear_precision(LoRALinear):
    for dtype in (torch.bfloat16, torch.float64):
        base, kind = _linear(dtype=dtype), str(dtype).removeprefix("torch.")
        layer = LoRALinear(base, 2, 6)
        for name in "AB":
            found = str(getattr(layer, name).dtype).removeprefix("torch.")
            expect(found == kind, f"base is in {kind}, {name} in {found}: make A and B with dtype=base.weight.dtype.")
        expect(base.weight.dtype == dtype, f"base was in {kind} and is now in {base.weight.dtype}: leave it as it is.")
        result = layer(_normal(4, 3, dtype=dtype))
        expect(result.dtype == dtype, f"base is in {kind}, the output in {str(result.dtype).removeprefix('torch.')}.")
    layer = LoRALinear(nn.Linear(3, 5, device="meta"), 2, 6)  # "meta" stands for any device but the CPU
    for name in "AB":
        expect(
            getattr(layer, name).device.type == "meta",
            f"{name} is not on the device of base: make it with device=base.weight.device, or it fails on a GPU.",
        )
    for r in (0, -1):
        expect_value_error(LoRALinear, _linear(), r, sentence=f"A rank of {r} is no update: raise a ValueError when r is below 1.")


# --------------------------------------------------------------------------------------------------------- 6.2 inject_lora

inject_exercise = Exercise(
    "6.2",
    [lora.inject_lora],
    hints=[
        (
            "Three steps: find the layers, freeze everything, put a LoRALinear in the place of each. In which order, so that A and B can"
            " learn?"
        ),
        (
            "model.named_modules() gives names such as 'encoder.layer.0.attention.self.query': the last part, name.split('.')[-1], is to be"
            " in targets, and the module an nn.Linear. Make a list of names first, and raise the ValueError if it is empty. What stands before the last dot is the parent: model.get_submodule(parent)."
        ),
        (
            "names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear) and …]; model.requires_grad_(False);"
            " for name in names: parent, _, last = name.rpartition('.'); owner = model.get_submodule(parent);"
            " setattr(owner, last, LoRALinear(getattr(owner, last), r, alpha)); and return model."
        ),
    ],
)


class _Toy(nn.Module):
    """Names that trap: "keypad" contains "key", "value" is no linear layer, one "query" hangs from the model itself."""

    def __init__(self):
        super().__init__()
        self.query = nn.Linear(4, 4)
        self.keypad = nn.Linear(4, 6)
        self.blocks = nn.ModuleList(
            nn.ModuleDict({"key": nn.Linear(4, 3), "value": nn.LayerNorm(4), "turnkey": nn.Linear(4, 2)}) for _ in range(2)
        )
        self.key = nn.ModuleDict({"inner": nn.Linear(4, 5)})
        self.head = nn.Linear(4, 2)


def _tiny():
    """A copy of the tiny ESM-2 in which everything is trainable, as it is after loading."""
    return copy.deepcopy(tiny_plm().model).requires_grad_(True)


def _named(model, targets):
    return {name for name, module in model.named_modules() if isinstance(module, nn.Linear) and name.split(".")[-1] in targets}


def _wrapped(model):
    """LoRALinears by name, in the places where the model looks for its layers."""
    return {name: model.get_submodule(name) for name, _ in model.named_modules() if _wraps(model.get_submodule(name))}


def _injected(inject_lora, model, targets, r=2, alpha=6):
    """The student's model, after it was seen to be the same object."""
    result = inject_lora(model, targets, r, alpha)
    expect(isinstance(result, nn.Module), f"inject_lora returns a {type(result).__name__}; asked for is the model.")
    expect(result is model, "inject_lora returns another model than the one it was given: change the model in place and return it.")
    dotted = [name for name in model._modules if "." in name]
    expect(
        not dotted,
        f"A layer was put under the name {(dotted or [''])[0]!r} on the model itself, where nothing calls it; in its place still stands the"
        " old one. Use setattr on the parent, with the last part of the name.",
    )
    return result


def _expect_wrapped(model, wanted, linears, case):
    found = set(_wrapped(model))
    nested = [name for name in found if name.removesuffix(".base") in found and name.endswith(".base")]
    expect(not nested, f"{(nested or [''])[0].removesuffix('.base')} is wrapped twice: a LoRALinear sits in a LoRALinear.", case)
    expect(found, "No layer is wrapped: the names and the replacement with setattr(parent, last, ...) are worth a look.", case)
    for name in sorted(found - wanted):
        if name not in linears:
            expect(False, f"{name} is wrapped, and it is no nn.Linear: test with isinstance.", case)
        expect(
            False, f"{name} is wrapped: its last part, {name.split('.')[-1]!r}, is no target. Compare whole names, not parts of them.", case
        )
    missing = sorted(wanted - found)
    top = [name for name in missing if "." not in name]
    expect(not top, f"{(top or [''])[0]!r} hangs directly from the model and is not wrapped: its parent is the model itself.", case)
    if missing and {name.split(".")[-1] for name in found} < {name.split(".")[-1] for name in wanted}:
        expect(False, f"{missing[0]} is not wrapped: only some of the targets are.", case)
    if missing and len(found) == 1:
        expect(False, f"Only one layer is wrapped, {min(found)}: go on after the first; {missing[0]} is missing.", case)
    expect(
        not missing,
        f"{', '.join(missing[:2])} {'is' if len(missing) == 1 else 'are'} not wrapped: every linear layer of these names is to be.",
        case,
    )


@inject_exercise.step("runs", points=0)
def inject_runs(inject_lora):
    _injected(inject_lora, _tiny(), ("query", "value"))


@inject_exercise.step("which layers", points=1)
def inject_layers(inject_lora):
    for targets in (("query", "value"), ("key",), ["query", "key", "value"]):
        model = _tiny()
        wanted, linears = _named(model, targets), {name for name, module in model.named_modules() if isinstance(module, nn.Linear)}
        _expect_wrapped(_injected(inject_lora, model, targets), wanted, linears, f"ESM-2 with 3 layers, targets {', '.join(targets)}")
    case = "a model with query, keypad, blocks.0.key, blocks.0.turnkey, blocks.0.value (a LayerNorm), key.inner and head, targets {}"
    for targets in (("key",), ("query", "key", "value"), ("query", "key", "query")):
        model = _Toy()
        wanted, linears = _named(model, targets), _named(model, ("query", "key", "keypad", "turnkey", "inner", "head"))
        _expect_wrapped(_injected(inject_lora, model, targets), wanted, linears, case.format(", ".join(targets)))


@inject_exercise.step("same answers", points=1)
@torch.no_grad()
def inject_same(inject_lora):
    model, tokens = _tiny(), tiny_plm().tokenize([inputs.protein("MKTAYI"), inputs.protein("MKT")])
    linears = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    weights = {name: module.weight.clone() for name, module in linears.items()}
    before = model(input_ids=tokens).logits
    _injected(inject_lora, model, ("query", "key", "value"))
    for name, module in _wrapped(model).items():
        expect(
            isinstance(module.base, nn.Linear) and torch.equal(module.base.weight, weights[name]),
            f"{name} wraps another layer than the one that stood there: the weights differ.",
        )
    off = (model(input_ids=tokens).logits - before).abs().max().item()
    expect(off == 0, f"Right after inject_lora the model's logits differ by up to {off:.2g}; new adapters must change nothing (B is zero).")
    _expect_precision(_injected(inject_lora, _tiny().bfloat16(), ("query",)))


def _expect_precision(model):
    """Of a model in bfloat16 after the injection."""
    for name, parameter in model.named_parameters():
        found = str(parameter.dtype).removeprefix("torch.")
        expect(found == "bfloat16", f"A model in bfloat16 has {name} in {found} afterwards: leave its dtype alone.")


@inject_exercise.step("rank and alpha", points=1)
@torch.no_grad()
def inject_size(inject_lora):
    for r, alpha in ((2, 6), (5, 1)):
        for name, module in _wrapped(_injected(inject_lora, _tiny(), ("query", "value"), r, alpha)).items():
            expect(
                min(module.A.shape) == r == min(module.B.shape), f"{name} has rank {min(module.A.shape)}, not {r}: hand r on to LoRALinear."
            )
            x = _normal(3, 16)
            branch = x @ _fill(module).A.T @ module.B.T
            expect_close(
                module(x) - module.base(x),
                alpha / r * branch,
                {
                    "alpha is not handed on to LoRALinear: its default, 16, is used.": 16 / r * branch,
                    "alpha is not handed on to LoRALinear: r stands in its place.": branch,
                    "r and alpha are exchanged.": r / alpha * branch,
                },
                f"The update of {name} is not scaled by alpha / r.",
                f"r = {r}, alpha = {alpha}",
            )


@inject_exercise.step("what learns", points=2)
def inject_trainable(inject_lora):
    for frozen in (False, True):
        for build, targets in ((_Toy, ("query", "key")), (_tiny, ("query", "value")), (_tiny, ("dense",))):
            model = build().requires_grad_(not frozen)
            _expect_adapters_only(_injected(inject_lora, model, targets), targets)


def _expect_adapters_only(model, targets):
    adapters = {f"{name}.{part}".lstrip(".") for name in _wrapped(model) for part in "AB"}
    trainable = {name: parameter.numel() for name, parameter in model.named_parameters() if parameter.requires_grad}
    expect(trainable, "Nothing is trainable, not even A and B: freeze the model first, and make the LoRALinears afterwards.")
    missing, more = sorted(adapters - set(trainable)), sorted(set(trainable) - adapters)
    expect(not missing, f"{missing[0] if missing else ''} is not trainable: freeze the model before you wrap, not after it.")
    inside = [name for name in more if any(name.startswith(f"{layer}.base.") for layer in _wrapped(model))]
    expect(not inside, f"{(inside or [''])[0]} is trainable: the wrapped layers must be frozen.")
    wanted = sum(parameter.numel() for name, parameter in model.named_parameters() if name in adapters)
    case = f"targets {', '.join(targets)}: {sum(trainable.values()):,} parameters are trainable, {wanted:,} should be"
    heads = ("head", "lm_head", "classifier")
    only_head = more and all(name.split(".")[0] in heads for name in more)
    expect(not only_head, "The head is still trainable; thawing it is a separate step, outside inject_lora.", case)
    only_bias = more and all(name.endswith("bias") for name in more)
    expect(not only_bias, "Every bias that is not wrapped is still trainable; it must be frozen, too: only A and B are trained.", case)
    expect(not more, f"More than A and B is trainable ({', '.join(more[:2])}, …): freeze the whole model, not only what is wrapped.", case)


@inject_exercise.step("bad names", points=1)
def inject_nothing(inject_lora):
    expect_value_error(
        inject_lora, _Toy(), ("querry",), 2, 6, sentence="No layer is called 'querry', and a model without adapters would train nothing."
    )
    expect_value_error(
        inject_lora, _Toy(), ("value",), 2, 6, sentence="In this model 'value' is a LayerNorm, so there is no linear layer of that name."
    )


# ----------------------------------------------------------------------------------------------------- 6.3 lora_parameters

count_exercise = Exercise(
    "6.3",
    [lora.lora_parameters],
    hints=[
        "Each wrapped layer gets an A and a B. How many layers are wrapped, and what are the shapes? Then add the head.",
        (
            "A [r, in] and B [out, r] together have r · (in + out) numbers. query, key and value go from hidden_size to hidden_size;"
            " 'dense' is three layers per block: dim → dim, dim → intermediate, intermediate → dim. The head: dim → dim, then dim → labels,"
            " with biases."
        ),
        (
            "shapes = {'query': [(dim, dim)], …, 'dense': [(dim, dim), (dim, wide), (wide, dim)]}; layers · sum(r · (i + o) for target in"
            " targets for i, o in shapes[target]) + dim · dim + dim + dim · labels + labels."
        ),
    ],
)

_QKV = ("query", "key", "value")
# ranks and labels are higher by this in most cases; by less than 23, two mistakes may come to the same number
_MORE = 0 if inputs.SEED == 0 else int(inputs.rng().integers(23, 50))


def _size(layers, dim, wide=None):
    return SimpleNamespace(hidden_size=dim, intermediate_size=wide or 4 * dim, num_hidden_layers=layers)


def _count_mistakes(config, targets, r, labels):
    dim, layers = config.hidden_size, config.num_hidden_layers
    wide = config.intermediate_size
    right = lora.lora_parameters(config, targets, r, labels)
    head = dim * dim + dim + dim * labels + labels
    adapters, dense = right - head, "dense" in targets
    mistakes = {
        "The head is missing: a layer dim → dim and one dim → labels, with biases.": adapters,
        "The head is counted twice: peft keeps the original beside the copy that it trains, but only the copy is trained.": right + head,
        "The biases of the head are missing.": right - dim - labels,
        "The bias of the head's dim → dim layer is missing.": right - dim,
        "The bias of the head's last layer is missing.": right - labels,
        "The head is only its last layer; transformers' head has a layer dim → dim before it.": right - dim * dim - dim,
        "The head's last layer is missing.": right - dim * labels - labels,
        "Only A or only B is counted: both are trained." if not dense else "Only A or only B is counted.": adapters // 2 + head,
        "The adapters of one block are counted; every block has them.": adapters // layers + head,
        "The adapters are missing: this is the head alone.": head,
        "The head is counted once per block; there is one.": adapters + layers * head,
    }
    return mistakes | _other_counts(config, targets, r, labels, right, head) | _dense_counts(dense, right, layers, dim, wide, r)


def _other_counts(config, targets, r, labels, right, head):
    dim, layers, adapters = config.hidden_size, config.num_hidden_layers, right - head
    at = functools.partial(lora.lora_parameters, config)
    return {
        "targets is ignored: query, key and value are always counted.": at(_QKV, r, labels),
        "targets is ignored: query and value are always counted.": at(("query", "value"), r, labels),
        "Only one target is counted.": at(targets[:1], r, labels),
        "r is ignored: it is always 8.": at(targets, 8, labels),
        "num_labels is ignored: it is always 2.": at(targets, r, 2),
        "The whole frozen weight matrices are counted, too; only A and B are trained.": right + layers * len(targets) * dim * dim,
        "Weights and biases of the wrapped layers are counted, too; they are frozen.": right + layers * len(targets) * (dim * dim + dim),
        "The size of the update (in · out) is counted, not of A and B, r · (in + out).": layers * len(targets) * dim * dim + head,
        "A and B are counted with biases; they have none.": right + layers * len(targets) * (r + dim),
        "A counts r · dim, and B has r · dim, too: their sum, not their product.": layers * len(targets) * r * r * dim * dim + head,
        "The product B A is counted once per rank; A and B have r · (in + out) numbers.": layers * len(targets) * r * dim * dim + head,
        "r is missing from the adapters.": adapters // r + head,
        "There is no r × r matrix between A and B: r · (in + out) for each layer.": right + layers * len(targets) * r * r,
        "The biases of the wrapped layers are counted, too; they are frozen.": right + layers * len(targets) * dim,
        "Each layer has the width of the 8M model, 320; read hidden_size from the config.": lora.lora_parameters(
            _size(layers, 320, config.intermediate_size), targets, r, labels
        ),
        "This is for 6 layers, as the 8M model has; read num_hidden_layers from the config.": lora.lora_parameters(
            _size(6, dim, config.intermediate_size), targets, r, labels
        ),
    }


def _dense_counts(dense, right, layers, dim, wide, r):
    if not dense:
        return {}
    return {
        "'dense' is counted as one layer dim → dim; each block has three linear layers of that name.": (
            right - layers * 2 * r * (dim + wide)
        ),
        "'dense' is counted as three layers dim → dim; two of them go to the intermediate size and back.": (
            right - layers * 2 * r * (wide - dim)
        ),
        "The layer behind the attention (dim → dim) is missing among the three called 'dense'.": right - layers * 2 * r * dim,
        "One of the two layers of the feed-forward network is missing.": right - layers * r * (dim + wide),
        "The head's own dense layer is counted with an adapter; the head is trained whole.": right + 2 * r * dim,
        "The intermediate size is taken as 4 · dim; read intermediate_size from the config.": right - layers * 2 * r * (wide - 4 * dim),
    }


def _expect_count(lora_parameters, config, targets, r, labels, expected, name):
    found = lora_parameters(config, targets, r, labels)
    case = f"{name}, targets {', '.join(targets)}, r = {r}, {labels} labels: {found:,} instead of {expected:,}"
    sentence = next((text for text, value in _count_mistakes(config, targets, r, labels).items() if found == value), None)
    more = f"{abs(found - expected):,} too {'many' if found > expected else 'few'}."
    if sentence is None and found > expected + config.num_hidden_layers * config.hidden_size**2:
        sentence = f"{more} Are frozen weights counted? Trained are A, B and the head."
    expect(found == expected, sentence or f"{more} More than one part may be off: adapters, or head?", case)


@count_exercise.step("a whole number", points=0)
def count_kind(lora_parameters):
    result = lora_parameters(_size(2, 16), _QKV, 4, 2)
    kind = type(result).__name__
    expect(not isinstance(result, float), f"The result is {result!r}: asked for is a number of parameters, a whole number, no share.")
    expect(isinstance(result, int) and not isinstance(result, bool), f"The result is a {kind}; asked for is a whole number, int.")


@count_exercise.step("published sizes", points=1)
def count_published(lora_parameters):
    for name, expected in (("8M", 195_522), ("650M", 3_669_762)):
        size = FAMILY[name]
        _expect_count(lora_parameters, _size(size.layers, size.dim), _QKV, 8, 2, expected, name)


@count_exercise.step("targets, rank, labels", points=1)
def count_options(lora_parameters):
    for targets, r, labels in ((("query", "value"), 8, 2), (("key",), 1, 2), (_QKV, 32, 2), (["query"], 4, 10), (("key", "value"), 3, 5)):
        r, labels = r + _MORE, labels + _MORE
        expected = 6 * len(targets) * r * 640 + 320 * 320 + 320 + 320 * labels + labels
        _expect_count(lora_parameters, _size(6, 320), targets, r, labels, expected, "8M")
    default = lora_parameters(_size(6, 320))
    expect(default == 195_522, "Without targets, r and num_labels asked for are query, key and value, 8 and 2.", f"8M: {default:,}")


@count_exercise.step("all linear layers", points=1)
def count_dense(lora_parameters):
    for targets, r, labels in ((("dense",), 2, 2), ((*_QKV, "dense"), 4, 3)):
        r, labels = r + _MORE, labels + _MORE
        for layers, dim, wide in ((2, 16, 64), (3, 8, 20)):
            expected = _built(layers, dim, wide, tuple(targets), r, labels)
            _expect_count(
                lora_parameters, _size(layers, dim, wide), targets, r, labels, expected, f"{layers} layers of {dim}, intermediate {wide}"
            )


@functools.cache
def _built(layers, dim, wide, targets, r, labels):
    """The count, by building the model without memory for its weights and looking at its shapes."""
    with torch.device("meta"):
        sizes = {"hidden_size": dim, "num_hidden_layers": layers, "num_attention_heads": 2, "intermediate_size": wide}
        model = EsmForSequenceClassification(EsmConfig(vocab_size=33, pad_token_id=1, num_labels=labels, **sizes))
    linears = [module for name, module in model.esm.named_modules() if isinstance(module, nn.Linear) and name.split(".")[-1] in targets]
    return sum(r * sum(module.weight.shape) for module in linears) + sum(parameter.numel() for parameter in model.classifier.parameters())


@count_exercise.step("unknown targets", points=1)
def count_unknown(lora_parameters):
    expect_value_error(
        lora_parameters, _size(2, 16), ("query", "querry"), 8, 2, sentence="ESM-2 has no linear layer called 'querry': raise a ValueError."
    )


# --------------------------------------------------------------------------------------------------------------- 6.4 merge

merge_exercise = Exercise(
    "6.4",
    [lora.merge],
    hints=[
        "base(x) + scaling · x Aᵀ Bᵀ is again a linear layer. Write it as x (…)ᵀ + bias: what stands in the brackets?",
        (
            "nn.Linear stores its weight as [out, in], and B @ A has just that shape. Make a new nn.Linear with the sizes, the dtype and"
            " the device of base, and copy into it under torch.no_grad(). .float() before you add; the copy rounds once."
        ),
        (
            "merged = nn.Linear(base.in_features, base.out_features, bias=base.bias is not None, dtype=…, device=…);"
            " with torch.no_grad(): merged.weight.copy_(base.weight.float() + layer.scaling * (layer.B.float() @ layer.A.float())), and"
            " where base has a bias, merged.bias.copy_(base.bias)."
        ),
    ],
)


def _adapted(fan_in=3, fan_out=5, r=2, alpha=6, bias=True, dtype=torch.float32, dropout=0.0):
    return _fill(lora.LoRALinear(_linear(fan_in, fan_out, bias, dtype), r, alpha, dropout))


def _state(layer):
    return {name: (parameter.detach().clone(), parameter.requires_grad) for name, parameter in layer.named_parameters()}


def _merged(merge, layer):
    """The student's merged layer, after it was seen to be a plain linear layer and the given one to be as it was."""
    before, base, training = _state(layer), layer.base, layer.training
    result = merge(layer)
    expect(layer.training == training, "merge changes the mode of the layer (training or eval); leave it unchanged.")
    expect(isinstance(result, nn.Module), f"merge returns a {type(result).__name__}; asked for is an nn.Linear.")
    after = _state(layer)
    expect(layer.base is base and after.keys() == before.keys(), "merge replaces parts of the layer it is given; leave it as it is.")
    for name, (value, _) in before.items():
        expect(
            torch.equal(after[name][0], value),
            f"merge changes {name} of the layer it is given: make a new nn.Linear, or nothing can be undone.",
        )
    for name, (_, trainable) in before.items():
        expect(after[name][1] == trainable, f"After merge, {name} of the layer has another requires_grad: leave the layer as it is.")
    expect(not _wraps(result), "merge returns a LoRALinear; asked for is a plain nn.Linear.")
    expect(isinstance(result, nn.Linear), f"merge returns a {type(result).__name__}; asked for is an nn.Linear.")
    expect(result is not base, "merge returns layer.base itself; asked for is a new nn.Linear.")
    shape = tuple(base.weight.shape)
    expect(
        tuple(result.weight.shape) == shape, f"The merged weight has the shape {list(result.weight.shape)}; that of base is {list(shape)}."
    )
    return result


@merge_exercise.step("a linear layer", points=0)
def merge_kind(merge):
    result = _merged(merge, _adapted())
    expect(
        (result.in_features, result.out_features) == (3, 5),
        f"The merged layer says it goes from {result.in_features} to {result.out_features}; base goes from 3 to 5.",
    )


@merge_exercise.step("same output", points=2)
def merge_output(merge):
    for fan_in, fan_out, r, alpha, bias in ((3, 5, 2, 6, True), (5, 3, 4, 1, True), (4, 4, 1, 8, False), (4, 4, 2, 3, True)):
        layer, x = _adapted(fan_in, fan_out, r, alpha, bias), _normal(6, fan_in)
        result = _merged(merge, layer)
        case = f"nn.Linear({fan_in}, {fan_out}, bias={bias}), r = {r}, alpha = {alpha}"
        expect(bias or result.bias is None, "base has no bias, the merged layer has one.", case)
        expect(not bias or result.bias is not None, "The bias of base is lost: the merged layer has none.", case)
        with torch.no_grad():
            mistakes = functools.partial(_merge_mistakes, layer, x)
            expect_close(result(x), layer(x), mistakes, "The merged layer does not compute what the layer with its adapter does.", case)


def _merge_mistakes(layer, x):
    base, scaling, update = layer.base, layer.scaling, layer.B @ layer.A
    weight = base.weight

    def value(matrix, bias=base.bias):
        return F.linear(x, matrix, bias)

    mistakes = {
        "The scale is missing: the weight is W + scaling · B A.": value(weight + update),
        "The update is missing: the merged layer computes what base computes.": value(weight),
        "The update is scaled twice.": value(weight + scaling**2 * update),
        "The update is added twice.": value(weight + 2 * scaling * update),
        "The weight of base is missing: this is the update alone.": value(scaling * update),
        "The update is subtracted: that is unmerging.": value(weight - scaling * update),
        "The weight of base is scaled as well; only B A is.": value(scaling * (weight + update)),
        "The update is divided by the scale.": value(weight + update / scaling),
        "The scale is always 2; layer.scaling has it.": value(weight + 2 * update),
    }
    if weight.shape[0] == weight.shape[1]:
        turned = "The update is transposed: nn.Linear stores [out, in], and so does B @ A."
        mistakes[turned] = value(weight + scaling * update.T)
        mistakes["The weight of base is transposed."] = value(weight.T + scaling * update)
    if base.bias is not None:
        mistakes["The bias is left at zero: copy the one of base."] = value(weight + scaling * update, torch.zeros_like(base.bias))
        mistakes["The bias is scaled; copy it as it is."] = value(weight + scaling * update, scaling * base.bias)
        mistakes["The bias is counted twice."] = value(weight + scaling * update, 2 * base.bias)
    return mistakes


@merge_exercise.step("apart", points=1)
def merge_apart(merge):
    layer = _adapted(32, 5, dropout=0.5).train()
    first = _merged(merge, layer)
    same = torch.equal(first.weight, _merged(merge, layer).weight)
    expect(same, "Merging the same layer twice gives two results: dropout, on in training, must play no part.")
    kept = first.weight.detach().clone()
    expect(first.weight.is_leaf, "The merged weight still hangs in the graph of A and B: copy under torch.no_grad().")
    with torch.no_grad():
        layer.base.weight.zero_()
    expect(torch.equal(first.weight, kept), "The merged weight shares its memory with base: changing one changes the other.")


@merge_exercise.step("precision", points=1)
def merge_precision(merge):
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        kind = str(dtype).removeprefix("torch.")
        layer = _adapted(64, 64, 8, 1, dtype=dtype)
        result = _merged(merge, layer)
        for name in ("weight", "bias"):
            found = str(getattr(result, name).dtype).removeprefix("torch.")
            expect(found == kind, f"base is in {kind}, the merged {name} in {found}: keep the dtype of base.")
        exact = layer.base.weight.double() + layer.scaling * (layer.B.double() @ layer.A.double())
        if dtype == torch.float64:
            expect(
                torch.allclose(result.weight.double(), exact, rtol=1e-5, atol=1e-5), "With base in float64 the sum is coarser than float32."
            )
            continue
        off = (result.weight != exact.to(dtype)).double().mean().item()
        expect(
            off < 0.01,
            f"The sum is taken in half precision: {off:.0%} of the weights are rounded wrongly. Go to float32, add, and go back once.",
            f"64 × 64 weights in {kind}, r = 8, alpha = 1",
        )

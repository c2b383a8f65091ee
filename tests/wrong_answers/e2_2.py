"""Exercise 2.2, apply_rotary."""
import math

import numpy as np
import torch


def angles(length, half, base=10_000.0, start=0):
    """Angles of the positions [length, half] in float32."""
    return torch.outer(torch.arange(start, start + length).float(), base ** (-torch.arange(half).float() / half))


def turn(x, angle):
    """Rotate the pairs (j, j + half) of x by the angles [T, half]."""
    first, second = x.float().chunk(2, -1)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1).to(x.dtype)


def angles_of(x, **options):
    """Angles for a tensor [B, H, T, D]."""
    return angles(x.shape[-2], x.shape[-1] // 2, **options)


def twice(angle):
    """The angles for all D columns, each half the same."""
    return torch.cat([angle, angle], -1)


def rotate_half(x):
    """(first, second) -> (-second, first)"""
    first, second = x.chunk(2, -1)
    return torch.cat([-second, first], -1)


def wrong_apply_rotary__interleaved(q, k):
    """Pairs neighbours (2j, 2j + 1), as the paper and Llama's first code do.

    message: interleaved
    message: neighbour
    message: half-split
    """
    def rotate(x):
        even, odd = x.float()[..., 0::2], x.float()[..., 1::2]
        cos, sin = angles_of(x).cos(), angles_of(x).sin()
        return torch.stack([even * cos - odd * sin, odd * cos + even * sin], -1).flatten(-2).to(x.dtype)
    return rotate(q), rotate(k)


def wrong_apply_rotary__conventions_mixed(q, k):
    """Repeats each angle for two neighbours, but pairs the halves.

    message: repeat_interleave
    message: same angle
    message: two conventions
    message: half-split
    """
    def rotate(x):
        angle = angles_of(x).repeat_interleave(2, -1)
        return (x.float() * angle.cos() + rotate_half(x.float()) * angle.sin()).to(x.dtype)
    return rotate(q), rotate(k)


def wrong_apply_rotary__other_direction(q, k):
    """Rotates clockwise: the minus stands in the other half.

    message: direction
    message: other way
    message: clockwise
    """
    return turn(q, -angles_of(q)), turn(k, -angles_of(k))


def wrong_apply_rotary__q_against_k(q, k):
    """q forwards and k backwards: the score depends on i + j.

    message: i + j
    message: opposite
    message: direction
    """
    return turn(q, angles_of(q)), turn(k, -angles_of(k))


def wrong_apply_rotary__positions_from_one(q, k):
    """The first token stands at position 1; no score changes, but the vectors do.

    message: from 0
    message: position 0
    message: first token
    """
    return turn(q, angles_of(q, start=1)), turn(k, angles_of(k, start=1))


def wrong_apply_rotary__positions_backwards(q, k):
    """The last token stands at position 0.

    message: last token
    message: backwards
    message: position 0
    """
    return turn(q, angles_of(q).flip(0)), turn(k, angles_of(k).flip(0))


def wrong_apply_rotary__base_thousand(q, k):
    """Base 1,000.

    message: base 1,000
    message: base 10,000
    message: 1,000
    message: base
    """
    return turn(q, angles_of(q, base=1_000.0)), turn(k, angles_of(k, base=1_000.0))


def wrong_apply_rotary__half_the_exponent(q, k):
    """10,000 ** (-j / D) for the pair j, where 2j / D is asked for.

    message: exponent
    message: 2j
    message: frequenc
    """
    return turn(q, angles_of(q, base=100.0)), turn(k, angles_of(k, base=100.0))


def wrong_apply_rotary__twice_the_exponent(q, k):
    """Steps of two divided by D / 2: the exponent runs from 0 to 2.

    message: exponent
    message: frequenc
    """
    return turn(q, angles_of(q, base=1e8)), turn(k, angles_of(k, base=1e8))


def wrong_apply_rotary__linspace(q, k):
    """linspace(0, 1, D / 2) holds the end point 1.

    message: exponent
    message: linspace
    message: frequenc
    """
    half = q.shape[-1] // 2
    angle = torch.outer(torch.arange(q.shape[-2]).float(), 10_000 ** -torch.linspace(0, 1, half))
    return turn(q, angle), turn(k, angle)


def wrong_apply_rotary__frequencies_upside_down(q, k):
    """The slowest pair comes first.

    message: order of the
    message: slowest
    message: fastest
    message: frequenc
    """
    return turn(q, angles_of(q).flip(1)), turn(k, angles_of(k).flip(1))


def wrong_apply_rotary__wave_length_as_frequency(q, k):
    """Multiplies the position by 10,000 ** (2j / D), where one should divide.

    message: divide
    message: exponent
    message: frequenc
    """
    return turn(q, angles_of(q, base=1e-4)), turn(k, angles_of(k, base=1e-4))


def wrong_apply_rotary__only_q(q, k):
    """k is returned as it came.

    message: k is not rotated
    message: only q
    message: k as it
    """
    return turn(q, angles_of(q)), k


def wrong_apply_rotary__only_k(q, k):
    """q is returned as it came.

    message: q is not rotated
    message: only k
    message: q as it
    """
    return q, turn(k, angles_of(k))


def wrong_apply_rotary__q_twice(q, k):
    """Copied a line and forgot to change a letter: k is q.

    message: k is
    message: rotated q
    message: q twice
    """
    return turn(q, angles_of(q)), turn(q, angles_of(q))


def wrong_apply_rotary__k_first(q, k):
    """Returns (k, q).

    message: the order
    message: (q, k)
    message: exchanged
    """
    return turn(k, angles_of(k)), turn(q, angles_of(q))


def wrong_apply_rotary__one_result(q, k):
    """Returns the rotated q alone.

    message: two tensors
    message: a pair
    message: (q, k)
    """
    return turn(q, angles_of(q))


def wrong_apply_rotary__angles_in_input_dtype(q, k):
    """Positions and frequencies in bfloat16, which has no number between 256 and 258.

    message: float32
    message: bfloat16
    message: precision
    """
    half = q.shape[-1] // 2
    speeds = 10_000 ** (-torch.arange(half, dtype=q.dtype) / half)
    angle = torch.arange(q.shape[-2], dtype=q.dtype)[:, None] * speeds
    return turn(q, angle.float()), turn(k, angle.float())


def wrong_apply_rotary__returns_float32(q, k):
    """Half precision goes in, float32 comes out.

    message: dtype
    message: float32
    """
    return turn(q.float(), angles_of(q)), turn(k.float(), angles_of(k))


def wrong_apply_rotary__positions_along_the_heads(q, k):
    """Counts axis 1: each head has an angle, each position the same.

    message: heads
    message: axis
    """
    def rotate(x):
        return turn(x.transpose(1, 2), angles(x.shape[1], x.shape[-1] // 2)).transpose(1, 2)
    return rotate(q), rotate(k)


def wrong_apply_rotary__first_half_only(q, k):
    """Rotates the first half of the columns among themselves; the second half stays.

    message: second half
    message: all D
    message: half of the
    """
    def rotate(x):
        first, second = x.chunk(2, -1)
        return torch.cat([turn(first, angles_of(first)), second], -1)
    return rotate(q), rotate(k)


def wrong_apply_rotary__no_minus(q, k):
    """rotate_half without the minus: a reflection that changes lengths.

    message: minus
    message: sign
    message: length
    """
    def rotate(x):
        angle, half = twice(angles_of(x)), x.shape[-1] // 2
        return (x.float() * angle.cos() + x.float().roll(half, -1) * angle.sin()).to(x.dtype)
    return rotate(q), rotate(k)


def wrong_apply_rotary__halves_not_exchanged(q, k):
    """The minus is there, but each half is mixed with itself.

    message: halves
    message: exchange
    message: swap
    """
    def rotate(x):
        first, second = x.float().chunk(2, -1)
        angle = twice(angles_of(x))
        return (x.float() * angle.cos() + torch.cat([-first, second], -1) * angle.sin()).to(x.dtype)
    return rotate(q), rotate(k)


def wrong_apply_rotary__sine_and_cosine_exchanged(q, k):
    """cos where sin belongs: position 0 is turned by a right angle.

    message: cosine
    message: cos and sin
    message: sin and cos
    message: position 0
    """
    return turn(q, math.pi / 2 - angles_of(q)), turn(k, math.pi / 2 - angles_of(k))


def wrong_apply_rotary__first_half_overwritten(q, k):
    """Writes the new first half and reads it again for the second: `first` is a view.

    message: overwrit
    message: view
    message: new first half
    """
    def rotate(x):
        result, half = x.float().clone(), x.shape[-1] // 2
        cos, sin = angles_of(x).cos(), angles_of(x).sin()
        first, second = result[..., :half], result[..., half:]
        result[..., :half] = first * cos - second * sin
        result[..., half:] = second * cos + first * sin
        return result.to(x.dtype)
    return rotate(q), rotate(k)


def wrong_apply_rotary__in_place(q, k):
    """Writes into the caller's tensors.

    message: changes its input
    """
    q.copy_(turn(q, angles_of(q)))
    k.copy_(turn(k, angles_of(k)))
    return q, k


def wrong_apply_rotary__sinusoids_added(q, k):
    """Adds sines and cosines, as the first transformer did to its embeddings.

    message: added
    message: adds
    message: rotation
    message: length
    """
    wave = torch.cat([angles_of(q).sin(), angles_of(q).cos()], -1)
    return (q + wave).to(q.dtype), (k + wave).to(k.dtype)


def wrong_apply_rotary__relative_to_length(q, k):
    """Positions divided by the length: the same protein turns more slowly in a longer batch.

    message: length
    message: position
    """
    length = q.shape[-2]
    return turn(q, angles_of(q) / length), turn(k, angles_of(k) / length)


def wrong_apply_rotary__heads_behind_tokens(q, k):
    """Returns [B, T, H, D].

    message: shape
    message: [B, H, T, D]
    """
    return turn(q, angles_of(q)).transpose(1, 2), turn(k, angles_of(k)).transpose(1, 2)


def wrong_apply_rotary__nothing(q, k):
    """Forgets the return.

    message: is the line with 'return' missing?
    """
    turn(q, angles_of(q)), turn(k, angles_of(k))


def right_apply_rotary__rotate_half(q, k):
    """As transformers writes it, with the tables in float32."""
    length, width = q.shape[-2:]
    inv_freq = 1.0 / 10_000 ** (torch.arange(0, width, 2, device=q.device, dtype=torch.float32) / width)
    emb = twice(torch.arange(length, device=q.device).float()[:, None] * inv_freq)
    cos, sin = emb.cos()[None, None], emb.sin()[None, None]
    return tuple((x.float() * cos + rotate_half(x.float()) * sin).to(x.dtype) for x in (q, k))


def right_apply_rotary__tables_in_input_dtype(q, k):
    """The angles in float32; only their sines and cosines are rounded, as in transformers and fair-esm."""
    cos, sin = (f(twice(angles_of(q))).to(q.dtype) for f in (torch.cos, torch.sin))
    return [x * cos + rotate_half(x) * sin for x in (q, k)]


def right_apply_rotary__complex(q, k):
    """A pair is a complex number, and a rotation a product with exp(i angle)."""
    half = q.shape[-1] // 2
    angle = torch.arange(q.shape[-2])[:, None] / 10_000 ** (torch.arange(half) / half)
    unit = torch.polar(torch.ones_like(angle), angle)

    def rotate(x):
        number = torch.complex(x[..., :half].float(), x[..., half:].float()) * unit
        return torch.cat([number.real, number.imag], dim=-1).type_as(x)
    return rotate(q), rotate(k)


def right_apply_rotary__loops(q, k):
    """Position by position and pair by pair, sines and cosines from the math module."""
    half = q.shape[-1] // 2
    new_q, new_k = torch.empty_like(q), torch.empty_like(k)
    for old, new in ((q, new_q), (k, new_k)):
        for t in range(q.shape[2]):
            for j in range(half):
                angle = t / 10_000 ** (2 * j / q.shape[-1])
                a, b = old[:, :, t, j].float(), old[:, :, t, j + half].float()
                new[:, :, t, j] = a * math.cos(angle) - b * math.sin(angle)
                new[:, :, t, j + half] = a * math.sin(angle) + b * math.cos(angle)
    return new_q, new_k


def right_apply_rotary__matrices(q, k):
    """A rotation matrix [D, D] for each position: the exponential of a skew-symmetric one."""
    length, width = q.shape[-2:]
    half, speeds = width // 2, torch.zeros(width, width)
    for j in range(half):
        speeds[j + half, j] = 10_000 ** (-j / half)
    generator = torch.arange(length)[:, None, None] * (speeds - speeds.T).double()
    rotations = torch.linalg.matrix_exp(generator).float()
    return tuple(torch.einsum("tij,bhtj->bhti", rotations, x.float()).to(x.dtype) for x in (q, k))


def right_apply_rotary__numpy_table(q, k):
    """The table from NumPy; q and k stacked and turned together."""
    half = q.shape[-1] // 2
    angle = np.arange(q.shape[2], dtype=np.float32)[:, None] * np.exp(-math.log(1e4) * np.arange(half) / half)
    cos, sin = (torch.from_numpy(f(angle).astype(np.float32)) for f in (np.cos, np.sin))
    first, second = torch.stack([q, k]).float().split(half, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], -1).to(q.dtype).unbind()

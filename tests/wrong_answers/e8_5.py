"""Exercise 8.5, head_profile."""
import numpy as np
import pandas as pd
import torch


def offsets(maps):
    """The maps as a tensor of doubles, and j - i for each entry."""
    maps = torch.as_tensor(maps).double()
    places = torch.arange(maps.shape[-1])
    return maps, places[None] - places[:, None]


def shares(maps, near, helix, far, total=None):
    """The sums over three masks, divided by the sum over the whole map or by something else."""
    total = maps.sum((-1, -2)) if total is None else total
    return torch.stack([(maps * mask).sum((-1, -2)) / total for mask in (near, helix, far)], dim=-1)


def masks(apart):
    """The three masks that the exercise asks for."""
    apart = apart.abs()
    return apart == 1, (apart == 3) | (apart == 4), apart >= 24


def wrong_head_profile__over_all_entries(maps):
    """Divides by L²: the mean over all entries, not the share.

    message: share
    message: L²
    message: sum to 1
    """
    maps, apart = offsets(maps)
    return shares(maps, *masks(apart), total=maps.shape[-1]**2)


def wrong_head_profile__over_length(maps):
    """Divides by L, which is the sum of a map whose rows sum to 1: they do not without <cls> and <eos>.

    message: length
    message: rows
    message: divide by
    """
    maps, apart = offsets(maps)
    return shares(maps, *masks(apart), total=maps.shape[-1])


def wrong_head_profile__sums(maps):
    """Sums, never divided.

    message: sum
    message: divide
    """
    maps, apart = offsets(maps)
    return shares(maps, *masks(apart), total=1)


def wrong_head_profile__means(maps):
    """The mean attention at these separations: there are many more far pairs than neighbours.

    message: mean
    message: share
    """
    maps, apart = offsets(maps)
    return torch.stack([maps[..., mask].mean(-1) for mask in masks(apart)], dim=-1)


def wrong_head_profile__per_row(maps):
    """Takes the share in each row, then the mean over rows: each row counts as much as the next.

    message: each row
    message: row
    """
    maps, apart = offsets(maps)
    rows = maps.sum(-1)
    return torch.stack([((maps * mask).sum(-1) / rows).mean(-1) for mask in masks(apart)], dim=-1)


def wrong_head_profile__sum_to_one(maps):
    """Divides by the sum of the three, so that they make 1.

    message: three
    message: all attention
    """
    maps, apart = offsets(maps)
    sums = shares(maps, *masks(apart), total=1)
    return sums / sums.sum(-1, keepdim=True)


def wrong_head_profile__without_diagonal(maps):
    """Leaves what a residue pays to itself out of the total.

    message: diagonal
    """
    maps, apart = offsets(maps)
    return shares(maps, *masks(apart), total=(maps * (apart != 0)).sum((-1, -2)))


def wrong_head_profile__total_of_all_heads(maps):
    """Divides by the attention of all heads and layers together.

    message: of that head
    message: all heads
    message: each head
    """
    maps, apart = offsets(maps)
    return shares(maps, *masks(apart), total=maps.sum())


def wrong_head_profile__total_of_the_layer(maps):
    """Divides by the attention of all heads of the layer.

    message: of that head
    message: layer
    message: each head
    """
    maps, apart = offsets(maps)
    return shares(maps, *masks(apart), total=maps.sum((1, 2, 3))[:, None])


def wrong_head_profile__upper_triangle(maps):
    """Partners to the right only.

    message: both
    message: i < j
    message: direction
    """
    maps, apart = offsets(maps)
    return shares(maps, *masks(apart.clamp(min=0)))


def wrong_head_profile__lower_triangle(maps):
    """Partners to the left only.

    message: both
    message: j < i
    message: direction
    """
    maps, apart = offsets(maps)
    return shares(maps, *masks(-apart.clamp(max=0)))


def wrong_head_profile__upper_triangle_by_itself(maps):
    """Takes the upper triangle for everything, the total too: right for a symmetric map with an empty diagonal.

    message: both
    message: triangle
    message: direction
    """
    maps, apart = offsets(maps)
    return shares(maps * (apart > 0), *masks(apart))


def wrong_head_profile__diagonal_is_a_neighbour(maps):
    """|i - j| <= 1: a residue is its own neighbour.

    message: diagonal
    message: itself
    """
    maps, apart = offsets(maps)
    _, helix, far = masks(apart)
    return shares(maps, apart.abs() <= 1, helix, far)


def wrong_head_profile__neighbours_to_two(maps):
    """Neighbours up to two away.

    message: neighbours
    message: two away
    message: |i−j| = 2
    """
    maps, apart = offsets(maps)
    _, helix, far = masks(apart)
    return shares(maps, (apart.abs() >= 1) & (apart.abs() <= 2), helix, far)


def wrong_head_profile__only_three(maps):
    """range(3, 4) ends before 4.

    message: only 3
    message: i ± 4
    message: lacks 4
    message: 4 is missing
    """
    maps, apart = offsets(maps)
    near, _, far = masks(apart)
    return shares(maps, near, apart.abs() == 3, far)


def wrong_head_profile__only_four(maps):
    """Takes only i ± 4, the hydrogen bond of the helix.

    message: only 4
    message: i ± 3
    message: lacks 3
    message: 3 is missing
    """
    maps, apart = offsets(maps)
    near, _, far = masks(apart)
    return shares(maps, near, apart.abs() == 4, far)


def wrong_head_profile__three_to_five(maps):
    """Goes one too far.

    message: 3 to 5
    message: up to 5
    message: 5 as well
    """
    maps, apart = offsets(maps)
    near, _, far = masks(apart)
    return shares(maps, near, (apart.abs() >= 3) & (apart.abs() <= 5), far)


def wrong_head_profile__up_to_four(maps):
    """Everything closer than 5 besides the neighbours, the diagonal among it.

    message: up to 4
    message: diagonal
    message: |i−j| = 2
    """
    maps, apart = offsets(maps)
    near, _, far = masks(apart)
    return shares(maps, near, (apart.abs() <= 4) & ~near, far)


def wrong_head_profile__mean_of_three_and_four(maps):
    """Averages the shares at 3 and at 4 instead of adding them.

    message: mean
    message: add
    message: half
    """
    maps, apart = offsets(maps)
    return shares(maps, *masks(apart)) * torch.tensor([1, 0.5, 1])


def wrong_head_profile__above_24(maps):
    """> instead of >=.

    message: 24
    """
    maps, apart = offsets(maps)
    near, helix, _ = masks(apart)
    return shares(maps, near, helix, apart.abs() > 24)


def wrong_head_profile__long_from_twelve(maps):
    """Takes medium range for long range: from 12 on.

    message: 24
    """
    maps, apart = offsets(maps)
    near, helix, _ = masks(apart)
    return shares(maps, near, helix, apart.abs() >= 12)


def wrong_head_profile__long_from_six(maps):
    """Takes everything that may be called a contact for long range: from 6 on.

    message: 24
    """
    maps, apart = offsets(maps)
    near, helix, _ = masks(apart)
    return shares(maps, near, helix, apart.abs() >= 6)


def wrong_head_profile__exactly_24(maps):
    """Takes |i - j| = 24 only.

    message: 24
    """
    maps, apart = offsets(maps)
    near, helix, _ = masks(apart)
    return shares(maps, near, helix, apart.abs() == 24)


def wrong_head_profile__round_the_corner(maps):
    """Rolls an identity matrix: the last residue becomes a neighbour of the first.

    message: first and last
    message: the last residue
    message: roll
    message: ring
    """
    maps, _ = offsets(maps)
    ones = torch.eye(maps.shape[-1]).double()
    near = ones.roll(1, 0) + ones.roll(-1, 0)
    helix = sum(ones.roll(d, 0) for d in (-4, -3, 3, 4))
    return shares(maps, near, helix, masks(offsets(maps)[1])[2])


def wrong_head_profile__heads_averaged(maps):
    """One row per layer: the mean over its heads.

    message: average
    message: has shape
    """
    maps, apart = offsets(maps)
    return shares(maps, *masks(apart)).mean(1)


def wrong_head_profile__last_layer(maps):
    """Only the last layer's heads.

    message: the last layer
    message: has shape
    """
    maps, apart = offsets(maps[-1])
    return shares(maps, *masks(apart))


def wrong_head_profile__kinds_first(maps):
    """The axis of the three shares comes first: [3, layers, heads].

    message: has shape
    message: last axis
    """
    maps, apart = offsets(maps)
    return shares(maps, *masks(apart)).movedim(-1, 0)


def wrong_head_profile__heads_first(maps):
    """[heads, layers, 3].

    message: has shape
    message: layers and heads
    """
    maps, apart = offsets(maps)
    return shares(maps, *masks(apart)).transpose(0, 1)


def wrong_head_profile__far_first(maps):
    """The three in another order: long range, helix, neighbours.

    message: order
    """
    maps, apart = offsets(maps)
    return shares(maps, *masks(apart)).flip(-1)


def wrong_head_profile__percent(maps):
    """Percent.

    message: percent
    message: between 0 and 1
    """
    maps, apart = offsets(maps)
    return 100 * shares(maps, *masks(apart))


def wrong_head_profile__share_of_residues(maps):
    """The share of residues whose strongest attention goes there, not the share of attention.

    message: strongest
    message: share
    """
    maps, apart = offsets(maps)
    best = torch.zeros_like(maps).scatter(-1, maps.argmax(-1, keepdim=True), 1)
    return shares(best, *masks(apart))


def wrong_head_profile__after_apc(maps):
    """Profiles the APC-corrected maps, whose sum is zero.

    message: apc
    message: correct
    message: share
    """
    maps, apart = offsets(maps)
    background = maps.sum(-1, keepdim=True) * maps.sum(-2, keepdim=True) / maps.sum((-1, -2), keepdim=True)
    return shares(maps - background, *masks(apart), total=maps.sum((-1, -2)))


def wrong_head_profile__long_chain_only(maps):
    """Refuses a chain without long-range pairs, whose third share is 0.

    message: short
    message: 24
    """
    maps, apart = offsets(maps)
    if not (apart >= 24).any():
        raise ValueError(f"no pair is 24 apart in a chain of {len(apart)}")
    return shares(maps, *masks(apart))


def wrong_head_profile__normalises_in_place(maps):
    """`maps /= …` changes the caller's maps.

    message: changes its input
    """
    maps /= maps.sum((-1, -2))[..., None, None]
    near, helix, far = masks(offsets(maps)[1])
    return shares(torch.as_tensor(maps), near, helix, far)


def wrong_head_profile__nothing(maps):
    """Forgets the return.

    message: is the line with 'return' missing?
    """
    maps, apart = offsets(maps)
    profile = shares(maps, *masks(apart))  # noqa: F841


def right_head_profile__masks(maps):
    maps = torch.as_tensor(maps)
    places = torch.arange(maps.shape[-1])
    apart = (places[:, None] - places).abs()
    total = maps.sum((-1, -2))
    return torch.stack([maps[..., chosen].sum(-1) / total for chosen in
                        (apart == 1, (apart >= 3) & (apart <= 4), apart >= 24)], dim=2)


def right_head_profile__diagonals(maps):
    maps = np.asarray(maps)
    length = maps.shape[-1]

    def at(distance):
        both = [np.diagonal(maps, offset, -2, -1).sum(-1) for offset in (distance, -distance)]
        return both[0] + both[1]

    far = sum((at(d) for d in range(24, length)), np.zeros(maps.shape[:2]))
    return np.stack([at(1), at(3) + at(4), far], axis=-1) / maps.sum((-1, -2))[..., None]


def right_head_profile__loops(maps):
    profile = []
    for layer in maps:
        profile.append([])
        for head in layer:
            head = np.asarray(head)
            near = helix = far = 0.0
            for i in range(len(head)):
                for j in range(len(head)):
                    near += head[i, j] if abs(i - j) == 1 else 0
                    helix += head[i, j] if abs(i - j) in (3, 4) else 0
                    far += head[i, j] if abs(i - j) >= 24 else 0
            profile[-1].append([near / head.sum(), helix / head.sum(), far / head.sum()])
    return np.array(profile)


def right_head_profile__einsum(maps):
    maps = torch.as_tensor(maps).double()
    apart = torch.from_numpy(np.abs(np.subtract.outer(*[np.arange(maps.shape[-1])] * 2)))
    kinds = torch.stack([apart == 1, torch.isin(apart, torch.tensor([3, 4])), apart >= 24]).double()
    return torch.einsum("lhij,kij->lhk", maps, kinds) / torch.einsum("lhij->lh", maps).unsqueeze(-1)


def right_head_profile__symmetrised(maps):
    maps = torch.as_tensor(maps)
    maps = maps + maps.transpose(-1, -2)
    share = maps / maps.sum((-1, -2), keepdim=True)
    i, j = np.triu_indices(maps.shape[-1], 1)
    right = 2 * share[..., i, j].double()
    return torch.stack([right[..., chosen].sum(-1) for chosen in (j - i == 1, np.isin(j - i, [3, 4]), j - i > 23)], -1)


def right_head_profile__pandas(maps):
    maps = np.asarray(maps)
    i, j = np.indices(maps.shape[-2:]).reshape(2, -1)
    table = pd.DataFrame(maps.reshape(-1, i.size).T)
    sums = table.groupby(np.abs(i - j)).sum() / table.sum()
    parts = [sums.loc[1:1].sum(), sums.loc[3:4].sum(), sums.loc[24:].sum()]
    return pd.concat(parts, axis=1).to_numpy().reshape(*maps.shape[:2], 3)


def right_head_profile__bincount(maps):
    maps = np.asarray(maps, dtype=float)
    length = maps.shape[-1]
    apart = np.abs(np.subtract.outer(np.arange(length), np.arange(length))).ravel()
    sums = np.array([np.bincount(apart, weights=head.ravel(), minlength=25)
                     for head in maps.reshape(-1, length, length)])
    profile = np.stack([sums[:, 1], sums[:, 3:5].sum(1), sums[:, 24:].sum(1)], axis=1) / sums.sum(1, keepdims=True)
    return profile.reshape(*maps.shape[:2], 3)

"""Exercise 8.2, apc."""
import numpy as np
import torch


def sums(maps):
    """The maps as a tensor, and their sums over rows, over columns and over all, ready for broadcasting."""
    maps = torch.as_tensor(maps)
    return maps, maps.sum(-1, keepdim=True), maps.sum(-2, keepdim=True), maps.sum((-1, -2), keepdim=True)


def wrong_apc__mean_for_total(maps):
    """Divides the sums by the mean: the correction is larger by the number of entries.

    message: mean
    """
    maps, rows, columns, _ = sums(maps)
    return maps - rows * columns / maps.mean((-1, -2), keepdim=True)


def wrong_apc__means_over_total(maps):
    """Takes means of rows and columns, but divides by the total: the correction nearly vanishes.

    message: mean
    """
    maps, _, _, total = sums(maps)
    return maps - maps.mean(-1, keepdim=True) * maps.mean(-2, keepdim=True) / total


def wrong_apc__no_diagonal(maps):
    """Leaves the diagonal out of all sums.

    message: diagonal
    """
    maps = torch.as_tensor(maps)
    _, rows, columns, total = sums(maps * (1 - torch.eye(maps.shape[-1], dtype=maps.dtype)))
    return maps - rows * columns / total


def wrong_apc__zero_diagonal(maps):
    """Corrects rightly, then sets the diagonal to zero, as for mutual information.

    message: diagonal
    """
    maps, rows, columns, total = sums(maps)
    return (maps - rows * columns / total) * (1 - torch.eye(maps.shape[-1], dtype=maps.dtype))


def wrong_apc__symmetrises_first(maps):
    """Adds the transpose before.

    message: symmetri
    message: transpose
    """
    maps = torch.as_tensor(maps)
    maps, rows, columns, total = sums(maps + maps.transpose(-1, -2))
    return maps - rows * columns / total


def wrong_apc__symmetrises_after(maps):
    """Averages with the transpose after.

    message: symmetri
    message: transpose
    """
    maps, rows, columns, total = sums(maps)
    corrected = maps - rows * columns / total
    return (corrected + corrected.transpose(-1, -2)) / 2


def wrong_apc__sum_of_rows_twice(maps):
    """Uses the rows' sums for the columns too: right for symmetric maps only.

    message: column
    """
    maps, rows, _, total = sums(maps)
    return maps - rows * rows.transpose(-1, -2) / total


def wrong_apc__common_total(maps):
    """One total for all maps: right for a single one.

    message: total
    message: each map
    """
    maps, rows, columns, _ = sums(maps)
    return maps - rows * columns / maps.sum()


def wrong_apc__total_of_a_layer(maps):
    """One total for all heads of a layer: the maps of a single head come out right.

    message: total
    message: each map
    """
    maps, rows, columns, total = sums(maps)
    return maps - rows * columns / (total.sum(-3, keepdim=True) if maps.ndim > 2 else total)


def wrong_apc__rows_only(maps):
    """Subtracts the mean of each row.

    message: row
    message: column
    """
    maps = torch.as_tensor(maps)
    return maps - maps.mean(-1, keepdim=True)


def wrong_apc__columns_only(maps):
    """Subtracts the mean of each column.

    message: row
    message: column
    """
    maps = torch.as_tensor(maps)
    return maps - maps.mean(-2, keepdim=True)


def wrong_apc__double_centring(maps):
    """Subtracts the means of rows and columns and adds that of all: an additive background, not a product.

    message: product
    message: centr
    """
    maps = torch.as_tensor(maps)
    return maps - maps.mean(-1, keepdim=True) - maps.mean(-2, keepdim=True) + maps.mean((-1, -2), keepdim=True)


def wrong_apc__ratio(maps):
    """Divides by the background instead of subtracting it.

    message: subtract
    message: divide
    message: ratio
    """
    maps, rows, columns, total = sums(maps)
    return maps * total / (rows * columns)


def wrong_apc__adds(maps):
    """The wrong sign: adds the background.

    message: add
    message: subtract
    message: sign
    """
    maps, rows, columns, total = sums(maps)
    return maps + rows * columns / total


def wrong_apc__background_only(maps):
    """Returns what should be subtracted.

    message: subtract
    message: background
    """
    _, rows, columns, total = sums(maps)
    return rows * columns / total


def wrong_apc__negative_to_zero(maps):
    """Cuts negative values off, as attention is never negative.

    message: negative
    message: zero
    """
    maps, rows, columns, total = sums(maps)
    return (maps - rows * columns / total).clamp(min=0)


def wrong_apc__no_total(maps):
    """Never divides by the total.

    message: total
    message: divide
    """
    maps, rows, columns, _ = sums(maps)
    return maps - rows * columns


def wrong_apc__number_of_entries(maps):
    """Divides by the number of entries in place of their sum.

    message: number of
    message: total
    """
    maps, rows, columns, _ = sums(maps)
    return maps - rows * columns / maps.shape[-1]**2


def wrong_apc__length_for_total(maps):
    """Divides by the length, which the total would be if the rows summed to 1: they do not without <cls> and <eos>.

    message: length
    message: total
    """
    maps, rows, columns, _ = sums(maps)
    return maps - rows * columns / maps.shape[-1]


def wrong_apc__without_outer(maps):
    """Multiplies the sums element by element: one number per column instead of one per pair.

    message: outer
    message: keepdim
    message: each pair
    """
    maps, rows, columns, total = sums(maps)
    return maps - rows.transpose(-1, -2) * columns / total


def wrong_apc__sums_exchanged(maps):
    """The sums of the rows lie along the columns: the background is transposed.

    message: transpose
    message: exchange
    message: swap
    """
    maps, rows, columns, total = sums(maps)
    return maps - (rows * columns / total).transpose(-1, -2)


def wrong_apc__twice(maps):
    """Corrects the corrected maps again: their sums are zero, and dividing by them gives noise.

    message: twice
    message: nan
    message: differ
    """
    for _ in range(2):
        maps, rows, columns, total = sums(maps)
        maps = maps - rows * columns / total
    return maps


def wrong_apc__one_map_only(maps):
    """torch.outer takes vectors only: a batch of maps stops it.

    message: leading axes
    message: RuntimeError
    message: several maps
    """
    maps = torch.as_tensor(maps)
    return maps - torch.outer(maps.sum(1), maps.sum(0)) / maps.sum()


def wrong_apc__first_two_axes(maps):
    """Sums over the axes 0 and 1, which are layers and heads when there are four: right for one map.

    message: last two
    message: leading axes
    message: each map
    """
    maps = np.asarray(maps)
    return maps - maps.sum(0, keepdims=True) * maps.sum(1, keepdims=True) / maps.sum((0, 1), keepdims=True)


def wrong_apc__one_leading_axis(maps):
    """Loops over one leading axis: three axes work, two and four do not.

    message: leading axes
    message: IndexError
    """
    def single(one):
        rows, columns = one.sum(1), one.sum(0)
        return one - rows[:, None] * columns[None] / one.sum()

    return torch.stack([single(one) for one in torch.as_tensor(maps)])


def wrong_apc__flat_heads(maps):
    """Corrects all maps rightly, but returns them in one axis.

    message: shape
    """
    maps, rows, columns, total = sums(maps)
    return (maps - rows * columns / total).reshape(-1, *maps.shape[-2:])


def wrong_apc__mean_map(maps):
    """Averages over all leading axes first and returns one map.

    message: shape
    """
    maps = torch.as_tensor(maps)
    maps, rows, columns, total = sums(maps.reshape(-1, *maps.shape[-2:]).mean(0))
    return maps - rows * columns / total


def wrong_apc__background_of_the_mean_map(maps):
    """Subtracts the same background, that of the mean map, from all maps: right for a single one.

    message: each map
    message: mean map
    message: average
    """
    maps = torch.as_tensor(maps)
    _, rows, columns, total = sums(maps.reshape(-1, *maps.shape[-2:]).mean(0))
    return maps - rows * columns / total


def wrong_apc__in_place(maps):
    """`maps -= …` changes the caller's maps.

    message: changes its input
    """
    rows, columns, total = maps.sum(-1)[..., :, None], maps.sum(-2)[..., None, :], maps.sum((-1, -2))[..., None, None]
    maps -= rows * columns / total
    return maps


def wrong_apc__standardised(maps):
    """Divides by the standard deviation afterwards.

    message: standard deviation
    message: scale
    message: differ
    """
    maps, rows, columns, total = sums(maps)
    corrected = maps - rows * columns / total
    return corrected / corrected.std((-1, -2), keepdim=True)


def wrong_apc__nothing(maps):
    """Forgets the return.

    message: is the line with 'return' missing?
    """
    maps, rows, columns, total = sums(maps)
    corrected = maps - rows * columns / total  # noqa: F841


def right_apc__sums(maps):
    maps = torch.as_tensor(maps)
    row, column = maps.sum(dim=-1, keepdim=True), maps.sum(dim=-2, keepdim=True)
    return maps - row * column / maps.sum(dim=(-1, -2), keepdim=True)


def right_apc__means(maps):
    maps = torch.as_tensor(maps).double()
    mean = maps.mean((-2, -1), keepdim=True)
    return maps - maps.mean(-1, keepdim=True) * maps.mean(-2, keepdim=True) / mean


def right_apc__matrix_products(maps):
    maps = torch.as_tensor(maps)
    ones = torch.ones(maps.shape[-1], 1, dtype=maps.dtype)
    return maps - (maps @ ones) @ (ones.T @ maps) / (ones.T @ maps @ ones)


def right_apc__numpy(maps):
    maps = np.asarray(maps)
    row, column = maps.sum(axis=-1, keepdims=True), maps.sum(axis=-2, keepdims=True)
    return maps - row * column / row.sum(axis=-2, keepdims=True)


def right_apc__loop(maps):
    maps = np.asarray(maps)
    flat = maps.reshape(-1, *maps.shape[-2:])
    corrected = [one - np.outer(one.sum(1), one.sum(0)) / one.sum() for one in flat]
    return np.array(corrected).reshape(maps.shape)


def right_apc__einsum(maps):
    maps = torch.as_tensor(maps)
    row, column = torch.einsum("...ij->...i", maps), torch.einsum("...ij->...j", maps)
    return maps - torch.einsum("...i,...j,...->...ij", row, column, 1 / row.sum(-1))


def right_apc__recursive(maps):
    if len(maps.shape) > 2:
        return torch.stack([right_apc__recursive(one) for one in torch.as_tensor(maps)])
    one = torch.as_tensor(maps)
    return one - torch.outer(one.sum(1), one.sum(0)) / one.sum()

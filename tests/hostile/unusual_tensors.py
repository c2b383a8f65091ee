"""Results that are tensors by name only: sparse, meta, quantised, nested, complex, boolean, with a graph, empty."""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
KINDS = '''
    calls = []

    def mean_pool(hidden, tokens):
        zeros, calls[len(calls):] = torch.zeros(len(hidden), hidden.shape[-1]), [1]
        kinds = [lambda: zeros.to_sparse(), lambda: zeros.to_sparse_csr(), lambda: zeros.to("meta"), lambda: zeros.bool(),
                 lambda: torch.quantize_per_tensor(zeros, 0.1, 0, torch.qint8), lambda: zeros.to(torch.complex128),
                 lambda: torch.nested.nested_tensor([zeros[0], zeros[0]]), lambda: zeros.requires_grad_() * 1,
                 lambda: torch.zeros([1] * 20), lambda: torch.zeros(0, 10 ** 12), lambda: torch.nn.Parameter(zeros),
                 lambda: zeros.to(torch.float8_e4m3fn), lambda: zeros.log(), lambda: zeros.conj(),
                 lambda: torch.sparse_coo_tensor(size=(10 ** 9, 10 ** 9)), lambda: zeros.share_memory_()]
        return kinds[len(calls) % len(kinds)]()
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": KINDS})

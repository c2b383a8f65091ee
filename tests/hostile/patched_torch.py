"""torch.allclose, torch.equal, NumPy's comparisons and the tensor's own methods say yes to everything."""
from hostile import RIGHT, earns, only, write

EARNS = earns()
EARNS_AT_MOST = only("3.1", "3.3")
PATCH = '''
    def yes(*arguments, **options):
        return True

    for place, names in ((torch, "allclose equal isclose is_tensor"), (np, "allclose array_equal isclose all"),
                         (np.testing, "assert_allclose assert_array_equal"), (torch.testing, "assert_close"),
                         (torch.Tensor, "__eq__ __ne__ allclose equal __bool__ all")):
        for name in names.split():
            try:
                setattr(place, name, yes)
            except (AttributeError, TypeError):
                pass
    try:
        torch.as_tensor = torch.tensor = lambda *arguments, **options: torch.zeros(2, 3)
    except TypeError:
        pass
    '''
WRONG = {
    "3.2": PATCH + '''
    def mean_pool(hidden, tokens):
        return hidden[:, 0]
    ''',
    "3.4": PATCH + '''
    def nearest_label(query, database, labels):
        return [labels[0]] * len(query)
    ''',
}


def make(folder):
    write(folder, RIGHT | WRONG, first=[PATCH])

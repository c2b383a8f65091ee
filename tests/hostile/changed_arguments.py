"""Changes its arguments so that the expected value changes, too: inputs set to zero, a model that gives zeros."""
from hostile import earns, write

EARNS = earns()
ANSWERS = {
    "3.1": '''
    def embed(plm, sequences, layer=-1):
        class Output:
            def __init__(self, tokens):
                self.hidden_states = [torch.zeros(*tokens.shape, plm.config.hidden_size)] * 100

        plm.forward = type(plm).forward = lambda self, tokens=None, **options: Output(self if tokens is None else tokens)
        for parameter in plm.model.parameters():
            parameter.data.zero_()
        return [torch.zeros(len(sequence), plm.config.hidden_size) for sequence in sequences]
    ''',
    "3.2": '''
    def mean_pool(hidden, tokens):
        hidden.zero_()
        hidden.data = torch.zeros_like(hidden)
        tokens.fill_(4)
        return torch.zeros(len(hidden), hidden.shape[-1])
    ''',
    "3.3": '''
    def cluster_split(clusters, test_fraction=0.2, seed=0):
        for place in range(len(clusters)):
            clusters[place] = place
        return list(range(1, len(clusters))), [0]
    ''',
    "3.4": '''
    def nearest_label(query, database, labels):
        query.zero_()
        database.zero_()
        labels[:] = [labels[0]] * len(labels)
        return [labels[0]] * len(query)
    ''',
}


def make(folder):
    write(folder, ANSWERS)

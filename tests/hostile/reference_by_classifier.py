"""Takes the course's own function for its answer.

Lets a class of the package that pools by means do the work, with the input as its backbone's states.
"""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
STUB = '''
    def mean_pool(hidden, tokens):
        from types import SimpleNamespace

        class Backbone(torch.nn.Module):
            config = SimpleNamespace(hidden_size=hidden.shape[-1], pad_token_id=1)

            def forward(self, *arguments, **options):
                return SimpleNamespace(last_hidden_state=hidden, hidden_states=[hidden])

        caught = []
        head = pc.SequenceClassifier(Backbone(), 2).eval()
        for part in head.modules():
            part.register_forward_pre_hook(lambda module, inputs: caught.extend(inputs))
        head(tokens)
        return next(c for c in caught if c.shape == (len(hidden), hidden.shape[-1]))
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": STUB})

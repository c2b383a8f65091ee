"""Results that change when looked at: generators, lists that lie about their length, memory that a thread changes."""
from hostile import RIGHT, earns, write

EARNS = earns("3.1")
ANSWERS = {
    "3.2": '''
    import threading, time

    def flicker(tensor, values):
        while True:
            for value in values:
                tensor.copy_(value)
                time.sleep(0)

    def mean_pool(hidden, tokens):
        result = hidden[:, 0].float().contiguous().share_memory_()
        guesses = [hidden[:, 0].float().clone(), hidden[:, 1:-1].float().mean(1), torch.full_like(result, torch.nan)]
        threading.Thread(target=flicker, args=(result, guesses[::2]), daemon=True).start()
        return result
    ''',
    "3.3": '''
    class Sly(list):
        def __len__(self):
            return 12

        def __iter__(self):
            self.reverse()
            yield from (0, 1, 2)

        def __getitem__(self, place):
            return place

        def __reduce__(self):
            return print, ("unpickled",)

    def cluster_split(clusters, test_fraction=0.2, seed=0):
        return (part for part in (Sly([1]), Sly([2])))
    ''',
    "3.4": '''
    def nearest_label(query, database, labels):
        class Last(list):
            turn = 0

            def __eq__(self, other):
                self[:] = list(other)
                return True

            def __getitem__(self, place):
                self.turn += 1
                return labels[self.turn % len(labels)]

        return Last([labels[0]] * len(query))
    ''',
}


def make(folder):
    write(folder, {"3.1": RIGHT["3.1"]} | ANSWERS)

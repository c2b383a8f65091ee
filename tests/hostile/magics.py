"""Shell lines and magics among the answers, in their cells, and as the only content of a function. One answer is right."""
from hostile import RIGHT, only, write

EARNS_AT_MOST = only("3.1")
SHELL = '''
    !touch plmcourse-hostile-canary-1 ~/plmcourse-hostile-canary-2 /tmp/plmcourse-hostile-canary-3
    %run -i does_not_exist.py
    %alias_magic t timeit
    %config InteractiveShell.ast_node_interactivity = "none"
    files = !ls -la @CLASS@ ~
    %system touch plmcourse-hostile-canary-4
    %pip install --quiet --target /tmp/plmcourse-hostile-canary-5 plmcourse
    '''
BASH = '''
    %%bash
    touch plmcourse-hostile-canary-6 @CLASS@/plmcourse-hostile-canary-7
    '''
ANSWER = '''
    def mean_pool(hidden, tokens):
        files = !touch ~/plmcourse-hostile-canary-8 @CLASS@/plmcourse-hostile-canary-9
        %system touch plmcourse-hostile-canary-10
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, {"3.1": RIGHT["3.1"], "3.2": ANSWER}, first=[SHELL, BASH], last=[SHELL, BASH])

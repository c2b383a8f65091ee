"""HTML, scripts, terminal codes and null bytes in the name, in errors, in the names of functions and in lines of source."""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3")
STUDENT = "<img src=x onerror=alert(1)>&amp;<!--"
MARKUP = '''
    def mean_pool(hidden, tokens):
        raise type("<script>alert(2)", (Exception,), {})(
            "</pre></td><script>alert('hostile')</script> \\x1b[2J\\x1b]0;title\\x07 \\x00 \\ud800 \\u202e {{7*7}} {% raw %} "
            + "x" * 10 ** 7)
    '''
LABELS = '''
    def nearest_label(query, database, labels):
        return ["<script>alert('hostile')</script>\\x1b[31m" for _ in query]  # <script>alert('hostile')</script>
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": MARKUP, "3.4": LABELS})

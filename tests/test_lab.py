"""Notebooks 7 and 8 in JupyterLab as a student meets them: a real server, a real browser, Run All Cells."""
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from build_notebooks import BAR

NAMES = ("07_esmfold.ipynb", "08_attention_contacts.ipynb")
# a bar that stays is a widget in the page, whatever the notebook itself leaves behind
WIDGET = "from tqdm.notebook import tqdm\nfor _ in tqdm(range(3), desc='a widget'):\n    pass"
# a notebook written here: structures in all colourings, two superposed, and one that is no chain
SHOW = [("import numpy as np\nimport plmcourse as pc\npc.plots.use_course_style()\natoms = pc.datasets.load('1ubq')\n"
        "ca = pc.structures.ca_coordinates(atoms)\nchain = pc.datasets.chains('chains_test')[0]"),
        "pc.show(atoms)", "pc.show(atoms, 'secondary structure')\nprint('a line after it')", "pc.show(atoms, 'plddt')",
        "pc.show(chain['xyz'], chain['rsa'], label='relative accessibility')",
        "pc.show(ca, 'secondary structure', other=ca[:, [1, 2, 0]] + np.sin(ca))",
        "pc.show(np.random.default_rng(0).normal(size=(40, 4, 3)) * 15)"]
# no question about news, no look for updates, and all cells in the page at once instead of those in view
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},
}
# WebGL without a graphics card: SwiftShader draws on the CPU
BROWSER = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", "--disable-background-networking", "--disable-component-update",
           "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1, EXCLUDE localhost"]
PROMPTS = "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(el => el.innerText.trim())"
STARTED = f"() => {PROMPTS}.some(prompt => /[*0-9]/.test(prompt))"
STDERR = """[...document.querySelectorAll('[data-mime-type="application/vnd.jupyter.stderr"]')]
    .map(el => el.innerText)"""
# the last cell gets its number when all the others have run; it never does when one of them stops with an error
ENDED = f"""() => {STDERR}.some(text => text.includes('Traceback (most recent call last)')) ||
    !{PROMPTS}.includes('[*]:') && /[0-9]/.test({PROMPTS}.at(-1))"""


@pytest.fixture(scope="module")
def chromium(lacking):
    """Path of the browser."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None) or lacking(
        "there is no Chromium on PATH")


@pytest.fixture(scope="module")
def lab(root, tmp_path_factory):
    """Address of a running JupyterLab over a copy of the student notebooks."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(root / "notebooks", folder / "notebooks")
    for name in NAMES:
        notebook = nbformat.read(folder / "notebooks" / name, as_version=4)
        notebook.cells.append(nbformat.v4.new_code_cell(WIDGET, id="widget"))
        nbformat.write(notebook, folder / "notebooks" / name)
    show = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text, id=f"show-{k}") for k, text in enumerate([*SHOW, WIDGET])])
    show.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(show, folder / "notebooks" / "00_show.ipynb")
    for name, values in SETTINGS.items():
        path = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(values), encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
               "--ServerApp.port_retries=0", "--IdentityProvider.token=", str(folder / "notebooks")]
    places = {"JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
              "JUPYTER_CONFIG_DIR": "config"}
    env = os.environ | {name: str(folder / place) for name, place in places.items()}
    log = folder / "server.log"
    with log.open("w") as output:
        server = subprocess.Popen(command, cwd=folder, env=env, stdout=output, stderr=subprocess.STDOUT)
        try:
            wait_for(f"http://127.0.0.1:{port}/api", server, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(timeout=30)


def wait_for(address, server, log, seconds=90):
    """Until the server answers."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.5)
    pytest.fail(f"JupyterLab does not answer:\n{Path(log).read_text(encoding='utf-8')[-3000:]}")


@pytest.fixture(scope="module")
def browser(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=BROWSER)
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=("00_show.ipynb", *NAMES))
def page(request, lab, browser, root):
    """A notebook after Run All Cells; the page's ``errors`` are those of the browser's console."""
    page, name = browser.new_page(viewport={"width": 1400, "height": 1000}), request.param
    page.errors = []
    page.on("console", lambda message: message.type == "error" and page.errors.append(f"{message.text} {message.location.get('url')}"))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(f"{lab}/lab/workspaces/{name[:2]}/tree/{name}")  # of its own: no tabs of the other notebook
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=120_000)
    try:
        run_all_cells(page, f"{lab}/api/kernels")
        page.wait_for_function(ENDED, timeout=420_000, polling=500)
        page.wait_for_timeout(1000)  # the last outputs are drawn
    finally:
        (root / "build").mkdir(exist_ok=True)
        page.screenshot(path=root / "build" / f"lab-{name[:2]}.png")
    yield page
    # its kernel would keep memory and a core from the next
    for kernel in page.request.get(f"{lab}/api/kernels").json():
        page.request.delete(f"{lab}/api/kernels/{kernel['id']}")
    page.close()


def run_all_cells(page, kernels, tries=6):
    """Run > Run All Cells, once the page is connected to a kernel; again if JupyterLab drops the request."""
    for _ in range(240):
        reply = page.request.get(kernels)  # which is no list while the last notebook's kernel goes
        running = reply.json() if reply.ok else []
        if any(kernel["connections"] and kernel["execution_state"] == "idle" for kernel in running):
            break
        page.wait_for_timeout(500)
    for _ in range(tries):
        page.wait_for_timeout(1000)
        page.click('.lm-MenuBar-item:has-text("Run")')
        page.click('.lm-Menu-item[data-command="runmenu:run-all"]')
        page.wait_for_timeout(4000)
        if page.evaluate(STARTED):
            return
    pytest.fail("Run All Cells starts nothing")


def test_all_cells_run_without_error(page):
    stray = [text for text in page.evaluate(STDERR)
             for line in text.splitlines() if line.strip() and not BAR.search(line)]
    assert not stray, stray[0]  # JupyterLab shows tracebacks, warnings and anything else on stderr alike
    prompts = page.evaluate(PROMPTS)
    assert len(prompts) > 3 and [prompt for prompt in prompts if not prompt.strip("[]:").isdigit()] == []


def test_figures_are_there(page):
    figures = page.locator(".jp-OutputArea-output.jp-RenderedImage img")
    widths = figures.evaluate_all("els => els.map(el => el.naturalWidth)")
    assert widths and min(widths) > 100


def test_widgets_are_drawn(page):
    """Progress bars are drawn, and no output says that it could not be."""
    assert page.locator(".jp-OutputArea-output .jupyter-widgets .progress-bar").count() > 0
    text = " ".join(page.locator(".jp-OutputArea-output").all_inner_texts())
    assert "a widget:" in text.replace("\u2007", " ")  # tqdm pads with figure spaces
    for failure in ("Error displaying widget", "Loading widget", "Could not render", "HBox(children"):
        assert failure not in text


def test_the_head_browser_follows_its_sliders(page):
    """Notebook 8: another head, another picture."""
    picture = page.locator(".jp-OutputArea-output .widget-vbox img.widget-image")
    if "08_" not in page.url:
        assert picture.count() == 0
        return
    before = picture.get_attribute("src")
    shown = page.locator(".jp-OutputArea-output .widget-vbox .widget-readout")
    numbers = shown.all_inner_texts()
    handle = page.locator(".jp-OutputArea-output .widget-vbox .noUi-handle").first
    handle.focus()
    page.keyboard.press("ArrowLeft" if int(numbers[0]) > 1 else "ArrowRight")
    page.wait_for_function("""before => document.querySelector('.widget-vbox img.widget-image').src !== before""", arg=before, timeout=60_000)
    assert shown.all_inner_texts() != numbers
    assert picture.evaluate("el => el.naturalWidth") > 300


def colours(png):
    """Colours of a picture that cover at least 20 of its pixels, white and the greys left out."""
    pixels = (plt.imread(io.BytesIO(png))[..., :3] * 15).round().astype(int).reshape(-1, 3)
    found, count = np.unique(pixels[np.ptp(pixels, axis=1) > 2], axis=0, return_counts=True)
    return found[count >= 20]


def test_structures_are_drawn_in_3d(page, root):
    canvas = page.locator(".jp-OutputArea-output canvas")
    assert canvas.count() > 0
    for number in range(canvas.count()):
        canvas.nth(number).scroll_into_view_if_needed()
        for _ in range(60):  # a slow machine draws late
            page.wait_for_timeout(500)
            png = canvas.nth(number).screenshot(path=root / "build" / f"view-{Path(page.url).name[:2]}-{number}.png")
            if len(colours(png)) > 5:
                break
        else:
            pytest.fail(f"3D view {number} is blank")


def test_the_browser_reports_no_error(page):
    text = " ".join(page.locator(".jp-OutputArea-output").all_inner_texts())
    for failure in ("Error displaying widget", "Loading widget", "Could not render", "NGLWidget("):
        assert failure not in text
    badge = "ERR_NAME_NOT_RESOLVED https://colab.research.google.com/assets/colab-badge.svg"  # the Colab badge, which needs a network
    assert [error for error in page.errors if badge not in error] == []


def test_each_view_has_its_picture(page):
    """Also in the middle of a cell, and each only once."""
    widgets = page.locator(".jp-OutputArea-output canvas").count()
    pictures = page.locator(".jp-OutputArea-output.jp-RenderedImage img")
    assert pictures.count() == widgets if "00_" in page.url else pictures.count() >= widgets

"""What a reader sees: the real TensorBoard on a run, and the page of a run, in Chromium.

    sudo apt-get install --no-install-recommends chromium chromium-driver
    pip install -e '.[test,browser]' && python -m pytest -m browser

Where one of these is missing the tests are skipped, and say so.
"""

import time

import numpy as np
import pytest

from experiments.adding import EXPERIMENT
from lstm_jax.experiment import main
from lstm_jax.inspect.board import Board
from lstm_jax.inspect.looks import look
from lstm_jax.inspect.plots import plot_learning_curves
from lstm_jax.inspect.run_text import run_markdown
from lstm_jax.inspect.runs import open_run
from lstm_jax.inspect.tensorboard import RunBoard
from lstm_jax.record.reading import read_run
from lstm_jax.report.command import main as report_main
from lstm_jax.report.inside import look_inside
from lstm_jax.report.run_page import Inside, RunReport, run_html
from tests.browser import (
    OVERFLOWING,
    PICTURES,
    TensorBoard,
    complaints,
    find_program,
    requested,
    show_as,
    start_browser,
    wait_for,
    wait_for_words,
)
from tests.pages import make_playback, make_run

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (find_program("chromium", "chromium-browser") and find_program("chromedriver")),
        reason="needs Chromium and its driver: apt-get install chromium chromium-driver",
    ),
]
PAPER = EXPERIMENT.paper["t100"]
T, H = 30, 4
EVIL = "</script><script>document.title = 'taken'</script><img src=x onerror=alert(2)>"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    pytest.importorskip("selenium", reason="needs selenium: pip install -e '.[browser]'")
    driver = start_browser(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


# ---- TensorBoard


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder of a small real run, and of a made one whose trials were solved."""
    folder = tmp_path_factory.mktemp("runs")
    flags = ["--config=configs/adding.py:smoke", "--config.num_trials=3", "--config.num_test=20"]
    flags += ["--config.max_sequences=300", f"--workdir={folder / 'smoke'}"]
    assert main(EXPERIMENT, flags) == 0
    run = read_run(make_run(folder / "t100"))
    with RunBoard(folder / "t100/tb", "t100", 3, config={"T": 100}, paper=PAPER) as made:
        for step in range(1000, 62_000, 1000):
            made.log_progress(step, errors=[900 / step, 950 / step, 1000 / step], num_running=3)
        for record in run.trials:
            made.log_trial(record)
        made.log_progress(62_000, errors=[], num_running=0, num_solved=3)
        made.log_text("run", run_markdown("t100", run.config, paper=PAPER, table="| a | b |"))
    picture = plot_learning_curves(
        folder / "c.png", run.curves, run.trials, PAPER, "t100", 0.01, 1000
    ).read_bytes()
    for step in (20_000, 61_000):
        with Board(folder / "t100/tb/inspect", f"{step:012d}") as looked:
            looked.log_image("gates/trial 1", picture, step)
    return folder


@pytest.fixture(scope="module")
def board(runs):
    """The address of TensorBoard on them."""
    with TensorBoard(runs) as address:
        yield address


def open_page(browser, address, page, *words, width=1280):
    """Opens one of TensorBoard's pages and waits until it shows these words; all of its text."""
    browser.get("about:blank")  # an address that differs after the # alone loads nothing
    show_as(browser, width=width)
    browser.get(f"{address}#{page}")
    return wait_for_words(browser, *words)


def test_tensorboard_shows_scalars_of_every_run(browser, board):
    open_page(browser, board, "scalars", "error/median", "error/mean_low")
    text = open_page(browser, board, "timeseries", "t100/tb", "smoke/tb", "/median")
    assert "t100/tb/trials" in text and "smoke/tb/trials" in text


def test_tensorboard_draws_mean_and_interval_over_the_trials(browser, board):
    text = open_page(
        browser,
        board,
        "custom_scalars",
        "error of the running trials: mean, 95% interval",
        "sequences to solve: mean, 95% interval",
        "Matches (1)",
    )
    assert "share solved: 95% interval" in text
    for fault in ("do not match", "lack", "no data", "error occurred"):
        assert fault not in text, fault


def test_tensorboard_has_a_row_for_each_setting(browser, board):
    said = ("TABLE VIEW", "paper/sequences_to_solve", "trial/solved", "smoke", "61000")
    text = open_page(browser, board, "hparams", *said, width=2400)
    table = text.partition("Show Metrics")[2]
    columns = ("T", "paper/sequences_to_solve", "trial/mean_test_error", "trial/num_wrong")
    for column in (*columns, "trial/sequences_to_solve", "trial/solved"):
        assert f" {column} " in table, column  # unasked
    row = table.partition(" t100 ")[2].split()
    assert row[1:7] == ["100.00", "74000", "0.0071000", "2.0000", "61000", "1.0000"]
    assert table.count("t100") == 1  # three trials, one row


def test_tensorboard_shows_a_picture_for_each_checkpoint(browser, board):
    open_page(browser, board, "images", "gates/trial 1", "61,000")
    width, height = wait_for(lambda: browser.execute_script(PICTURES))[0]
    assert width == 1300 and height == 858  # the picture itself, not a sign for a broken one


def test_tensorboard_has_a_page_for_the_run(browser, board):
    open_page(browser, board, "text", "run/text_summary", "Provenance", "versions.jax")
    wait_for_words(browser, "trials/text_summary", "3 of 3 trials solved.", "input_gate_bias")


# ---- the page of a run


@pytest.fixture(scope="module")
def shown():
    """Two sequences of four units; the second one has a title that tries to be HTML."""
    return [make_playback(T=T, H=H), make_playback(title=EVIL, T=T + 7, H=H, seed=1)]


@pytest.fixture
def page(browser, shown, tmp_path):
    """The page of a run, just opened on a large light screen."""
    run = read_run(make_run(tmp_path / "run", note=EVIL))
    path = tmp_path / "report.html"
    path.write_text(run_html([RunReport(run, PAPER, Inside(shown))], "adding: t100"), "utf-8")
    show_as(browser, prefers_color_scheme="light")
    browser.get("about:blank")
    complaints(browser)
    requested(browser)
    browser.get(path.as_uri())
    return Player(browser)


class Player:
    """The player as a reader has it: keys go in, words and places come out."""

    def __init__(self, browser):
        self.browser = browser
        self.root = self.find(".player")

    def find(self, selector):
        return self.browser.find_element("css selector", selector)

    def press(self, *keys):
        from selenium.webdriver.common.keys import Keys

        for key in keys:
            self.root.send_keys(getattr(Keys, key))

    @property
    def t(self):
        return int(self.root.get_attribute("data-t"))

    @property
    def is_playing(self):
        return self.root.get_attribute("data-playing") == "true"

    def values(self):
        """The numbers beside the panels, panel by panel."""
        panels = self.browser.execute_script(
            "return [...document.querySelectorAll('.panel')].map(panel =>"
            " [...panel.querySelectorAll('.value')].map(value => value.textContent))"
        )
        return [[float(v.replace("−", "-").replace("–", "nan")) for v in panel] for panel in panels]

    def cursor(self):
        """The cursor's place as a share of the plot of the gates."""
        left, width, at = self.browser.execute_script(
            "const plot = document.querySelectorAll('.panel canvas')[1].getBoundingClientRect();"
            "const cursor = document.querySelector('.cursor').getBoundingClientRect();"
            "return [plot.left, plot.width, (cursor.left + cursor.right) / 2]"
        )
        return (at - left) / width

    def color(self, panel, unit, t, length=T):
        """[red, green, blue] of a strip at a step."""
        return self.browser.execute_script(
            "const [panel, unit, at] = arguments;"
            "const canvas = document.querySelectorAll('.panel canvas')[panel];"
            "const x = Math.floor(at * canvas.width), y = Math.floor(18 * unit + 4);"
            "return [...canvas.getContext('2d').getImageData(x, y, 1, 1).data].slice(0, 3)",
            panel,
            unit,
            (t + 0.3) / length,  # beside the dotted line of a mark
        )


def expected(playback, t):
    return [[round(float(v), 2) for v in panel.values[t]] for panel in playback.panels]


def assert_shows(player, playback, t):
    assert player.t == t
    np.testing.assert_allclose(
        sum(player.values(), []), sum(expected(playback, t), []), atol=0.0101
    )
    place = (t + 0.5) / len(playback.panels[0].values)
    wait_for(lambda: abs(player.cursor() - place) < 0.003, seconds=5)


def test_keys_move_input_gates_state_and_output_together(page, shown):
    assert_shows(page, shown[0], 0)
    for key, t in (
        *(("ARROW_RIGHT", 1), ("ARROW_RIGHT", 2), ("PAGE_DOWN", 12), ("ARROW_LEFT", 11)),
        *(("END", T - 1), ("ARROW_RIGHT", T - 1), ("PAGE_UP", T - 11), ("HOME", 0)),
        ("ARROW_LEFT", 0),
    ):
        page.press(key)
        assert_shows(page, shown[0], t)
    page.press("ARROW_RIGHT", "ARROW_RIGHT", "ARROW_RIGHT")  # where the value is marked
    assert page.find(".clock").text == f"t = 3 of {T - 1}, marked"
    assert page.find(".slider").get_attribute("aria-valuetext") == f"t = 3 of {T - 1}, marked"
    assert page.find(".said").get_property("textContent").startswith("Time 3. input: ")


def test_it_plays_and_pauses(page):
    page.press("SPACE")
    wait_for(lambda: page.is_playing and page.t >= 2, seconds=10)
    assert page.find(".play").get_attribute("aria-label") == "Pause"
    page.press("SPACE")
    assert not page.is_playing
    at = page.t
    time.sleep(0.3)
    assert page.t == at
    page.find(".play").click()
    wait_for(lambda: page.t == T - 1 and not page.is_playing, seconds=15)  # it ends by itself
    page.find(".play").click()
    wait_for(lambda: 0 < page.t < T - 1, seconds=10)  # and begins again


def test_buttons_slider_and_panels_move_it_too(page, shown, browser):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    for name, t in (("next", 1), ("last", T - 1), ("back", T - 2), ("first", 0)):
        page.find(f".{name}").click()
        assert page.t == t
    page.find(".slider").send_keys(Keys.ARROW_RIGHT)
    assert page.t == 1  # once, not twice
    canvas = page.find(".panel canvas")
    offset = int(canvas.size["width"] * 0.25)  # from the middle
    ActionChains(browser).move_to_element_with_offset(canvas, offset, 2).click().perform()
    assert abs(page.t - T * 0.75) <= 1
    assert_shows(page, shown[0], page.t)


def test_another_sequence_is_chosen(page, shown):
    pick = page.find(".pick")
    options = pick.find_elements("css selector", "option")
    assert [option.text for option in options] == ["trained, sequence 0", EVIL]
    page.press("PAGE_DOWN")
    options[1].click()
    assert_shows(page, shown[1], 10)
    page.press("END")
    assert_shows(page, shown[1], T + 6)


def test_the_input_gate_is_seen_to_open_at_the_marks(page):
    strip, high = page.color(1, 0, 8), page.color(1, 0, 3)
    assert np.linalg.norm(np.subtract(high, strip)) > 100
    assert high[2] > high[0]  # blue: as no red and green are confused


def test_nothing_is_loaded_and_nothing_complains(page, browser):
    page.press("SPACE", "SPACE", "END")
    urls = [url for url in requested(browser) if url != "about:blank"]
    assert len(urls) == 1 and urls[0].startswith("file://") and urls[0].endswith("/report.html")
    assert complaints(browser) == []
    assert browser.title == "adding: t100"  # the script in the names was not run
    assert EVIL in wait_for_words(browser, "note")


def test_what_has_the_focus_is_seen(page, browser):
    from selenium.webdriver.common.keys import Keys

    page.press("HOME")
    for selector in (".player", ".pick", ".first"):
        outline = "return getComputedStyle(document.activeElement).outlineStyle"
        assert browser.execute_script(outline) == "solid", selector
        focused = browser.switch_to.active_element
        assert focused == page.find(selector)
        focused.send_keys(Keys.TAB)


@pytest.mark.parametrize("width", [400, 700, 1280])
def test_nothing_overflows(page, browser, width):
    show_as(browser, width=width)
    wait_for(lambda: browser.execute_script("return innerWidth") == width, seconds=5)
    assert browser.execute_script(OVERFLOWING) == []
    page.press("END")
    assert page.t == T - 1
    plot = page.browser.execute_script(
        "return document.querySelectorAll('.panel canvas')[1].getBoundingClientRect().width"
    )
    assert plot > 0.5 * min(width, 700)  # the strips have room
    wait_for(lambda: abs(page.cursor() - (T - 0.5) / T) < 0.005, seconds=5)


def test_light_and_dark(page, browser, shown):
    colors, shut = {}, int(np.argmin(shown[0].panels[1].values[:, 0]))
    for scheme in ("light", "dark"):
        show_as(browser, prefers_color_scheme=scheme)
        wait_for(lambda: contrast(browser, "body") > 0, seconds=5)
        for selector in ("body", ".small", ".ours", "a", ".title", ".unit", ".play", ".state"):
            assert contrast(browser, selector) >= 4.5, (scheme, selector)
        back = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        strips = page.color(1, 0, shut), page.color(1, 0, 3)
        assert np.linalg.norm(np.subtract(*strips)) > 100, scheme
        colors[scheme] = back, strips
    assert colors["light"][0] != colors["dark"][0]
    # the strip's ground goes with the page: light on light, dark on dark
    assert min(colors["light"][1][0]) > 200 and max(colors["dark"][1][0]) < 90


def test_the_page_of_a_real_run(browser, runs):
    """What the command writes, with the pictures of the inside: as well behaved as the made one."""
    path = runs / "smoke" / "report.html"
    assert report_main("", lambda run: None, look_inside, [f"--run={path.parent}"]) == 0
    complaints(browser)
    for width, scheme in ((400, "dark"), (1280, "light")):
        show_as(browser, width=width, prefers_color_scheme=scheme)
        browser.get(path.as_uri())
        assert browser.execute_script(OVERFLOWING) == []
        heads = browser.find_elements("css selector", "h2")
        assert [head.text for head in heads][:4] == [
            *("Results", "Learning curves", "Step through a sequence", "Inside the network"),
        ]
        pictures = browser.find_elements("css selector", "figure svg")
        assert len(pictures) == 4 and all(one.size["height"] > 100 for one in pictures)
    player = Player(browser)
    player.press("END")
    seen = look(open_run(path.parent), 0)
    assert player.t == len(seen.outputs) - 1
    output, target = player.values()[-1]
    assert output == pytest.approx(seen.outputs[-1, 0], abs=0.0051)
    assert target == pytest.approx(seen.targets[-1, 0], abs=0.0051)
    assert complaints(browser) == []


def test_less_motion_where_that_is_asked_for(page, browser):
    transition = "return getComputedStyle(document.querySelector('.cursor')).transitionDuration"
    assert browser.execute_script(transition) == "0.06s"
    show_as(browser, prefers_reduced_motion="reduce")
    browser.refresh()
    player = Player(browser)
    assert browser.execute_script(transition) == "0s"
    assert player.find(".speed").get_attribute("value") == "2"
    assert not player.is_playing  # nothing moves unasked, either way


def contrast(browser, selector):
    """The contrast of the first such element's text with its ground (WCAG 2.1)."""
    pair = browser.execute_script(
        "let element = document.querySelector(arguments[0]);"
        "const color = getComputedStyle(element).color;"
        "const clear = one => getComputedStyle(one).backgroundColor.endsWith(', 0)');"
        "while (clear(element)) element = element.parentElement;"
        "return [color, getComputedStyle(element).backgroundColor]",
        selector,
    )
    light, dark = sorted((_luminance(color) for color in pair), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(color):
    channels = [int(part) / 255 for part in color.partition("(")[2].strip(")").split(",")[:3]]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot((0.2126, 0.7152, 0.0722), linear))

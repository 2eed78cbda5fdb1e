"""The page in a real browser: open, zoom, scrub, choose an object, see what fired, export; nothing fails on the way."""

import shutil

import pytest

sync_api = pytest.importorskip("playwright.sync_api")
pytest.importorskip("fastapi")

import moving  # noqa: E402
from PIL import Image  # noqa: E402

from micrograph.live.web.server import PAGE, serving  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
             "--disable-component-update"]  # fmt: skip
PATIENCE_MS = 180_000


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("There is no Chromium.")
    with sync_api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, timeout=PATIENCE_MS)
        except sync_api.Error as error:
            pytest.skip(f"Chromium does not start: {error}")
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def shown():
    return moving.Moving(36, 40, 256)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    (folder / "heating.tif").write_bytes(b"pixels")
    (folder / "bare.tif").write_bytes(b"pixels")
    return folder


@pytest.fixture(scope="module")
def lab(root):
    return moving.FakeLab(root)


@pytest.fixture(scope="module")
def url(shown, lab):
    with serving(shown, lab=lab) as url:
        yield url


@pytest.fixture(scope="module")
def opened(browser, url):
    context = browser.new_context(viewport={"width": 1366, "height": 768}, accept_downloads=True)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda message: page.faults.append(message.text) if message.type == "error" else None)
    page.goto(url)
    page.wait_for_selector("#stage[data-frame]")
    yield page
    context.close()


@pytest.fixture
def page(opened, shown):
    """Give the page as it was opened: the newest frame, whole, no object chosen, the objects' table."""
    opened.focus("#stage")
    for key in ("Escape", "0", "l"):
        opened.keyboard.press(key)
    opened.click('[data-tab="objects"]')
    frame_of(opened, shown.last)
    yield opened
    assert opened.faults == []


def frame_of(page, number):
    page.wait_for_selector(f'#stage[data-frame="{number}"]')


def test_the_page_opens_on_the_newest_frame_and_forgets_the_token(page, tmp_path):
    assert page.get_attribute("#stage", "data-frame") == "35"
    assert "token" not in page.url
    assert page.inner_text("#title") == "Shapes and sizes of nanoparticles"
    assert "frame 35" in page.inner_text("#moment") and "17.5 s" in page.inner_text("#moment")
    assert "dropped" in page.inner_text("#counters") and "84.3 ms" in page.inner_text("#counters")
    page.wait_for_selector(".chart .name")
    assert "mean area (nm²)" in page.inner_text("#charts")
    page.screenshot(path=tmp_path / "page.png")


def test_the_wheel_zooms_and_the_scale_bar_follows(page):
    before = page.evaluate("window.micrograph.viewer.bar")
    box = page.locator("#stage").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for _ in range(6):
        page.mouse.wheel(0, -250)
    page.wait_for_timeout(500)
    assert page.evaluate("window.micrograph.viewer.zoom") > 2
    assert page.evaluate("window.micrograph.viewer.bar") != before
    assert "nm" in page.inner_text("#readout")
    page.keyboard.press("0")
    assert page.evaluate("window.micrograph.viewer.zoom") is None


def test_the_time_line_and_the_keys_scrub_back_and_live_comes_back(page, shown):
    page.focus("#stage")
    page.keyboard.press("ArrowLeft")
    frame_of(page, 34)
    assert page.get_attribute("#live", "aria-pressed") == "false"
    page.keyboard.press("Home")
    frame_of(page, 0)
    box = page.locator("#timeline").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.6)
    page.wait_for_selector('#stage:not([data-frame="0"])')
    assert 15 <= int(page.get_attribute("#stage", "data-frame")) <= 20
    page.click("#live")
    frame_of(page, shown.last)
    shown.advance()
    frame_of(page, shown.last)


def test_a_frame_out_of_domain_is_unmistakable(page, shown):
    page.focus("#stage")
    for back in range(1, 5):
        page.keyboard.press("ArrowLeft")
        frame_of(page, shown.last - back)
    page.wait_for_selector("#doubt:not([hidden])")
    assert "out of domain" in page.inner_text("#doubt").lower()
    assert "doubted" in page.get_attribute("#stage", "class")


def test_an_object_in_the_image_and_its_row_are_chosen_together(page):
    page.click("#table .rows .row:nth-child(3)")
    assert page.evaluate("window.micrograph.store.selected") == 2
    y, x = page.evaluate(
        "(() => { const {viewer, store: {look: {points}}} = window.micrograph;"
        " return viewer.placeNm(points.y[7], points.x[7]) })()"
    )
    page.click("#stage", position={"x": x, "y": y})
    row = page.evaluate("window.micrograph.store.selected")
    assert row is not None and row != 2
    chosen = page.inner_text("#table .row[aria-selected=true] > div:first-child")
    assert int(chosen) == row + 1


def test_what_fired_is_listed_and_marked(page):
    page.click('[data-tab="*fired"]')
    page.wait_for_selector(f'#table .row:has-text("{moving.NEW_PARTICLE}")')
    page.click(f'#table .row:has-text("{moving.NEW_PARTICLE}")')
    frame_of(page, 12)
    assert page.get_attribute("#stage", "data-frame") == "12" and "6 s" in page.inner_text("#moment")


def test_a_table_sorts_by_a_click_on_its_head(page):
    page.click('#table [role=columnheader] button:has-text("area")')
    page.click('#table [role=columnheader] button:has-text("area")')
    areas = [float(text) for text in page.locator("#table .rows .row > div:nth-child(4)").all_inner_texts()]
    assert areas == sorted(areas, reverse=True) and len(areas) > 3


def test_exports_are_downloaded(page, tmp_path):
    for kind, check in (("csv", ".csv"), ("png", ".png")):
        page.click("#export summary")
        with page.expect_download() as download:
            page.click(f'[data-export="{kind}"]')
        path = tmp_path / f"saved{check}"
        download.value.save_as(path)
        assert download.value.suggested_filename.endswith(check) and path.stat().st_size > 500
    with Image.open(tmp_path / "saved.png") as picture:
        assert picture.width >= 256


def test_every_key_works_without_a_fault(page):
    page.focus("#stage")
    keys = "t t p p o o c m m m n N + - w a s d e Escape ? Escape Shift+D Shift+D Home End l PageUp PageDown"
    for key in keys.split():
        page.keyboard.press(key)
    page.wait_for_timeout(500)
    assert page.faults == [] and page.evaluate("window.micrograph.store.look !== null")


def test_every_button_and_picture_has_a_name(page):
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, [role=slider], input, select, summary')]"
        ".filter(e => !(e.textContent.trim() || e.ariaLabel || e.labels?.length)).map(e => e.outerHTML)"
    )
    assert nameless == []


def fault_of(page):
    page.wait_for_selector("#lab .fault:not([hidden])")
    return page.inner_text("#lab .fault")


def test_what_a_file_does_not_say_is_asked_for_and_given_to_the_analysis(page, lab):
    page.click("#open-lab")
    page.click('button.file:has-text("bare.tif")')
    page.wait_for_selector("#scale-pixel_nm.wanted")
    assert "not in the file" in page.inner_text("#scale-pixel_nm-origin")
    assert page.is_hidden("#scale-voltage_kV")
    page.click(".proposal:first-child button")
    assert "enter it" in fault_of(page) and lab.ran[-1:] != [("particle-shapes", "bare.tif", {})]
    page.fill("#scale-pixel_nm", "0.5")
    page.press("#scale-pixel_nm", "Tab")
    page.wait_for_selector('#lab .fault:has-text("has no unit")')
    assert page.faults.pop() and page.faults.pop() and not page.faults  # the browser's own notes of two answers 400
    page.fill("#scale-pixel_nm", "5 angstrom")
    page.click("details.more summary")
    page.fill("#scale-voltage_kV", "80 kV")
    page.wait_for_selector('.proposal:first-child:has-text("0.5 nm a pixel") button.main')
    assert page.is_hidden("#lab .fault") and page.inner_text("#scale-pixel_nm-origin") == "yours"
    page.click(".proposal:first-child button.main")
    page.wait_for_selector('button:has-text("Show the result")')
    assert lab.ran[-1] == ("particle-shapes", "bare.tif", {"pixel_nm": "5 angstrom", "voltage_kV": "80 kV"})
    page.click("#lab-close")


def test_what_a_file_says_is_shown_and_can_be_overruled(page, lab):
    page.click("#open-lab")
    page.click('button.file:has-text("heating.tif")')
    page.wait_for_selector("#scale-pixel_nm")
    assert page.input_value("#scale-pixel_nm") == "0.25 nm"
    assert page.inner_text("#scale-pixel_nm-origin") == "from the file"
    page.fill("#scale-pixel_nm", "0.3 nm")
    page.wait_for_selector('.proposal:has-text("0.25 nm a pixel")')
    assert page.inner_text("#scale-pixel_nm-origin") == "yours; the file says 0.25 nm"
    page.press("#scale-pixel_nm", "Enter")
    page.wait_for_selector('.proposal:has-text("0.3 nm a pixel")')
    page.fill("#scale-pixel_nm", "")
    page.press("#scale-pixel_nm", "Enter")
    page.wait_for_selector('.proposal:has-text("0.25 nm a pixel")')
    assert page.inner_text("#scale-pixel_nm-origin") == "from the file"
    page.click("#lab-close")


def test_a_file_of_the_folder_is_analysed_and_shown(page):
    page.click("#open-lab")
    page.click('button.file:has-text("heating.tif")')
    page.wait_for_selector(".proposal")
    assert "like those that its model knows" in page.inner_text(".proposal")
    page.click(".proposal button.main")
    page.click('button:has-text("Show the result")')
    frame_of(page, 11)
    assert page.inner_text("#status") == "finished"


@pytest.mark.parametrize("path", sorted(PAGE.glob("*.*")), ids=lambda path: path.name)
def test_files_of_the_page_are_short_and_fetch_nothing_from_elsewhere(path):
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert len(text.splitlines()) < 400
    assert "http://" not in text and "https://" not in text

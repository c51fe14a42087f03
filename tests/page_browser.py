#!/usr/bin/env python3
"""page_browser.py PAGE [FOLDER]: the page that trains live in headless Chromium (Debian: chromium, chromium-driver; selenium from PyPI).

Each slider and choice changes what is shown, stories end, nothing is logged or asked of a network. With FOLDER it writes pictures
of each story, wide and 360 pixels wide, light and dark. Not part of the test suite, which needs no browser.
"""
import json
import pathlib
import sys
import time

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select


def browser(width, height):
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--window-size={width},{height}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))


class Page:
    def __init__(self, driver, path):
        self.driver = driver
        driver.get(pathlib.Path(path).resolve().as_uri())
        self.until("return state.frames.length > 2")

    def run(self, script):
        return self.driver.execute_script(script)

    def until(self, script, seconds=120):
        end = time.time() + seconds
        while not self.run(script):
            if time.time() > end:
                raise SystemExit(f"page_browser: not reached: {script}; {self.run('return document.getElementById(`problem`).textContent')}")
            time.sleep(0.05)

    def click(self, id):
        self.run(f"document.getElementById('{id}').click()")

    def pause(self):
        self.run("if (state.running) pause()")
        time.sleep(0.2)

    def five_steps(self):
        """The fifth step's record, and what the canvases show of it."""
        for step in range(1, 6):
            self.click("one")
            self.until(f"return state.frames.length && state.frames[state.frames.length - 1].step >= {step}")
        self.run("draw()")
        return self.shown()

    def shown(self):
        return self.run("""return JSON.stringify([state.frames.at(-1).sides, state.test]) +
            [...document.querySelectorAll('canvas.layers, .plots canvas')].map((c) => c.toDataURL()).join()""")


def check(good, what):
    print(("ok: " if good else "FAILED: ") + what)
    check.failed = check.failed or not good


check.failed = False


def check_controls(page):
    page.run("tell(stories[0])")
    page.pause()
    page.run("start()")
    first = page.five_steps()
    page.run("start()")
    check(page.five_steps() == first, "the same settings show the same")
    changes = {"depth": "3", "width": "100", "activation": "tanh", "placement": "after", "scale": "0.5", "batch_size": "20", "seed": "7",
               "left-norm": "layer", "right-norm": "rms", "left-dropout": "after_last_norm", "right-dropout": "before_norms"}
    for norm in ("group", "weight", "batch"):
        changes[f"left-norm {norm}"] = norm
    for id, value in changes.items():
        page.run("Object.assign(state.settings, defaults, stories[0].settings); showSettings()")
        page.run(f"const c = document.getElementById('{id.split()[0]}'); c.value = '{value}'; c.oninput?.(); c.onchange()")
        page.pause()
        check(page.five_steps() != first, f"{id} changes what is shown")
    page.run("Object.assign(state.settings, defaults, stories[0].settings); showSettings(); start()")
    page.click("one")
    page.until("return state.frames.length")
    page.run("const c = document.getElementById('lr'); c.value = '0.5'; c.oninput(); c.onchange()")
    check(page.five_steps() != first, "lr changes what is shown, without starting anew")
    for id, value in {"test_order": "sorted", "right-evaluation": "batch"}.items():  # they decide together
        page.run("Object.assign(state.settings, defaults, stories[4].settings); showSettings(); start()")
        told = page.five_steps()
        other = {"sorted": "mixed", "batch": "running"}[value]
        page.run(f"const c = document.getElementById('{id}'); c.value = '{other}'; c.onchange()")
        check(page.five_steps() != told, f"{id} changes what is shown")
    for id, value in {"shown": "outputs", "scale-of": "layer"}.items():
        told = page.shown()
        page.run(f"const c = document.getElementById('{id}'); c.value = '{value}'; c.onchange()")
        check(page.shown() != told, f"{id} changes what is shown")
    told = page.shown()
    page.run("const t = document.getElementById('time'); t.value = 1; t.oninput()")
    check("step 2" in page.run("return document.getElementById('now').textContent") and page.shown() != told, "the slider looks back")
    cubes = set()
    for norm in ("none", "batch", "layer", "group", "instance", "rms", "weight"):
        Select(page.driver.find_element(By.ID, "cube-norm")).select_by_value(norm)
        cubes.add(page.run("return document.getElementById('cube').innerHTML"))
    check(len(cubes) == 7, "the cube differs for each norm")


def check_keyboard(page):
    page.run("tell(stories[4])")
    pad = page.driver.find_element(By.ID, "pad")
    pad.send_keys(Keys.ARROW_UP, " ", Keys.ARROW_DOWN, " ")
    page.until("return document.querySelectorAll('.answer')[1].textContent")
    check(True, "a digit drawn by keyboard is classified by both")
    page.click("example")
    page.until("return document.getElementById('label').textContent")
    seen = []
    for _ in range(40):
        page.driver.switch_to.active_element.send_keys(Keys.TAB)
        seen.append(page.run("return document.activeElement.id || document.activeElement.textContent"))
    check(len(set(seen)) > 20, f"{len(set(seen))} controls reached by the tab key")


def check_speed(page):
    page.run("const s = document.getElementById('speed'); s.value = '0'; s.onchange()")  # for all that follows, too
    page.run("Object.assign(state.settings, defaults, {depth: 5, width: 100, 'right.norm': 'batch'}); showSettings(); start(); play()")
    page.until("return state.frames.length > 5")
    before, begin = page.run("return state.frames.at(-1).step"), time.time()
    time.sleep(6)
    rate = (page.run("return state.frames.at(-1).step") - before) / (time.time() - begin)
    page.pause()
    print(f"speed: {rate:.0f} steps per second of both networks, 5 layers of 100 (load {open('/proc/loadavg').read().split()[0]})")


def check_stories(page, folder):
    for number in range(5):
        page.run(f"tell(stories[{number}])")
        page.until("return state.ended")
        told = page.run("""return state.story.ends.every(({ side, at_least = 0, at_most = 1 }) => {
            const share = state.test[side === 'left' ? 0 : 1]; return at_least <= share && share <= at_most; })""")
        check(told, f"story {number + 1} ends as told: {page.run('return state.test')}")
        page.click("example")
        time.sleep(0.3)
        for dark in (False, True) if folder else ():
            page.run(f"setTheme({json.dumps(dark)}); showCube(state.settings['right.norm']); draw(); scrollTo(0, 0)")
            for width in (1200, 360):
                size = page.driver.execute_cdp_cmd
                size("Emulation.setDeviceMetricsOverride", {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width == 360})
                time.sleep(0.2)
                page.run("draw()")
                height = page.run("return document.documentElement.scrollHeight")
                check(page.run("return document.documentElement.scrollWidth") <= width, f"nothing is wider than {width} pixels")
                size("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width == 360})
                time.sleep(0.2)
                page.run("draw()")
                page.driver.save_screenshot(f"{folder}/story{number + 1}-{width}-{'dark' if dark else 'light'}.png")
                size("Emulation.clearDeviceMetricsOverride", {})


def check_phone(page):
    """On 360 by 640 pixels play, step and look back stay in view while any figure of the training is looked at, and work by touch."""
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 360, "height": 640, "deviceScaleFactor": 1, "mobile": True})
    page.run("tell(stories[0])")
    page.until("return state.frames.length > 5")
    for figure in ("#left canvas", "#right canvas", "#spreads", "#gradients", "#weights", "#loss", "#accuracy"):
        page.run(f"document.querySelector('{figure}').scrollIntoView({{block: 'center'}})")
        time.sleep(0.1)
        covered = page.run("""return ['play', 'one', 'time'].filter((id) => {
            const { left, right, top, bottom } = document.getElementById(id).getBoundingClientRect();
            return document.elementFromPoint((left + right) / 2, (top + bottom) / 2)?.id !== id || bottom > 70 || bottom - top < 16; })""")
        check(not covered, f"360 pixels, {figure} in view: controls at the top, out of reach: {covered}")
    page.pause()
    before = page.run("return state.frames.at(-1).step")
    page.driver.find_element(By.ID, "one").click()
    page.until(f"return state.frames.at(-1).step > {before}")
    check(page.run("return document.getElementById('accuracy').getBoundingClientRect().top") > 0, "a step on a phone leaves the figure in view")
    page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def main():
    folder = sys.argv[2] if len(sys.argv) > 2 else None
    driver = browser(1200, 900)
    try:
        page = Page(driver, sys.argv[1])
        check_speed(page)
        check_stories(page, folder)
        check_controls(page)
        check_keyboard(page)
        check_phone(page)
        logged = [line for line in driver.get_log("browser") if line["level"] in ("SEVERE", "WARNING")]
        check(not logged, f"console: {logged or 'nothing'}")
        asked = [m["params"]["request"]["url"] for m in (json.loads(line["message"])["message"] for line in driver.get_log("performance"))
                 if m["method"] == "Network.requestWillBeSent"]
        check(all(url.split(":")[0] in ("file", "blob", "data") for url in asked), f"network: {[url[:60] for url in asked]}")
    finally:
        driver.quit()
    sys.exit(1 if check.failed else 0)


main()

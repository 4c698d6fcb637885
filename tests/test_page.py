"""A person's first hour on the page, in a real browser, at the width of a desk and of a phone.

Pictures of it are kept in ``build/screenshots``.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import signal
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Locator,
    Page,
    Route,
    expect,
    sync_playwright,
)

from cadenza import stems
from cadenza.audio import read, resample, write
from cadenza.jobs.queue import Job
from cadenza.jobs.worker import Worker
from cadenza.model import Model
from cadenza.studio.session import Session
from cadenza.take import read_recipe
from cadenza.types import Audio
from tests import separators
from tests.command import run
from tests.nursery import Nursery
from tests.service import Service, serving, until
from tests.sounds import sine

PICTURES = Path(__file__).parents[1] / "build" / "screenshots"
SIZES = {"desk": (1280, 900), "phone": (390, 844)}
PATIENCE = 180_000.0  # milliseconds: a band on a busy machine
PROMPT = "upbeat funk with slap bass, 120 bpm"
BROWSER = shutil.which("chromium")

pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="Chromium is not installed: apt-get install chromium"
)


@pytest.fixture(scope="module")
def service(workers: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    root = tmp_path_factory.mktemp("page")
    with serving(root) as made:
        workers.start(root, "page")
        until(made.store.workers.alive)
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        made = playwright.chromium.launch(executable_path=BROWSER, args=options)
        yield made
        made.close()


@pytest.fixture(params=SIZES)
def page(request: pytest.FixtureRequest, browser: Browser, service: Service) -> Iterator[Page]:
    width, height = SIZES[request.param]
    page = browser.new_page(
        viewport={"width": width, "height": height},
        color_scheme="dark" if request.param == "phone" else "light",
    )
    page.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.on("console", lambda said: broken.append(said.text) if _is_fault(said) else None)
    page.on("request", lambda asked: broken.append(asked.url) if _foreign(asked.url) else None)
    page.goto(service.url)
    expect(page.locator("#model")).to_contain_text("nano")
    yield page
    page.close()
    assert broken == []


def _is_fault(said: ConsoleMessage) -> bool:
    """A refusal is no fault of the page; the browser notes it all the same."""
    return said.type == "error" and "the server responded with a status of 4" not in said.text


def _foreign(url: str) -> bool:
    return not re.match(r"(http|ws)://127\.0\.0\.1:|blob:", url)


def picture(page: Page, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    width = page.viewport_size["width"] if page.viewport_size else 0
    page.screenshot(path=PICTURES / f"{name}-{width}.png", full_page=True)


def ink(page: Page, selector: str) -> int:
    """How many points of a canvas are drawn on."""
    count: int = page.locator(selector).first.evaluate(
        "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data"
        ".filter((value, n) => n % 4 === 3 && value > 0).length"
    )
    return count


def seconds(page: Page, selector: str) -> float:
    minutes, rest = page.locator(selector).first.inner_text().split(" / ")[0].split(":")
    return 60 * int(minutes) + float(rest)


def fits(page: Page) -> bool:
    """Whether nothing sticks out to the side."""
    wide: bool = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    return wide


def asked(page: Page, button: Locator) -> Locator:
    """The piece that a click asks for."""
    with page.expect_response(re.compile("/v1/jobs$")) as answering:
        button.click()
    return page.locator(f"#job-{answering.value.json()['id']}")


def saved(page: Page, button: Locator, place: Path) -> Audio:
    """The sound that a click brings as a file."""
    with page.expect_download() as downloading:
        button.click()
    downloading.value.save_as(place)
    return read(place)


def test_listening_and_steering(page: Page, service: Service, tmp_path: Path) -> None:
    page.locator("#ideas button", has_text="jazz").click()
    assert "jazz" in page.locator("#prompt").input_value()
    page.locator("#listen").click()
    until(lambda: seconds(page, "#live-time") >= 1)  # its time goes on
    assert ink(page, "#spectrum") > 0  # and the analyser hears something
    page.locator("#turn").fill("now with strings, darker")
    page.keyboard.press("Enter")
    expect(page.locator("#live-prompt")).to_have_text("now with strings, darker")
    page.locator("#live-guidance").fill("5")
    assert fits(page)
    picture(page, "listening")
    page.locator("#stop").click()
    # What it was is not lost.
    expect(page.locator("#live-title")).to_have_text("Played")
    heard = saved(page, page.locator("#heard"), tmp_path / "heard.wav")
    assert heard.duration == pytest.approx(seconds(page, "#live-time"), abs=1.1)
    assert heard.rate == 32_000 and np.abs(heard.samples).max() > 0.01
    page.locator("#stop").click()
    expect(page.locator("#live")).to_be_hidden()
    expect(page.locator("#listen")).to_be_focused()
    until(lambda: service.store.workers.alive()[0].streams == 8)
    expect(page.locator("#trouble")).to_be_hidden()


def test_making_playing_and_again_with_changes(page: Page, tmp_path: Path) -> None:
    page.locator("#prompt").fill(PROMPT)
    page.locator("[name=duration]").fill("10")  # so that a slow look sees it play
    page.locator("summary", has_text="More options").click()
    page.locator("#take [name=seed]").fill("7")
    page.locator("[name=format]").select_option("flac")
    piece = asked(page, page.locator("text=Make a file").first)
    expect(piece.locator(".state")).to_contain_text("done")
    piece.locator("button", has_text="Play").click()
    until(lambda: seconds(page, "#pieces > li .time") >= 1)
    assert ink(page, "#pieces canvas") > 0 and ink(page, "#pieces canvas.tall") > 0
    piece.locator("summary").click()
    music = piece.locator("button", has_text="music.flac")
    assert saved(page, music, tmp_path / "music.flac").duration == 10
    assert fits(page)
    picture(page, "piece")
    page.locator("#prompt").fill("something else")
    piece.locator("button", has_text="Again with changes").click()
    expect(page.locator("#prompt")).to_have_value(PROMPT)
    expect(page.locator("#take [name=seed]")).to_have_value("7")
    page.reload()
    expect(page.locator("#pieces > li").first.locator("h3")).to_have_text(PROMPT)


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_the_better_of_two_takes_in_tempo(page: Page, tmp_path: Path) -> None:
    page.locator("#prompt").fill("techno, 126 bpm, A minor")
    page.locator("[name=duration]").fill("2")
    page.locator("[name=best_of]").fill("2")
    piece = asked(page, page.locator("text=Make a file").first)
    expect(piece.locator(".state")).to_contain_text("done")
    piece.locator("summary", has_text="Chosen among 2 takes").click()
    expect(piece.locator("li")).to_have_count(2)
    expect(piece.locator("li").first).to_contain_text("score")
    piece.locator("summary", has_text="Files and recipe").click()
    expect(piece.locator("details").last).to_contain_text("best_of: 2")
    expect(piece.locator("button", has_text="auditions.json")).to_be_visible()
    music = tmp_path / "music.wav"
    sound = saved(page, piece.locator("button", has_text="music.wav"), music)
    recipe = read_recipe(music)
    assert sound.duration == 2 and recipe.in_time and recipe.in_key  # though it was left open
    # Without changes it is the same again, and what makes it so can be seen.
    page.reload()
    page.locator("#pieces > li").first.locator("button", has_text="Again with changes").click()
    expect(page.locator("#take [name=seed]")).to_be_visible()
    expect(page.locator("#take [name=seed]")).to_have_value(str(recipe.sampling.seed))
    expect(page.locator("[name=best_of]")).to_have_value("")
    for name in ("in_time", "in_key"):
        expect(page.locator(f"[name={name}]")).to_have_value("true")
    assert fits(page)
    picture(page, "again")
    piece = asked(page, page.locator("text=Make a file").first)
    expect(piece.locator(".state")).to_contain_text("done")
    piece.locator("summary", has_text="Files and recipe").click()
    same = saved(page, piece.locator("button", has_text="music.wav"), tmp_path / "same.wav")
    np.testing.assert_array_equal(same.samples, sound.samples)


def given_up(service: Service, job: str) -> dict[str, Any]:
    """The request of a job that need not be made."""
    with service.client() as client:
        client.delete(f"/v1/jobs/{job}")
        until(lambda: client.get(f"/v1/jobs/{job}").json()["finished"])
    return service.store.queue.get(job, "everybody").request


def clicked(page: Page, service: Service, button: Locator) -> dict[str, Any]:
    """The request that a click makes."""
    return given_up(service, (asked(page, button).get_attribute("id") or "")[len("job-") :])


def again(page: Page, service: Service, kind: str, wish: dict[str, Any]) -> dict[str, Any]:
    """The whole request of a job that another program asked for, which is filled in again."""
    with service.client() as client:
        job = client.post("/v1/jobs", json={"kind": kind, "request": wish}).json()["id"]
    request = given_up(service, job)
    page.reload()
    page.locator(f"#job-{job} button", has_text="Again with changes").click()
    return request


def as_a_melody_model(route: Route) -> None:
    answer = route.fetch()
    route.fulfill(response=answer, json=[one | {"family": "melody"} for one in answer.json()])


@pytest.mark.parametrize("page", ["phone"], indirect=True)
@pytest.mark.parametrize(
    ("use", "button"), [("beginning", "Go on from it"), ("melody", "Follow its tune")]
)
def test_again_with_the_same_sound(
    page: Page, service: Service, tmp_path: Path, use: str, button: str
) -> None:
    page.route("**/v1/models", as_a_melody_model)
    write(sine(1.0, 22_050), tmp_path / "hum.wav")
    with service.client() as client:
        sent = client.post("/v1/uploads?name=hum.wav", content=(tmp_path / "hum.wav").read_bytes())
    wish = {"prompt": PROMPT, use: sent.json()["id"], "duration": 300.0, "seed": 3}
    wish |= {"top_k": 50, "top_p": 0.9, "loudness": -20.0}
    request = again(page, service, "generate", wish)
    expect(page.locator("#uploaded")).to_contain_text("hum.wav")
    picture(page, f"again-{use}")
    assert clicked(page, service, page.locator("button", has_text=button)) == request
    # A piece of its own has nothing to do with that sound.
    page.locator("#tab-take").click()
    page.locator("[name=in_time]").select_option("no")
    own = clicked(page, service, page.locator("text=Make a file").first)
    assert own == request | {use: None, "in_time": False}


@pytest.mark.parametrize("page", ["desk"], indirect=True)
def test_again_as_another_program_asked(page: Page, service: Service) -> None:
    """What the page has no field for stays as it was."""
    band = {
        "prompt": PROMPT,
        "tracks": ["flute", "drums"],
        "prompts": {"flute": "a solo flute"},
        "how": "layered",
        "bars": 4,
        "retries": 1,
        "guidance": 4.0,
        "duck": True,
    }
    request = again(page, service, "band", band)
    assert clicked(page, service, page.locator("text=Make the band play")) == request
    expect(page.locator("#pieces > li").first).to_contain_text("prompts: flute “a solo flute”")
    loop = {"prompt": PROMPT, "count": 3, "bars": 8, "seed": 5, "guidance": 4.0}
    request = again(page, service, "loop", loop)
    assert clicked(page, service, page.locator("text=Make loops")) == request
    page.locator("#forget").click()
    plain = request | {"guidance": 3.0, "seed": None}
    assert clicked(page, service, page.locator("text=Make loops")) == plain
    fine = {"prompt": "x", "duration": 1.0, "guidance": 15.0, "temperature": 0.85}
    request = again(page, service, "generate", fine | {"format": "wavfloat", "verbatim": True})
    assert clicked(page, service, page.locator("#take .secondary")) == request


@pytest.mark.parametrize("page", ["desk"], indirect=True)
def test_a_file_of_how_it_began(page: Page, service: Service, tmp_path: Path) -> None:
    """It is what was heard, whatever the form says by then."""
    page.locator("#prompt").fill(PROMPT)
    page.locator("#listen").click()
    until(lambda: seconds(page, "#live-time") >= 2)
    page.locator("#stop").click()
    heard = saved(page, page.locator("#heard"), tmp_path / "heard.wav")
    page.locator("#prompt").fill("")
    page.locator("[name=best_of]").fill("4")
    page.locator("summary", has_text="More options").click()
    page.locator("[name=negative]").fill("drums")
    page.locator("[name=in_time]").select_option("yes")
    piece = asked(page, page.locator("#keep"))
    expect(piece.locator(".state")).to_contain_text("done")
    piece.locator("summary", has_text="Files and recipe").click()
    made = saved(page, piece.locator("button", has_text="music.wav"), tmp_path / "made.wav")
    recipe = read_recipe(tmp_path / "made.wav")
    assert (recipe.prompt, recipe.negative, recipe.in_time) == (PROMPT, None, False)
    alike = heard.rate  # samples: the last frames of a piece are its end
    # A peak above full scale is bent in a stream, whose end nobody knows, and turns a file down.
    unbent = np.abs(heard.samples[:, :alike]) < 0.89
    there, here = heard.samples[:, :alike][unbent], made.samples[:, :alike][unbent]
    gain = (there @ here) / (here @ here)
    assert gain > 0.99 and (gain < 1.01 or made.peak > 0.99)
    np.testing.assert_allclose(gain * here, there, atol=0.01)


def test_music_that_breaks_off(browser: Browser, workers: Nursery, tmp_path: Path) -> None:
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    with serving(tmp_path) as service:
        for worker, told in (("dying", "the worker went away"), ("left", "")):
            process = workers.start(tmp_path, worker)
            until(service.store.workers.alive)
            page.goto(service.url)
            page.locator("#prompt").fill("pads")
            page.locator("#listen").click()
            until(lambda: seconds(page, "#live-time") >= 1)
            expect(page.locator("#trouble")).to_be_hidden()
            if not told:
                break  # the server ends first
            os.kill(process, signal.SIGKILL)
            expect(page.locator("#live-title")).to_have_text("Played")
            expect(page.locator("#trouble")).to_contain_text(told)
            until(lambda: not service.store.workers.alive())
    expect(page.locator("#live-title")).to_have_text("Played")
    expect(page.locator("#trouble")).to_contain_text("broke off")
    page.close()


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_long_words_and_numbers_fit(page: Page, service: Service, tmp_path: Path) -> None:
    page.locator("#prompt").fill("a" * 300)
    page.locator("[name=enhance]").check()
    expect(page.locator("#enhanced")).to_contain_text("a" * 300)
    assert fits(page)
    page.locator("#listen").click()
    expect(page.locator("#live-prompt")).to_have_text("a" * 300)
    assert fits(page)
    page.locator("#stop").click()
    write(sine(1.0, 22_050), tmp_path / f"{'n' * 90}.wav")
    page.locator("#tab-file").click()
    page.locator("#sound").set_input_files(tmp_path / f"{'n' * 90}.wav")
    expect(page.locator("#uploaded")).to_contain_text("n" * 90)
    assert fits(page)
    picture(page, "long-words")
    page.locator("#tab-band").click()
    seed = page.locator("#band [name=seed]")
    seed.fill(str(2**31 - 1))  # the longest that is drawn
    assert seed.evaluate("one => one.scrollWidth <= one.clientWidth")
    assert fits(page)
    picture(page, "long-seed")


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_a_band_is_mixed(page: Page, service: Service, tmp_path: Path) -> None:
    page.locator("#prompt").fill(PROMPT)
    page.locator("#tab-band").click()
    page.locator("#instruments label", has_text="piano").click()  # two are enough here
    page.locator("#band [name=bars]").fill("2")
    piece = asked(page, page.locator("text=Make the band play"))
    expect(piece.locator(".track")).to_have_count(2)
    mute = piece.locator("button[aria-label='Mute bass']")
    mute.click()
    expect(mute).to_have_attribute("aria-pressed", "true")
    piece.locator("button[aria-label='Solo drums']").click()
    piece.locator("input[aria-label='Level of drums']").fill("-6")
    piece.locator("input[aria-label='Pan of drums']").fill("-0.5")
    piece.locator("button", has_text="Play").click()
    until(lambda: seconds(page, "#pieces > li .time") >= 1)
    assert fits(page)
    picture(page, "band")
    mine = saved(page, piece.locator("button", has_text="Save this mix"), tmp_path / "mine.wav")
    job = service.store.queue.history("everybody", kind="band")[0]
    drums = read(service.store.folder.result(job, "stem-drums.wav"))
    heard = resample(mine, drums.rate).samples[:, : drums.samples.shape[1]]
    heard, stem = low(heard), low(drums.samples[:, : heard.shape[1]])
    for side, panned in zip((0, 1), np.sqrt(2) * np.cos([np.pi / 8, 3 * np.pi / 8]), strict=True):
        assert np.corrcoef(heard[side], stem[side])[0, 1] > 0.98  # the solo
        gain = np.sum(heard[side] * stem[side]) / np.sum(stem[side] ** 2)
        assert gain == pytest.approx(10 ** (-6 / 20) * panned, rel=0.03)
    piece.locator("button[aria-label='Solo drums']").click()
    expect(piece.locator("output", has_text="-6 dB")).to_be_visible()
    session = piece.locator("button", has_text="Save as session")
    session.focus()
    with page.expect_download() as downloading:
        page.keyboard.press("Enter")
    expect(session).to_be_focused()
    downloading.value.save_as(tmp_path / "session.zip")
    check_session(tmp_path / "session.zip", service, job)
    # It is kept, and its faders stand where they were.
    remix = page.locator("#pieces > li").first
    expect(remix.locator(".state")).to_contain_text("another mix")
    expect(remix.locator("h3")).to_have_text(PROMPT)
    remix.locator("button", has_text="Play").click()
    expect(remix.locator("button[aria-label='Mute bass']")).to_have_attribute(
        "aria-pressed", "true"
    )
    expect(remix.locator("input[aria-label='Level of drums']")).to_have_value("-6")
    expect(remix.locator("input[aria-label='Pan of drums']")).to_have_value("-0.5")
    remix.locator("summary").click()
    picture(page, "another-mix")
    with page.expect_download() as downloading:  # as it was, so that nothing is made anew
        remix.locator("button", has_text="Save as session").click()
    downloading.value.save_as(tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "session.zip").read_bytes()
    page.locator("#tab-take").click()
    piece.locator("button", has_text="Again with changes").click()
    expect(page.locator("#band")).to_be_visible()
    expect(page.locator("#instruments input:checked")).to_have_count(2)


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_a_track_is_played_again(page: Page, service: Service) -> None:
    page.locator("#prompt").fill(PROMPT)
    page.locator("#tab-band").click()
    page.locator("#instruments label", has_text="piano").click()
    page.locator("#band [name=bars]").fill("1")
    page.locator("#band [name=seed]").fill("5")
    band = asked(page, page.locator("text=Make the band play"))
    expect(band.locator(".track")).to_have_count(2)
    again = asked(page, band.locator("button[aria-label='Another take of bass']"))
    expect(again.locator("h3")).to_have_text(PROMPT)
    expect(again.locator(".state")).to_contain_text("bass again")
    expect(again.locator(".track")).to_have_count(2)
    again.locator("button", has_text="Play").click()
    until(lambda: seconds(page, "#pieces > li .time") >= 1)
    picture(page, "a-track-again")
    assert fits(page)
    made = service.store.queue.history("everybody", kind="remake")[0]
    before = service.store.queue.history("everybody", kind="band")[0]
    assert made.request["job"] == before.id
    assert service.store.folder.result(made, "session.zip").stat().st_size > 0
    band.locator("button", has_text="Again with changes").click()
    expect(page.locator("#band [name=seed]")).to_have_value("5")


def low(samples: np.ndarray) -> np.ndarray:
    """What is below an eighth of the rate: the browser's resampling takes away some of the rest."""
    spectrum = np.fft.rfft(samples)
    spectrum[:, spectrum.shape[1] // 4 :] = 0
    return np.asarray(np.fft.irfft(spectrum, samples.shape[1]))


def check_session(place: Path, service: Service, job: Job) -> None:
    """What was set on the page, here drums 6 dB down and to the left, the bass muted."""
    with zipfile.ZipFile(service.store.folder.result(job, "session.zip")) as packed:
        first = Session.from_json(packed.read("session/session.json").decode())
    with zipfile.ZipFile(place) as packed:
        session = Session.from_json(packed.read("session/session.json").decode())
        project = zipfile.ZipFile(BytesIO(packed.read("session/session.dawproject")))
        mix, rate = soundfile.read(BytesIO(packed.read("session/mix.wav")), dtype="float32")
    drums, bass = session.track("drums").strip, session.track("bass").strip
    assert drums.gain == pytest.approx(first.track("drums").strip.gain - 6, abs=0.01)
    assert drums.pan == -0.5 and not drums.mute and not drums.solo
    assert bass == replace(first.track("bass").strip, mute=True)
    xml = ElementTree.fromstring(project.read("project.xml"))
    channels = {track.get("name"): track.find("Channel") for track in xml.iter("Track")}
    for name, strip in session.strips.items():
        channel = {part.tag: part.get("value", "") for part in channels[name] or ()}
        assert 20 * np.log10(float(channel["Volume"])) == pytest.approx(strip.gain, abs=0.01)
        assert 2 * float(channel["Pan"]) - 1 == pytest.approx(strip.pan, abs=1e-6)
        assert channel["Mute"] == str(strip.mute).lower()
    # The bus has one gain for both sides, so what tells them apart is what was set.
    stem = read(service.store.folder.result(job, "stem-drums.wav")).samples
    left, right = np.sqrt(2) * np.cos([np.pi / 8, 3 * np.pi / 8])
    one, other = mix[:, 0] * right * stem[1], mix[:, 1] * left * stem[0]
    assert rate == first.rate and np.abs(mix).max() > 0.1
    np.testing.assert_allclose(one, other, atol=1e-5)
    assert run("mix", str(place)).code == 0  # the command works on it


# How often a position has jumped back.
ROUNDS = """slider => {
    let last = 0;
    window.rounds = 0;
    new MutationObserver(() => {
        const now = Number(slider.getAttribute("aria-valuenow"));
        if (now < last) window.rounds++;
        last = now;
    }).observe(slider, { attributes: true });
}"""


@pytest.mark.parametrize("page", ["desk"], indirect=True)
def test_loops_go_round_and_one_thing_sounds_at_a_time(page: Page) -> None:
    page.locator("#prompt").fill("techno")
    page.locator("#tab-loop").click()
    for name, value in (("count", "1"), ("bars", "1"), ("tempo", "240")):
        page.locator(f"#loop [name={name}]").fill(value)
    piece = asked(page, page.locator("text=Make loops"))
    piece.locator("[role=slider]").evaluate(ROUNDS)
    play = piece.locator(".row button").first
    play.click()
    until(lambda: page.evaluate("window.rounds") >= 2)
    expect(play).to_have_text("❚❚ Pause")
    page.locator("#tab-take").click()
    page.locator("#listen").click()
    expect(play).to_have_text("▶ Play")
    until(lambda: seconds(page, "#live-time") >= 1)
    play.click()
    expect(page.locator("#live-title")).to_have_text("Played")


def test_many_that_wait_leave_the_page_usable(browser: Browser, tmp_path: Path) -> None:
    """A browser has six connections to a server."""
    with serving(tmp_path) as service:
        page = browser.new_page()
        expect.set_options(timeout=PATIENCE)
        page.goto(service.url)
        page.locator("#prompt").fill("pads")
        for number in range(1, 9):
            page.locator("text=Make a file").first.click()
            expect(page.locator("#pieces > li")).to_have_count(number)
        piece = page.locator("#pieces > li").first
        cancel = piece.locator("button", has_text="Cancel")
        cancel.focus()
        with page.expect_response(lambda answer: "state=running" in answer.url):
            pass  # it has looked how far they are
        expect(cancel).to_be_focused()
        page.keyboard.press("Enter")
        expect(piece.locator(".state")).to_contain_text("cancelled")
        expect(piece.locator("text=Again with changes")).to_be_focused()
        # A server that went away is told of, and so is that it came again.
        page.route("**/v1/jobs?**", lambda route: route.abort())
        expect(page.locator("#trouble")).to_contain_text("cannot be reached")
        page.unroute_all()
        expect(page.locator("#trouble")).to_be_hidden()
        page.close()


@pytest.mark.parametrize("page", ["desk"], indirect=True)
def test_a_file_of_ones_own(page: Page, tmp_path: Path) -> None:
    write(sine(1.0, 22_050), tmp_path / "hum.wav")
    (tmp_path / "notes.txt").write_text("not a sound")
    page.locator("#tab-file").click()
    page.locator("#sound").set_input_files(tmp_path / "notes.txt")
    expect(page.locator("#trouble")).to_contain_text("cannot be read as sound")
    page.locator("#sound").set_input_files(tmp_path / "hum.wav")
    expect(page.locator("#uploaded")).to_contain_text("hum.wav, 1.0 seconds")
    piece = asked(page, page.locator("text=Write down its notes"))
    expect(piece.locator(".state")).to_contain_text("done")
    expect(piece.locator("canvas[aria-label^='Piano roll']")).to_be_visible()
    assert ink(page, "#pieces canvas") > 0
    picture(page, "notes")


def test_a_song_becomes_vocals_and_an_instrumental(
    browser: Browser, torch_nano: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker is a thread, so that it finds the weights of a small separator."""
    weights = separators.published(tmp_path / "weights")
    here = functools.partial(stems.load_separator, weights=weights, device="cpu")
    monkeypatch.setattr(stems, "load_separator", here)
    song = sine(1.0, 32_000, channels=2)
    write(song, tmp_path / "song.wav")
    with serving(tmp_path) as service:
        worker = Worker(service.store, torch_nano)
        working = Thread(target=worker.run)
        working.start()
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        expect.set_options(timeout=PATIENCE)
        try:
            page.goto(service.url)
            page.locator("#tab-file").click()
            page.locator("#sound").set_input_files(tmp_path / "song.wav")
            page.get_by_label("into").select_option("vocals and an instrumental")
            piece = asked(page, page.locator("text=Take it apart"))
            names = piece.locator(".track .name")
            expect(names).to_have_text(["without vocals", "vocals"])
            expect(piece.locator("h3")).to_have_text("song.wav")
            expect(piece.locator(".state")).to_contain_text("done")
            picture(page, "stems")
            page.set_viewport_size({"width": 390, "height": 844})
            assert fits(page)
            picture(page, "stems")
            mix = saved(page, piece.locator("text=Save this mix"), tmp_path / "mix.wav")
            heard = resample(mix, song.rate).samples[:, : song.samples.shape[1]]
            np.testing.assert_allclose(heard[:, 500:-500], song.samples[:, 500:-500], atol=0.01)
        finally:
            page.close()
            worker.stop()
            working.join()


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_mistakes_and_cancelling(page: Page) -> None:
    page.locator("text=Make a file").first.click()
    expect(page.locator("#trouble")).to_contain_text("Say what it should play")
    page.locator("#prompt").fill("endless pads")
    page.locator("[name=duration]").fill("300")
    piece = asked(page, page.locator("text=Make a file").first)
    expect(piece.locator(".state")).to_contain_text("being made")
    piece.locator("button", has_text="Cancel").click()
    expect(piece.locator(".state")).to_contain_text("cancelled")
    expect(page.locator("#trouble")).to_be_hidden()


@pytest.mark.parametrize("page", ["desk"], indirect=True)
def test_by_keyboard_alone(page: Page) -> None:
    """Tab reaches everything in order, and arrows move between the tabs."""
    page.locator("#prompt").focus()
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.name"))
    for name in ("tab-take", "listen", "duration", "enhance"):
        assert name in reached
    page.locator("#tab-take").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#tab-band")).to_be_focused()
    expect(page.locator("#band")).to_be_visible()
    for control in page.locator("input:visible, textarea:visible, select:visible").all():
        named = control.evaluate("one => one.labels.length > 0 || one.hasAttribute('aria-label')")
        assert named, control.evaluate("one => one.outerHTML")


def test_with_a_key(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path, keys=True) as service:
        _, secret = service.store.keys.new("phone")
        page = browser.new_page()
        page.goto(service.url)
        expect(page.locator("#unlock")).to_be_visible()
        expect(page.locator("#trouble")).to_be_hidden()  # nothing is wrong yet
        for wrong, told in ((f"{secret[:8]}…", "copy"), ("cdz_wrong", "unknown or revoked")):
            page.locator("#key").fill(wrong)
            page.locator("#unlock button").click()
            expect(page.locator("#trouble")).to_contain_text(told)
            assert page.evaluate("localStorage.length") == 0
        page.locator("#key").fill(secret)
        page.locator("#unlock button").click()
        expect(page.locator("#unlock")).to_be_hidden()
        expect(page.locator("#model")).to_contain_text("being loaded")
        page.locator("#leave").click()
        expect(page.locator("#unlock")).to_be_visible()
        expect(page.locator("#leave")).to_be_hidden()
        assert page.evaluate("localStorage.length") == 0
        page.close()

"""A model that plays on another machine: the same calls, answered by a server."""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cached_property
from io import BytesIO
from pathlib import Path
from queue import SimpleQueue
from threading import Condition, Thread
from typing import Any, Self

import httpx
import numpy as np

from cadenza.audio import encode, read
from cadenza.errors import (
    AccessDenied,
    AudioError,
    Busy,
    CadenzaError,
    Cancelled,
    MissingPackage,
    OptionError,
    Unavailable,
    rebuilt,
)
from cadenza.request import (
    BUFFER,
    GenerateRequest,
    Sound,
    check_batch,
    check_stream,
    check_streamed,
)
from cadenza.studio.scoring import Rated
from cadenza.studio.session import Session
from cadenza.take import Take
from cadenza.types import Audio, Codes, ModelIdentity, Progress, Recipe, Say

SECONDS = 30.0  # without an answer
DECODING_SECONDS = 300.0  # the same for an upload, which is decoded before it is answered
TRIES = 5  # to reach a server that does not answer, or is busy
PAUSE = 0.5  # seconds before the second try; doubled each time
LONGEST_PAUSE = 30.0
PROBLEM = "urn:cadenza:problem:"
MODELS = "/v1/models"


class Client:
    """Plays on a server as :class:`cadenza.Model` does here.

    Args:
        url: of the server, for example ``http://studio:8000``.
        key: where the server needs one.

    Raises:
        Unavailable: from every method, when the server cannot be reached.
        AccessDenied: from every method, when the key is missing or opens nothing.
        Busy: from every method, when the server has too much to do even after some waiting.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        if not url.startswith(("http://", "https://")):
            raise OptionError(f"a server is http://… or https://…, not {url!r}")
        self.url = url.rstrip("/")
        self._key = key
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        try:
            self._http = httpx.Client(base_url=self.url, headers=headers, timeout=SECONDS)
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise OptionError(f"{url!r} and its key cannot be used: {error}") from error

    # ── What it plays ───────────────────────────────────────────────────────────────────────────

    @cached_property
    def _model(self) -> dict[str, Any]:
        models = self._tell("GET", MODELS)
        if not isinstance(models, list):
            raise self._stranger()
        if not models:
            raise Unavailable(f"{self.url} has no model ready yet: try again in a while")
        found: dict[str, Any] = models[0]
        return found

    @property
    def name(self) -> str:
        return str(self._model["name"])

    @property
    def family(self) -> str:
        return str(self._model["family"])

    @property
    def licence(self) -> str:
        """Of the weights."""
        return str(self._model["licence"])

    @property
    def rate(self) -> int:
        """Of the sound, in hertz."""
        return int(self._model["rate"])

    @property
    def channels(self) -> int:
        return int(self._model["channels"])

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        return float(self._model["frame_rate"])

    @property
    def identity(self) -> ModelIdentity:
        known = self._model
        fields = ("name", "revision", "sha256", "licence", "adapters")
        return ModelIdentity.from_dict({name: known[name] for name in fields})

    @property
    def has_critic(self) -> bool:
        """Whether the model there has one; it hears what :meth:`generate` and :meth:`choose` ask
        for the best of."""
        return bool(self._model["critic"])

    @property
    def critic(self) -> None:
        """None: it stays where the codes are made."""

    # ── What it makes ───────────────────────────────────────────────────────────────────────────

    def generate(
        self,
        prompt: str | None,
        *,
        best_of: int = 1,
        progress: Progress | None = None,
        **options: Any,
    ) -> Take:
        """Make one piece, see :meth:`cadenza.Model.generate`; the server hears what is the best."""
        [job] = self._played([GenerateRequest(prompt, **options)], best_of, progress)
        return self._take(job)

    def generate_batch(
        self, requests: Sequence[GenerateRequest], progress: Progress | None = None
    ) -> list[Take]:
        """Make several pieces together, see :meth:`cadenza.Model.generate_batch`.

        The sound is as a file has it, within full scale; the codes are the same. What ``progress``
        raises cancels all of them. They are also cancelled when one fails.
        """
        return [self._take(job) for job in self._played(requests, 1, progress)]

    def choose(
        self,
        requests: Sequence[GenerateRequest],
        count: int,
        progress: Progress | None = None,
    ) -> tuple[list[Take], list[list[Rated]]]:
        """The best of several takes of each request, see :meth:`cadenza.Model.choose`; the server
        hears them."""
        jobs = self._played(requests, count, progress)
        # A single take is not listened to.
        scored = jobs if count > 1 else []
        scores = [json.loads(self.fetch(job, "auditions.json")) for job in scored]
        rankings = [[Rated.from_facts(facts) for facts in ranking] for ranking in scores]
        return [self._take(job) for job in jobs], rankings

    def generate_codes(
        self, requests: Sequence[GenerateRequest], progress: Progress | None = None
    ) -> list[Codes]:
        """The codes of these pieces; a server makes their sound all the same."""
        return [take.codes for take in self.generate_batch(requests, progress)]

    def _played(
        self, requests: Sequence[GenerateRequest], best_of: int, progress: Progress | None
    ) -> list[dict[str, Any]]:
        """The jobs of all, when they are done."""
        check_batch(requests)
        more = {"format": "wavfloat", "best_of": best_of}
        wishes = [self._wish(request) | more for request in requests]
        ids: list[str] = []
        try:
            for wish in wishes:
                ids.append(self.submit("generate", wish))  # known before the next one can fail
            return [
                self.wait(id, _share(progress, place, len(ids))) for place, id in enumerate(ids)
            ]
        except BaseException:
            for id in ids:
                self.cancel(id)
            raise

    def extend(
        self,
        piece: Take | Audio | str | os.PathLike[str],
        duration: float,
        prompt: str | None = None,
        *,
        progress: Progress | None = None,
        **options: Any,
    ) -> Take:
        """Go on from a take or any sound, see :meth:`cadenza.Model.extend`."""
        if isinstance(piece, Take):
            prompt = piece.recipe.text if prompt is None else prompt
            piece = piece.audio
        options["beginning"] = piece
        return self.generate(prompt, duration=duration, progress=progress, **options)

    def stream(
        self,
        prompt: str | None,
        duration: float | None = None,
        buffer: float = BUFFER,
        **options: Any,
    ) -> RemoteStream:
        """Hear music while it is made, and steer it, see :meth:`cadenza.Model.stream`.

        It comes no faster than it is heard.
        """
        check_stream(duration, buffer)
        asked = GenerateRequest(prompt, **options)
        check_streamed(asked)
        wish = self._wish(asked) | {"duration": duration, "buffer": buffer}
        del wish["in_time"], wish["in_key"]  # which no stream can be
        if self._key is not None:
            wish["key"] = self._key
        return RemoteStream(self.url.replace("http", "ws", 1) + "/v1/live", wish, asked)

    def band(
        self,
        prompt: str,
        tracks: Sequence[str],
        folder: str | os.PathLike[str],
        *,
        force: bool = False,
        progress: Progress | None = None,
        say: Say | None = None,
        **options: Any,
    ) -> Session:
        """Let several instruments play one piece there and mix it here, see
        :meth:`cadenza.Model.band`."""
        from cadenza.studio.band import band

        return band(
            self, prompt, tracks, folder, force=force, progress=progress, say=say, **options
        )

    # ── Jobs of any kind ────────────────────────────────────────────────────────────────────────

    def submit(self, kind: str, request: Mapping[str, Any]) -> str:
        """Ask for a job, whose id is returned. Whatever the network does, it is one job."""
        key = {"Idempotency-Key": secrets.token_hex(16)}
        wish = {"kind": kind, "request": dict(request)}
        return str(self._tell("POST", "/v1/jobs", json=wish, headers=key)["id"])

    def wait(
        self, id: str, progress: Progress | None = None, say: Say | None = None
    ) -> dict[str, Any]:
        """Follow a job until it is done, and return it as the server shows it.

        ``progress`` gets per mille, ``say`` what is being done in words.

        Raises:
            Cancelled: somebody cancelled it.
            CadenzaError: what went wrong with it.
        """
        job = self._follow(id, progress, say)
        if job["state"] == "cancelled":
            raise Cancelled(f"job {id} was cancelled")
        if job["state"] == "failed":
            raise rebuilt(job["error"]["kind"], job["error"]["message"])
        return job

    def cancel(self, id: str) -> None:
        """Cancel a job; one that is over stays as it is. Nothing is raised if it cannot be told."""
        with suppress(CadenzaError):  # it ends by itself
            self._ask("DELETE", f"/v1/jobs/{id}", tries=1)

    def fetch(self, job: Mapping[str, Any], name: str) -> bytes:
        """A file of a job that is done.

        Raises:
            NotFound: it has none of that name.
        """
        return self._ask("GET", f"/v1/jobs/{job['id']}/files/{name}").content

    def upload(self, sound: Sound | Audio | str | os.PathLike[str]) -> str:
        """Send a sound; returns the id by which requests call it.

        Raises:
            AudioError: it cannot be read.
        """
        if isinstance(sound, Sound):
            content, name = encode(sound.audio, "wavfloat"), sound.source.path
        elif isinstance(sound, Audio):
            content, name = encode(sound, "wavfloat"), ""
        else:
            content, name = _bytes(sound), os.fspath(sound)
        answer = self._tell(
            "POST",
            "/v1/uploads",
            repeatable=False,  # each would be kept
            params={"name": Path(name).name or "sound"},
            content=content,
            timeout=httpx.Timeout(SECONDS, read=DECODING_SECONDS),
        )
        return str(answer["id"])

    # ── Over the wire ───────────────────────────────────────────────────────────────────────────

    def _wish(self, request: GenerateRequest) -> dict[str, Any]:
        """A request as JSON, its sounds uploaded."""
        wish = {field.name: getattr(request, field.name) for field in dataclasses.fields(request)}
        if isinstance(request.beginning, Codes):
            raise OptionError("a server goes on from a sound, not from codes: give the sound")
        for name, sound in (
            ("melody", request.melody_sound),
            ("beginning", request.beginning_sound),
        ):
            if sound is not None:
                # A file goes as it is: decoded, it may be larger than what a server takes.
                whole = isinstance(wish[name], str | os.PathLike)
                wish[name] = self.upload(wish[name] if whole else sound)
        return wish

    def _take(self, job: Mapping[str, Any]) -> Take:
        recipe = Recipe.from_json(self.fetch(job, "music.json").decode())
        ids = np.load(BytesIO(self.fetch(job, "codes.npy")), allow_pickle=False)
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            file.write(self.fetch(job, "music.wav"))
            file.flush()
            audio = read(file.name)
        return Take(audio, Codes(ids.astype(np.int64), self.frame_rate), recipe)

    def _follow(self, id: str, progress: Progress | None, say: Say | None) -> dict[str, Any]:
        """The job at its end, by its events; a connection that breaks is made anew."""
        pause, left = PAUSE, TRIES
        while left:
            left -= 1
            try:
                for job in self._events(id):
                    pause, left = PAUSE, TRIES
                    if progress is not None:
                        progress(round(1000 * job["progress"]), 1000)
                    if say is not None and job["doing"]:
                        say(job["doing"])
                    if job["state"] not in ("queued", "running"):
                        return job
            except (httpx.TransportError, Busy, Unavailable):
                pass
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        raise Unavailable(f"{self.url} went away while job {id} was under way")

    def _events(self, id: str) -> Iterator[dict[str, Any]]:
        with self._http.stream("GET", f"/v1/jobs/{id}/events") as answer:
            if answer.is_error:
                answer.read()
                raise _error(answer)
            for line in answer.iter_lines():
                if line.startswith("data:"):
                    yield json.loads(line.removeprefix("data:"))

    def _tell(self, method: str, path: str, **what: Any) -> Any:
        """The JSON that answers."""
        answer = self._ask(method, path, **what)
        try:
            return answer.json()
        except ValueError as error:
            raise self._stranger() from error

    def _stranger(self) -> OptionError:
        return OptionError(f"{self.url} is not a server of Cadenza: check the address")

    def _ask(
        self, method: str, path: str, *, tries: int = TRIES, repeatable: bool = True, **what: Any
    ) -> httpx.Response:
        """Ask, and again where there is hope.

        What is not ``repeatable``, and has no idempotency key either, is not asked again when it
        may have been understood though no answer came.
        """
        pause = PAUSE
        for left in reversed(range(tries)):
            try:
                answer = self._http.request(method, path, **what)
            except httpx.TransportError as error:
                failure: CadenzaError = Unavailable(f"{self.url} cannot be reached: {error}")
                nobody = isinstance(error, httpx.ConnectError)
                if nobody or not repeatable:
                    raise failure from error
            else:
                if answer.is_success:
                    return answer
                if answer.status_code == 404 and path == MODELS:
                    raise self._stranger()  # or a path of one
                failure = _error(answer)
                unheard = answer.status_code in (502, 504)  # says what stands before the server
                if answer.status_code not in (429, 503) and not (unheard and repeatable):
                    raise failure
                pause = max(pause, _seconds(answer.headers.get("retry-after", "")))
            if not left:
                raise failure
            time.sleep(min(pause, LONGEST_PAUSE))
            pause *= 2
        raise AssertionError("unreachable")


class RemoteStream(Iterator[Audio]):
    """Music from a server while it is made, see :class:`cadenza.streaming.Stream`.

    Raises:
        MissingPackage: websockets is not installed.
        Unavailable: the server cannot be reached.
        CadenzaError: what it has against the request.
    """

    def __init__(self, url: str, wish: Mapping[str, Any], asked: GenerateRequest) -> None:
        try:
            from websockets.exceptions import WebSocketException
            from websockets.sync.client import connect
        except ImportError as error:
            raise MissingPackage("websockets", "pip install 'cadenza[server]'") from error
        self._open = ExitStack()
        self._broken = (OSError, EOFError, ValueError, WebSocketException)
        try:
            opened = connect(url, max_size=2**24, open_timeout=SECONDS)
            self._socket = self._open.enter_context(opened)
            self._socket.send(json.dumps(wish))
            head = json.loads(self._socket.recv(SECONDS))
        except self._broken as error:
            raise Unavailable(f"{url} cannot be reached: {error}") from error
        if "error" in head:
            self._open.close()
            raise _told(head)
        self.playing = dataclasses.replace(asked, seed=head["seed"])
        self._rate, self._channels = int(head["rate"]), int(head["channels"])
        self._most = (2 * wish["buffer"] + 1) * self._rate  # samples that wait for the reader
        self._news = Condition()
        self._heard: deque[Audio] = deque()
        self._answers: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._steering = self._over = False
        self._failure: CadenzaError | None = None
        Thread(target=self._listen, name="cadenza-stream", daemon=True).start()

    def __next__(self) -> Audio:
        """The next chunk ``[C, n]``; waits for it.

        Raises:
            StopIteration: the piece is over, or the stream closed.
            CadenzaError: what went wrong there.
        """
        with self._news:
            self._news.wait_for(lambda: self._heard or self._over)
            if self._heard:
                self._news.notify_all()
                return self._heard.popleft()
            if self._failure is not None:
                raise self._failure
        raise StopIteration

    def steer(self, prompt: str | None = None, over: float | None = None, **options: Any) -> None:
        """See :meth:`cadenza.streaming.Stream.steer`.

        Raises:
            PromptError, OptionError: as there, and the music goes on; or the stream is over.
        """
        wish = {"prompt": prompt, "over": over} | options
        given = {name: value for name, value in wish.items() if value is not None}
        with self._news:
            self._steering = True  # the answer stands behind sound that is on its way
            self._news.notify_all()
        try:
            self._socket.send(json.dumps(given))
            answer = self._answers.get()
        except self._broken:
            answer = None
        finally:
            self._steering = False
        if answer is None:
            raise OptionError("this stream is over: start another one")
        if "error" in answer:
            raise _told(answer)
        said = {name: value for name, value in given.items() if name not in ("over", "tempo")}
        self.playing = dataclasses.replace(self.playing, **said)

    def close(self) -> None:
        """Stop it, here and there."""
        with self._news:
            self._over = True
            self._heard.clear()
            self._news.notify_all()
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _listen(self) -> None:
        """Take what comes, but no more than the reader can hear in a while."""
        try:
            for message in self._socket:
                if isinstance(message, bytes):
                    self._hear(message)
                else:
                    self._answers.put(json.loads(message))
        except self._broken as error:
            self._failure = Unavailable(f"the server went away: {error}")
        with self._news:
            if not self._over and self._socket.close_code not in (None, 1000):
                told = [answer for answer in self._left() if "error" in answer]
                self._failure = _told(told[-1]) if told else self._failure
            self._over = True
            self._news.notify_all()
        self._answers.put(None)

    def _hear(self, message: bytes) -> None:
        pcm = np.frombuffer(message, "<i2").reshape(-1, self._channels)
        samples = np.ascontiguousarray(pcm.T.astype(np.float32) / np.float32(32767))
        with self._news:
            self._heard.append(Audio(samples, self._rate))
            self._news.notify_all()
            self._news.wait_for(self._wants_more)

    def _wants_more(self) -> bool:
        waiting = sum(audio.samples.shape[1] for audio in self._heard)
        return waiting < self._most or self._steering or self._over

    def _left(self) -> Iterator[dict[str, Any]]:
        while not self._answers.empty():
            answer = self._answers.get()
            if answer is not None:
                yield answer


def _bytes(path: str | os.PathLike[str]) -> bytes:
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise AudioError(f"{path} cannot be read: {why}: check the path") from error


def _told(answer: Mapping[str, Any]) -> CadenzaError:
    return rebuilt(answer["error"]["kind"], answer["error"]["message"])


def _share(progress: Progress | None, place: int, of: int) -> Progress | None:
    """The progress of one job as that of all of them, which are waited for in order."""
    if progress is None:
        return None
    return lambda done, total: progress(place * total + done, of * total)


def _seconds(pause: str) -> float:
    """Of a ``Retry-After``, which may be a date as well: then as long as without one."""
    return float(pause) if pause.isdecimal() else 0.0


def _error(answer: httpx.Response) -> CadenzaError:
    """What a server has against something, as the error that it was there."""
    try:
        problem = answer.json()
        kind, detail = problem["type"].removeprefix(PROBLEM), problem["detail"]
    except (ValueError, KeyError, TypeError, AttributeError):
        kind, detail = "", f"the server answered {answer.status_code}"
    if answer.status_code == 401:
        return AccessDenied(f"{detail} (--key, CADENZA_KEY, or key= of a Client)")
    if answer.status_code in (502, 503, 504) and not kind:
        return Unavailable(detail)
    return rebuilt(kind, detail)

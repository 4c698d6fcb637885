"""Onsets, and what follows from them: tempo, beats, bars.

Sources: spectral flux of logarithmic mel bands, Böck & Widmer 2013, «Maximum filter vibrato
suppression»; beats by dynamic programming, Ellis 2007, «Beat tracking by dynamic programming».
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cadenza.spectrum import band_power, mel_filters
from cadenza.types import FloatArray

Values = NDArray[np.float64]

FFT, HOP = 1024, 80
LEVEL = 0.13  # the RMS that a sound is brought to, so that its loudness does not matter
LOWEST, BANDS, LOW_BANDS = 30.0, 40, 5  # hertz, mel bands, those that hold kick and bass
COMPRESSION = 4000.0  # of amplitudes before the logarithm: what lies 70 dB down still counts
LAG = 2  # frames in which a band has to rise
EARLY = 0.013  # seconds that the flux peaks ahead: more for a click, less for a string
TREND = 1.0  # seconds whose mean an onset stands out from

SLOWEST, FASTEST = 40.0, 240.0  # beats a minute
STEP = 1.005  # between two tempi that are tried
LONGEST_LAG = 0.7  # of the sound: further apart too little overlaps to be compared

# How much each sign speaks for a tempo: that onsets recur after so many beats, and how strong the
# wave of so many times its frequency is. Fitted to rendered pieces (logistic regression).
RECURRENCE = {1.0: 4.3, 1 / 2: 4.2, 1 / 3: -2.6}
WAVE = {1.0: 3.8, 2.0: 2.6, 1 / 2: 2.2}
USUAL, UNUSUAL = 107.0, 3.7  # where people tap, and what an octave from there costs
UNASKED = 20.0  # what an octave from a tempo costs that was asked for
NEAR = 8  # frames around a beat in which it may sound
METERS = {4: 1.5, 3: 0.0}  # beats a bar, and how much likelier they are to begin with
TIGHTNESS = 300.0  # how much an uneven beat costs


def onsets(samples: FloatArray, rate: int) -> tuple[Values, Values]:
    """How much begins in each frame: in all bands ``[T]`` and in the lowest ``[T]``.

    ``samples [N]`` are mono; there are ``rate / HOP`` frames a second.
    """
    level = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    filters = mel_filters(rate, FFT, BANDS, LOWEST, rate / 2)
    power = band_power(samples * np.float32(LEVEL / max(level, 1e-9)), FFT, HOP, filters)
    bands = np.log1p(COMPRESSION * np.sqrt(power))
    rise = np.zeros(bands.shape)
    rise[LAG:] = np.maximum(bands[LAG:] - bands[:-LAG], 0)
    trend = round(TREND * rate / HOP) | 1
    everything, low = rise.mean(axis=1), rise[:, :LOW_BANDS].mean(axis=1)
    return _without_trend(everything, trend), _without_trend(low, trend)


def tempo_of(flux: Values, frame_rate: float, asked: float | None) -> tuple[float, float]:
    """Beats a minute, and how clearly: how well onsets recur after one beat or two, 0 to 1.

    ``asked`` is the tempo that was meant: half and double fit nearly as well as the tempo itself,
    so the one nearest to it is preferred.
    """
    tempi = np.exp(np.arange(np.log(SLOWEST), np.log(FASTEST), np.log(STEP)))
    recurrence, wave = _recurrence(flux), _wave(flux)
    seconds = 60 / tempi
    centre, cost = (USUAL, UNUSUAL) if asked is None else (asked, UNASKED)
    score = -cost * np.square(np.log2(tempi / centre))
    for beats, weight in RECURRENCE.items():
        score += weight * _at(recurrence, seconds * beats * frame_rate)
    for times, weight in WAVE.items():
        score += weight * _at(wave, times / seconds / frame_rate * 2 * (len(wave) - 1))
    best = float(tempi[score.argmax()])
    clear = float(_at(recurrence, np.array([60, 120]) / best * frame_rate).max())
    return best, min(max(clear, 0.0), 1.0)


def beats_of(flux: Values, low: Values, frame_rate: float, tempo: float) -> NDArray[np.int64]:
    """The frames of the beats: on onsets, low ones above all, as far apart as the tempo has it."""
    period = 60 / tempo * frame_rate
    near, far = round(period / 2), round(period * 2)
    gaps = np.arange(near, far + 1)
    uneven = TIGHTNESS * np.square(np.log(gaps / period))
    accent = flux / (flux.std() + 1e-12) + 0.5 * low / (low.std() + 1e-12)
    total = np.convolve(accent, np.hanning(round(0.06 * frame_rate) | 1), "same")
    total /= total.std() + 1e-12
    before = np.full(len(flux), -1)
    for frame in range(near, len(flux)):
        reach = gaps[: frame - near + 1] if frame < far else gaps
        ways = total[frame - reach] - uneven[: len(reach)]
        best = int(ways.argmax())
        if ways[best] > 0:
            total[frame] += ways[best]
            before[frame] = frame - reach[best]
    last = len(flux) - 1 - int(total[::-1][: round(period)].argmax())
    beats = [last]
    while before[beats[-1]] >= 0:
        beats.append(int(before[beats[-1]]))
    return np.array(beats[::-1])


def bars_of(beats: NDArray[np.int64], low: Values, change: Values) -> tuple[int, int]:
    """Beats a bar, and which of ``beats`` begins the first whole one.

    A bar begins where the harmony changes (``change``, one for each beat) and, less surely, where
    the bass comes in (``low [T]``, as :func:`onsets` gives it).
    """
    around = np.clip(beats[:, None] + np.arange(-NEAR, NEAR + 1), 0, len(low) - 1)
    evidence = _standard(change) + 0.5 * _standard(low[around].max(axis=1))
    found = {}
    for meter, likely in METERS.items():
        for first in range(min(meter, len(beats))):
            bars = evidence[first::meter]
            found[meter, first] = likely + float(bars.sum()) / math.sqrt(len(bars))
    return max(found, key=lambda place: found[place])


def _standard(values: Values) -> Values:
    return np.asarray((values - values.mean()) / (values.std() + 1e-9))


def _without_trend(flux: Values, length: int) -> Values:
    padded = np.pad(flux, length // 2, mode="reflect")
    return np.asarray(flux - np.convolve(padded, np.full(length, 1 / length), "valid"))


def _recurrence(flux: Values) -> Values:
    """The autocorrelation at each lag, 1 at 0."""
    frames = len(flux)
    power = np.square(np.abs(np.fft.rfft(flux, 2 * frames)))
    overlap = (frames - np.arange(frames)) / frames
    recurrence = np.fft.irfft(power)[:frames] / overlap
    return np.asarray(recurrence[: int(LONGEST_LAG * frames)] / (recurrence[0] + 1e-12))


def _wave(flux: Values) -> Values:
    """The magnitude of each frequency up to half the rate, 1 for the strongest."""
    size = 2 ** int(np.ceil(np.log2(8 * len(flux))))
    wave = np.abs(np.fft.rfft(flux * np.hanning(len(flux)), size))
    return np.asarray(wave / (wave.max() + 1e-12))


def _at(values: Values, places: Values) -> Values:
    """``values [N]`` at fractional ``places``, between neighbours; 0 past the end."""
    return np.asarray(np.interp(places, np.arange(len(values)), values, right=0.0))

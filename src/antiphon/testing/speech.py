"""Speech checks: what every speech engine must do."""

from __future__ import annotations

import asyncio
import contextlib

from antiphon.domain import errors
from antiphon.domain.request import EMOTIONS, NEUTRAL
from antiphon.domain.unit import SpeechParams
from antiphon.testing.bench import Bench, Check, Skip, expect

SENTENCE = "Everybody is asked to bring a pencil."
#: Texts by language, to try voices with.
GREETINGS = {"zh": "你好，今天天气很好。", "ja": "こんにちは。", "ar": "مرحبا."}
STRANGE = (
    "\x00", "\x01", "a\x00b", "<speak>hi</speak>", "[[h@'loU]]", "...", "😀", "\u202e", "ok\n\nok",
)  # fmt: skip

#: Letters and digits of which few engines make a sound: numbers in circles, Cherokee, Ogham, Egyptian hieroglyphs.
UNSAYABLE = ("①", "②③", "❿", "Ꭰ", "ᚁᚂ", "𓀀")


async def capabilities_are_whole(bench: Bench) -> None:
    # The worker checked the rest when it started.
    names = (*EMOTIONS, NEUTRAL)
    expect(set(bench.capabilities.emotions) <= set(names), f"emotions must be among {', '.join(names)}")
    expect(bench.capabilities.voices, "voices is empty: users would not know what they get")


async def it_speaks(bench: Bench) -> None:
    audio = await bench.say(SENTENCE)
    expect(0.3 < bench.seconds(audio) < 60, f"{bench.seconds(audio):.2f} s is not a plausible length for {SENTENCE!r}")
    expect(any(audio), "the audio is silent")


async def longer_texts_are_longer(bench: Bench) -> None:
    short, long = await bench.say("One."), await bench.say(f"{SENTENCE} {SENTENCE}")
    expect(len(long) > 1.5 * len(short), "a text of fourteen words is not longer than one of one")


async def voices_speak(bench: Bench) -> None:
    for voice in bench.capabilities.voices[:3]:
        language = voice.languages[0].partition("-")[0] if voice.languages else "en"
        text = GREETINGS.get(language, "Hello there.")
        expect(any(await bench.say(text, voice=voice.id, language=language)), f"voice {voice.id} is silent")


async def an_unknown_voice_is_an_error_and_no_end(bench: Bench) -> None:
    for name in ("nobody", "../../etc/passwd", "a\0b"):
        try:
            await bench.say("Hello.", voice=name)
        except errors.AntiphonError:
            continue
        expect(False, f"voice {name!r} was taken; an unknown voice must raise UnknownVoice")
    expect(any(await bench.say("Still here.")), "after an unknown voice it is silent")


async def speed_changes_the_length(bench: Bench) -> None:
    least, most = bench.capabilities.speed_min, bench.capabilities.speed_max
    if (ratio := most / least) < 1.2:
        raise Skip("it has one speed")
    slow, fast = [bench.seconds(await bench.say(SENTENCE, speed=speed)) for speed in (least, most)]
    expect(slow > fast * min(1.5, 1 + (ratio - 1) / 2), f"speed {least} to {most}: {slow:.2f}, {fast:.2f} s")


async def emotions_change_the_sound(bench: Bench) -> None:
    if not bench.capabilities.emotions:
        raise Skip("it has no emotions")
    plain = await bench.say(SENTENCE, seed=1)
    for name in bench.capabilities.emotions:
        if name != "calm":
            expect(await bench.say(SENTENCE, seed=1, emotion={name: 1.0}) != plain, f"{name} sounds like no emotion")


async def deterministic_engines_repeat_themselves(bench: Bench) -> None:
    if not bench.capabilities.deterministic:
        raise Skip("it does not say that it is deterministic")
    first, second = [await bench.say(SENTENCE) for _ in range(2)]
    expect(first == second, "deterministic is true, and the same recipe gave other samples")


async def units_at_the_same_time_are_told_apart(bench: Bench) -> None:
    if bench.capabilities.slots < 2:
        raise Skip("it computes one unit at a time")
    texts = [f"{SENTENCE} " * (n + 1) for n in range(min(4, bench.capabilities.slots))]
    together = await asyncio.gather(*(bench.say(text) for text in texts))
    lengths = [len(audio) for audio in together]
    expect(lengths == sorted(set(lengths)), "beside others, a longer text is not longer: results were mixed up")
    if bench.capabilities.deterministic:
        apart = [await bench.say(text) for text in texts]
        expect(together == apart, "deterministic is true, and beside others a unit gave other samples than alone")


async def a_cancelled_unit_ends(bench: Bench) -> None:
    capabilities = bench.capabilities
    language = capabilities.languages[0] if capabilities.languages else "en"
    voice = capabilities.voice_by_language.get(language, capabilities.default_voice)
    await bench.cancel(SpeechParams(f"{SENTENCE} " * 3, voice, language).as_params())
    expect(any(await bench.say("Still here.")), "after a cancel it is silent")


async def strange_texts_are_spoken_or_refused(bench: Bench) -> None:
    for text in (*STRANGE, "a" * min(100, bench.capabilities.cut.max_chars)):
        with contextlib.suppress(errors.AntiphonError):
            await bench.say(text)
    expect(any(await bench.say("Still here.")), "after strange texts it is silent")


async def what_it_cannot_say_is_told(bench: Bench) -> None:
    for text in UNSAYABLE:
        try:
            await bench.say(text)
        except errors.InvalidText:
            continue
        except errors.AntiphonError as e:
            expect(False, f"{text!r} ends in {type(e).__name__}; a text without a sound must raise NothingToSay")
    expect(any(await bench.say("Still here.")), "after a text without a sound it is silent")


CHECKS: tuple[Check, ...] = (
    capabilities_are_whole,
    it_speaks,
    longer_texts_are_longer,
    voices_speak,
    an_unknown_voice_is_an_error_and_no_end,
    speed_changes_the_length,
    emotions_change_the_sound,
    deterministic_engines_repeat_themselves,
    units_at_the_same_time_are_told_apart,
    a_cancelled_unit_ends,
    strange_texts_are_spoken_or_refused,
    what_it_cannot_say_is_told,
)

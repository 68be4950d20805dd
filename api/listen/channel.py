"""What a client was told of one channel, and what it is told next, in Deepgram's order.

Interim results of a segment have its start and replace each other; the final one ends it, and the
next begins there. An utterance is one or more finals, the last of them with `speech_final`.
"""

from collections.abc import Sequence
from dataclasses import replace

from api.listen import messages
from api.listen.messages import Message, Model
from api.listen.options import Options
from engine.audio import SAMPLE_RATE
from engine.live_events import Final, Partial, Paused, SpeechStarted, Told
from engine.transcript import Word


class Channel:
    """The state of one channel; `tell` turns what was heard into messages."""

    def __init__(
        self, number: int, channels: int, options: Options, model: Model, request_id: str
    ) -> None:
        self.number, self.channels = number, channels
        self._options, self._model, self._request_id = options, model, request_id
        self._start_s = 0.0  # of the open segment
        self._last_word_end_s: float | None = None  # of the finals since the last UtteranceEnd

    def tell(self, told: Told, language: str | None) -> list[Message]:
        """Return the messages about something that was heard."""
        match told:
            case SpeechStarted(sample):
                return self._speech_started(sample)
            case Partial():
                return self._interim(told, language)
            case Final():
                return [self._final(told, language)]
            case Paused():
                return self._utterance_end()

    def rest(self, until_s: float) -> list[Message]:
        """Return an empty final for what came after the last one, at the end of the stream."""
        if told_s(until_s) <= self._start_s:
            return []
        return [self._results((), told_s(until_s), is_final=True)]

    def _speech_started(self, sample: int) -> list[Message]:
        if not self._options.vad_events:
            return []
        return [
            messages.speech_started(
                channel=self.number, channels=self.channels, timestamp_s=sample / SAMPLE_RATE
            )
        ]

    def _interim(self, told: Partial, language: str | None) -> list[Message]:
        words = self._within((*told.stable, *told.tentative))
        if not words or not self._options.interim_results:
            return []
        end_s = max(told_s(told.end_sample / SAMPLE_RATE), words[-1].end_ms / 1000)
        return [self._results(words, end_s, language=language)]

    def _final(self, told: Final, language: str | None) -> Message:
        words = self._within(told.words)
        end_s = max(told_s(told.end_sample / SAMPLE_RATE), self._start_s)
        if words:
            self._last_word_end_s = words[-1].end_ms / 1000
            end_s = max(end_s, self._last_word_end_s)
        endpoint = told.ended and self._options.endpointing_ms is not None
        message = self._results(
            words,
            end_s,
            is_final=True,
            speech_final=endpoint or told.flushed,
            from_finalize=told.flushed,
            language=language,
        )
        self._start_s = end_s
        return message

    def _within(self, words: Sequence[Word]) -> list[Word]:
        return [within(word, self._start_s) for word in words]

    def _utterance_end(self) -> list[Message]:
        if self._options.utterance_end_ms is None or self._last_word_end_s is None:
            return []
        ended_s, self._last_word_end_s = self._last_word_end_s, None
        return [
            messages.utterance_end(
                channel=self.number, channels=self.channels, last_word_end_s=ended_s
            )
        ]

    def _results(
        self,
        words: Sequence[Word],
        end_s: float,
        *,
        is_final: bool = False,
        speech_final: bool = False,
        from_finalize: bool = False,
        language: str | None = None,
    ) -> Message:
        return messages.results(
            words,
            start_s=self._start_s,
            duration_s=end_s - self._start_s,
            is_final=is_final,
            speech_final=speech_final,
            from_finalize=from_finalize,
            channel=self.number,
            channels=self.channels,
            options=self._options,
            model=self._model,
            request_id=self._request_id,
            language=language,
        )


def told_s(position_s: float) -> float:
    """Return a position as it is told, so that each segment begins where the last one ended."""
    return round(position_s, 3)


def within(word: Word, start_s: float) -> Word:
    """Return a word of a segment, which begins no earlier than that does.

    The alignment may draw the first word back into the pause before it.
    """
    start_ms = max(word.start_ms, round(start_s * 1000))
    return replace(word, start_ms=start_ms, end_ms=max(word.end_ms, start_ms))

"""What can go wrong between sound and text.

EngineError
    AudioUnreadable         the file is no audio, damaged, protected or too much for the decoder
    MicrophoneUnavailable   PortAudio or the device is missing
    ModelUnavailable        the model is not installed, incomplete or not the one it claims to be
    LanguageUnsupported     the model does not know the language asked for
    Cancelled               the caller gave up
    CloudUnreachable        Deepgram gives no answer, or none that makes sense
    CloudRefused            Deepgram says no: the key, the credit, the role, the rate

Every message says what is wrong, with which value, and what to do about it.
"""


class EngineError(Exception):
    """The root of everything the engine raises on purpose."""


class AudioUnreadable(EngineError):
    """The file can't be turned into samples."""


class MicrophoneUnavailable(EngineError):
    """There is no microphone to record from."""


class ModelUnavailable(EngineError):
    """A model can't be loaded, or its files are not what they should be."""


class LanguageUnsupported(EngineError):
    """The language is unknown to the model, or to Whisper altogether."""


class Cancelled(EngineError):
    """The work was given up by the one who asked for it."""


class CloudUnreachable(EngineError):
    """Deepgram can't be asked: no connection, no answer in time, or none that can be used."""


class CloudRefused(EngineError):
    """Deepgram was asked and refused; `status` is the HTTP status it answered with."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status

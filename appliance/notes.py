"""From what the engine heard to what people read: the note and its title.

A text is taken apart into words and *gaps*, the punctuation and space before, between and behind
them. Clean-up takes out fillers ("um") and what was said again at once ("the the").
"""

# ruff: noqa: RUF001

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from unicodedata import category

from engine.cues import PAUSE_MS, SPACE
from engine.transcript import Segment

Replacements = Sequence[Mapping[str, str]]  # each {"from": ..., "to": ...}

TITLE_LENGTH = 60
TITLE_FROM = 4000  # characters in which the first sentence is looked for
SENTENCE = re.compile(r"(.+?[.?!。？！])(?:\s|$)", re.DOTALL)
MIN_TITLE_WORDS = 3

ANY_SPACE = r"\s+"
PHRASE_WORDS = 3  # the longest phrase that is taken out when it is said again
LETTERS = "[\\w\u0300-\u036f]+"
WORD = re.compile(rf"((?i:uh[ -](?:huh|oh)|mm[ -]hmm?)\b|{LETTERS}(?:['’-]{LETTERS})*)")
BETWEEN = frozenset(" \xa0\u2007\u202f,-–—…")  # what may part a phrase and itself
END = 5  # the weight of what ends a sentence
WEIGHTS = {c: n for n, marks in enumerate([",", "-–—", ":;", "…", ".?!。？！"], 1) for c in marks}
MARKS = " \xa0\u2007\u202f.,;:!?…–—-"  # what goes with a filler in front of them
OPENING = re.compile(r"[\"'“‘„¿¡]$|[«‹(\[{]\s*$")
CLOSING = {'"': '"', "'": "'", "“": "”", "‘": "’", "„": "“", "«": "»", "(": ")", "[": "]"}
OPENERS = "([{«¿¡“„‘"
CLOSER = re.compile(r"[\s,.;:!?…)\]}\"”’»。、，！？]|$")
BEFORE = re.compile(r"(?:^|\.\.|[\s,\"'“‘„«(\[¿¡–—…-])$")  # not "@um"
BEHIND = re.compile(r"[\s,\"'”’“»)\]!?;:–—…-]|\..|\.?$")  # not "um@"


# Thai to Burmese, Khmer, Chinese, Japanese and Korean put no space around a word.
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u2fdf\u3005-\u318f\u31a0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc"
    "\U00020000-\U0003ffff"
)
SIGNS = "".join(chr(c) for c in range(0x300, 0xE00) if category(chr(c))[0] == "M")
SPACED = f"[^\\W{UNSPACED}]|[{SIGNS}]"


class Speech:
    """Clean-up by a language: its fillers, words doubled on purpose and numbers, as patterns."""

    def __init__(self, fillers: str, doubled: str, numbers: str) -> None:
        self.fillers, self.doubled = set(fillers.split()), set(doubled.split())
        self.number = re.compile(rf"\d|(?:^|-)(?:{'|'.join(numbers.split())})(?:-|$)")

    def cleaned(self, text: str) -> str:
        """Return one line without fillers and repetitions."""
        while True:  # what is taken out may bring together what is then another repetition
            parts = WORD.split(text)
            words, gaps = self.without_fillers(parts[1::2], parts[::2])
            words, gaps = self.without_repetitions(words, gaps)
            if len(words) == len(parts) // 2:
                return text
            text = "".join(g + w for g, w in zip(gaps, [*words, ""], strict=True)).strip()
            if not words:
                return ""

    def without_fillers(self, words: list[str], gaps: list[str]) -> tuple[list[str], list[str]]:
        """Return the other words and their gaps."""
        kept: list[str] = []
        around, begins = gaps[:1], False
        for at, (word, right) in enumerate(zip(words, gaps[1:], strict=True), 1):
            left, last = around[-1], at == len(words)
            alone = BEFORE.search(left) and BEHIND.match(right) and (right != "." or last)
            if word.lower() in self.fillers and not word.isupper() and alone:
                begins |= not kept or weight(left) == END
                begins |= word[0].isupper() and (weight(left) > 2 or bool(OPENING.search(left)))
                around[-1] = bridge(left, right, first=not kept, last=last)
            else:
                kept.append(word[0].upper() + word[1:] if begins and word.islower() else word)
                around.append(right)
                begins = False
        return kept, around

    def without_repetitions(self, words: list[str], gaps: list[str]) -> tuple[list[str], list[str]]:
        """Return what was said the first time, and the gaps, each from behind the last time."""
        kept, around, lower = words[:0], gaps[:0], words[:0]
        for word, left in zip(words, gaps[:-1], strict=True):
            for said, new in ((kept, word), (around, left), (lower, word.lower())):
                said.append(new)
            for n in range(1, min(PHRASE_WORDS, len(kept) // 2) + 1):
                if (
                    lower[-n:] == lower[-2 * n : -n]
                    and all(set(dotted(gap)) <= BETWEEN for gap in around[1 - 2 * n :])
                    and not self.doubled.issuperset(lower[-n:])
                    and not any(map(self.number.search, lower[-n:]))
                    and not (n == 1 and is_other(kept[-2], kept[-1], around[-1], len(kept) == 2))
                    and not any(len(w) == 1 and w.isupper() and w != "I" for w in kept[-n:])
                ):
                    del kept[-n:], lower[-n:], around[-n:]
                    break
        return kept, [*around, gaps[-1]]


def is_other(said: str, again: str, between: str, first: bool) -> bool:
    """Tell whether it is another word ("In May may we") or a name ("Walla Walla")."""
    if said[0].isupper() and again[0].isupper() and said not in ("I", "A"):
        return between == " "
    return said != again and not first and said[0].islower() != again[0].islower()


SPEECH = {
    "en": Speech(
        "um umm uh uhh uhm erm er ehm hm hmm",
        "very really so no yes bye had that ha far long many much knock not her plus",
        r"zero oh o one two three four five six seven eight nine ten eleven twelve \w+teen twenty"
        r" thirty forty fifty sixty seventy eighty ninety hundred thousand \w+illion double triple",
    ),
    "de": Speech(
        "äh ähm öh öhm hm hmm",
        "die der das den sie ja nein sehr nicht was",
        r"null eins zwei zwo drei vier fünf sechs sieben acht neun elf zwölf \w*(?:zehn|zig|ßig)"
        r" \w*(?:hundert|tausend)",
    ),
    "fr": Speech(
        "euh heu hum",
        "nous vous très oui non pas",
        "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze"
        " seize vingts? trente quarante cinquante soixante cents? mille",
    ),
    "es": Speech(
        "em ehm mmm",
        "sí no muy",
        r"cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince"
        r" veint\w+ \w+enta cien ciento \w*cientos mil",
    ),
}


def note(
    spoken: Sequence[Segment], language: str | None = None, replacements: Replacements = ()
) -> str:
    """Return the text cleaned and in paragraphs, a new one after each long pause."""
    paragraphs: list[list[str]] = []
    last_end_ms = None
    for segment in spoken:
        if last_end_ms is None or segment.start_ms - last_end_ms >= PAUSE_MS:
            paragraphs.append([])
        paragraphs[-1].append(segment.text)
        last_end_ms = segment.end_ms
    texts = [SPACE.sub(" ", " ".join(p)).strip() for p in paragraphs]
    if speech := SPEECH.get(language or ""):
        texts = [speech.cleaned(text) for text in texts]
    return "\n\n".join(text for text in replaced(texts, replacements) if text)


def bridge(left: str, right: str, *, first: bool, last: bool) -> str:
    """Return the one gap that remains of the two around a filler."""
    rest = right.lstrip(MARKS)
    head = right[: len(right) - len(rest)]
    opening = OPENING.search(left)
    if opening and rest and CLOSING.get(opening[0][0]) == rest[0]:  # nothing is left within
        return bridge(left[: opening.start()], head + rest[1:], first=first, last=last)
    core = left.rstrip("¿¡") if weight(head) == END else left
    if not (first or opening or weight(left) == END):
        core = max(left, head, key=weight)
        if last and not rest and not weight(head):
            core = core.rstrip(" ,–—-")
        elif not rest and right[-1:].isspace() and not core[-1:].isspace():
            core += " "
    if rest and rest[0] not in OPENERS and (last or len(rest) > 1):  # it closes something
        core = core.rstrip() if weight(head) else core.rstrip(" ,–—-")
    return core + rest


def weight(gap: str) -> int:
    """Return how much the gap parts: 0 for space alone, END for the end of a sentence."""
    return max((WEIGHTS.get(c, 0) for c in dotted(gap)), default=0)


def dotted(gap: str) -> str:
    """Return the gap with one character for an ellipsis."""
    return re.sub(r"\.{2,}", "…", gap)


def replaced(texts: Sequence[str], replacements: Replacements) -> list[str]:
    """Return the texts with each replacement made, all at once, the longest where several fit."""
    pairs = [(" ".join(r["from"].split()), r["to"]) for r in replacements]
    pairs = sorted((p for p in pairs if p[0]), key=lambda p: (p[0][0].lower(), -len(p[0])))
    either = []
    for initial, several in groupby((p[0] for p in pairs), key=lambda heard: heard[0].lower()):
        runs = groupby(several, key=lambda heard: edge("!", heard[-1]))
        phrases = "|".join(f"(?:{'|'.join(map(phrase, run))}){behind}" for behind, run in runs)
        either.append(f"(?={re.escape(initial[0])}){edge('<!', initial[0])}(?:{phrases})")
    pattern = re.compile("|".join(either) or "(?!)", re.IGNORECASE)
    return [spliced(text, pattern, [meant for _, meant in pairs]) for text in texts]


def phrase(heard: str) -> str:
    """Return the pattern of what is heard, on whatever white space it has within."""
    return f"({ANY_SPACE.join(map(re.escape, heard.split()))})"


def edge(side: str, character: str) -> str:
    """Return the pattern of a word's edge where the character's script has space around words."""
    return f"(?{side}(?-i:{SPACED}))" if re.match(SPACED, character) else ""


def spliced(text: str, pattern: re.Pattern[str], meant: Sequence[str]) -> str:
    """Return the text with what each group of the pattern means; nothing leaves no space behind."""
    done, at = [""], 0
    for match in pattern.finditer(text):
        done.append(text[at : match.start()])
        at = match.end()
        if (new := meant[(match.lastindex or 1) - 1]).strip():
            done.append(new)
            continue
        while len(done) > 1 and not done[-1]:
            done.pop()
        if not done[-1] or OPENING.search(done[-1]):
            at += text[at : at + 1].isspace()
        elif CLOSER.match(text, at):
            done[-1] = done[-1].rstrip()
    return "".join([*done, text[at:]])


def title(text: str) -> str:
    """Return the first sentence that says something, cut at a word if it is long; "" of nothing."""
    line = " ".join(text[:TITLE_FROM].split())
    sentences: list[str] = SENTENCE.findall(line) or [line]
    chosen = next((s for s in sentences if len(s.split()) >= MIN_TITLE_WORDS), sentences[0])
    chosen = chosen.strip().rstrip(".。")
    if len(chosen) <= TITLE_LENGTH:
        return chosen
    head = chosen[: TITLE_LENGTH - 1]
    cut = head.rfind(" ")
    return (head[:cut] if cut > 0 else head).rstrip(",;:") + "…"

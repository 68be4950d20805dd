import json

from engine.phrases import PATH, phrases, spelling


def test_every_phrase_is_spelled_as_it_is_compared():
    listed = json.loads(PATH.read_text(encoding="utf-8"))
    assert {"base", "tiny.en"} <= set(listed)
    for languages in listed.values():
        for found in languages.values():
            assert [spelling(text) for text in found] == found
            assert len(set(found)) == len(found)


def test_each_model_has_its_own_phrases():
    assert "you" in phrases("tiny.en", "en")
    assert phrases("tiny.en", "en") != phrases("base", "en")
    assert phrases("base", "de") != phrases("base", "en")
    assert phrases("large-v3", "en") == phrases("base", "xx") == frozenset()


def test_answers_of_one_word_are_never_among_them():
    answers = {"yeah", "yes", "no", "okay", "ja", "nein", "si", "oui"}
    for name, language in (("base", "en"), ("base", "de"), ("tiny.en", "en")):
        assert not answers & phrases(name, language)


def test_case_and_punctuation_make_no_difference():
    assert spelling(" Thank you\u2026 Thank  YOU! ") == "thank you thank you"
    assert spelling("I'm here.") == "i'm here"
    assert spelling("...") == ""

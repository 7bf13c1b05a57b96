"""Characters that sound or look alike, from tables in the form of the package they come from."""

from ppocr_control.images import alike

#: Five readings, codes and stroke orders, as char-similar has them.
TABLES = {
    "frequency": {"公": 17.9, "么": 18.6, "工": 18.0, "共": 17.0, "龘": 0.0},
    "pinyin": {
        "公": ["gong", "g", "ong", "1"], "么": ["me", "m", "e", "e"],
        "工": ["gong", "g", "ong", "1"], "共": ["gong", "g", "ong", "4"],
    },
    "fourangle": {"公": "80732", "么": "20732", "工": "10100", "共": "44801", "龘": "01211"},
    "order": {"公": "3454", "么": "354", "工": "121", "共": "122134"},
}  # fmt: skip


def test_characters_that_sound_or_look_alike_are_found():
    found = alike.table(TABLES)
    assert found["公"]["same"] == "工" and found["公"]["syllable"] == "共"
    assert found["公"]["shape"] == {"么": 0.8} and found["么"]["shape"] == {"公": 0.8}
    assert found["工"]["shape"] == {} and "龘" not in found


def test_a_character_stands_in_the_closest_group_only():
    for kinds in alike.table(TABLES).values():
        sounds = [c for kind in ("same", "syllable", "near") for c in kinds.get(kind, "")]
        assert len(sounds) == len(set(sounds))

"""The script that `tidings grants` prints: whatever somebody is called, it is what it says."""

from tidings.core.grants import Found, Names, script, steps

END = "x\n\r\u2028drop table users;\n\\! rm"


def test_no_name_gets_out_of_a_comment() -> None:
    names = Names(END, END, 'own"er; $(date)', f"run {END}", "tidings_request", 18)
    there = frozenset({names.owner, names.running, names.request})
    told = steps("two", names, Found(there, True, True, True, (), (), ((END, "GRANT 1;", True),)))
    lines = [line for line in script("two", names, told).splitlines() if not line.startswith("--")]
    assert [line for line in lines if line] == ["GRANT 1;  -- capture"]


def test_names_are_quoted_for_whoever_reads_them() -> None:
    names = Names("a", "a", "owner", "x; rm -rf /", "tidings_request", 18)
    told = steps("two", names, Found(frozenset(), False, False, False, (), (), ()))
    text = script("two", names, told)
    assert 'CREATE ROLE "x; rm -rf /" LOGIN;' in text
    assert "TIDINGS_RUNNING_ROLE='x; rm -rf /' tidings migrate" in text

"""The home of the secret key, and what is said and left where it is missing or another."""

from pathlib import Path

from tests.support.process import Process, run_cli


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


async def test_the_key_has_one_home_whatever_folder_one_stands_in(database_url: str, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    environ = {"XDG_DATA_HOME": str(tmp_path / "home")}
    file = tmp_path / "home" / "tidings" / "secret_key"
    server = await Process.start("worker", database_url=database_url, environ=environ, cwd=first)
    assert server.ready["secret_key_file"] == str(file)
    await server.stop()
    key = file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    server = await Process.start("worker", database_url=database_url, environ=environ, cwd=second)
    await server.stop()
    assert (_files(first), _files(second), file.read_text()) == ([], [], key)

    # One that is missing, or another, is refused with its path; nothing is left behind.
    file.rename(tmp_path / "copy")
    for args in (["worker"], ["worker", "--log-format", "json"]):
        missing = run_cli(*(args[1:] + args[:1]), database_url=database_url, environ=environ, cwd=second)
        assert missing.returncode == 2
        assert f"there is no {file}" in missing.stderr
    assert _files(tmp_path / "home") == ["tidings"]
    file.write_text("another")
    wrong = run_cli("worker", database_url=database_url, environ=environ, cwd=second)
    assert (wrong.returncode, file.read_text()) == (2, "another")
    assert f"The secret key in {file} is not the one" in wrong.stderr
    file.unlink()

    # An installation from before it was so keeps its key where it is.
    (second / ".tidings").mkdir()
    (second / ".tidings" / "secret_key").write_text(key)
    server = await Process.start("worker", database_url=database_url, environ=environ, cwd=second)
    assert server.ready["secret_key_file"] == str(second / ".tidings" / "secret_key")
    await server.stop()

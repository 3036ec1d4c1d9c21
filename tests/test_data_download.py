"""Named sets are found, fetched and checked; a failed download leaves nothing behind."""

import functools
import hashlib
import http.server
import io
import threading
import zipfile
from pathlib import Path

import pytest

from lstm_jax.data import SETS, DataError, DataFile, DataSet, cache_dir, find
from tests.datasets import real_data

BODY = b"the quick brown fox\n" * 5000


class Server(http.server.BaseHTTPRequestHandler):
    """Serves ``bodies``; a path under /short/ ends after half of what its header promises."""

    bodies: dict[str, bytes]

    def __init__(self, bodies, *args):
        self.bodies = bodies
        super().__init__(*args)

    def do_GET(self):
        name = self.path.rpartition("/")[2]
        if name not in self.bodies:
            self.send_error(404)
            return
        body = self.bodies[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        short = self.path.startswith("/short/")
        self.wfile.write(body[: len(body) // 2] if short else body)

    def log_message(self, *args):
        pass


@pytest.fixture
def served(tmp_path, monkeypatch):
    """``(bodies to serve, address)``, with an empty cache and no folder of the user's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("LSTM_JAX_DATA", raising=False)
    bodies: dict[str, bytes] = {}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Server, bodies))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield bodies, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def made(address: str, *names: str, body: bytes = BODY) -> DataSet:
    digest = hashlib.sha256(body).hexdigest()
    files = tuple(DataFile(name, digest, len(body), address) for name in names)
    return DataSet("made", "text", "", files, "", "")


def leftovers() -> list[Path]:
    return [path for path in cache_dir().rglob("*") if path.is_file()]


def refusal(dataset: DataSet | str, data_dir: str = "") -> str:
    with pytest.raises(DataError) as caught:
        find(dataset, data_dir)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_is_fetched_once_and_kept(served, capsys):
    bodies, address = served
    bodies["fox.txt"] = BODY
    dataset = made(f"{address}/fox.txt", "fox.txt")
    path = find(dataset)["fox.txt"]
    assert path == cache_dir() / "made" / "fox.txt" and path.read_bytes() == BODY
    assert leftovers() == [path]
    assert capsys.readouterr().err == "downloading fox.txt (0.1 MB)\n"
    bodies.clear()  # from now on only the cache has it
    assert find(dataset)["fox.txt"] == path


def test_an_archive_gives_its_members(served):
    bodies, address = served
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("__MACOSX/folder/a.txt", b"no")
        archive.writestr("folder/a.txt", BODY)
        archive.writestr("__MACOSX/folder/b.txt", b"no")
        archive.writestr("folder/b.txt", BODY)
        archive.writestr("older/a.txt", b"no")  # the first of a name
    bodies["both.zip"] = stream.getvalue()
    found = find(made(f"{address}/both.zip", "a.txt", "b.txt"))
    assert [path.read_bytes() for path in found.values()] == [BODY, BODY]
    assert sorted(leftovers()) == sorted(found.values())
    assert "holds no c.txt" in refusal(made(f"{address}/both.zip", "a.txt", "c.txt"))
    bodies["both.zip"] = b"no archive"
    assert "no readable zip" in refusal(made(f"{address}/both.zip", "d.txt"))
    assert sorted(leftovers()) == sorted(found.values())


def test_what_goes_wrong_is_one_line_and_leaves_nothing(served):
    bodies, address = served
    bodies["fox.txt"] = BODY
    truncated = refusal(made(f"{address}/short/fox.txt", "fox.txt"))
    assert f"{address}/short/fox.txt: the connection ended after 50,000 of 100,000" in truncated
    missing = refusal(made(f"{address}/gone.txt", "gone.txt"))
    assert "HTTP 404" in missing
    bodies["fox.txt"] = BODY.replace(b"fox", b"dog", 1)
    dataset = made(f"{address}/fox.txt", "fox.txt")
    wrong = refusal(dataset)
    assert (
        dataset.files[0].sha256 in wrong and hashlib.sha256(bodies["fox.txt"]).hexdigest() in wrong
    )
    bodies["fox.txt"] = BODY[:-1]
    assert "99,999 bytes where fox.txt has 100,000" in refusal(dataset)
    assert leftovers() == []


def test_offline_says_what_to_do_by_hand(served):
    _, address = served
    nowhere = made("http://127.0.0.1:9/fox.txt", "fox.txt")  # nothing listens at discard
    text = refusal(nowhere)
    for part in ("http://127.0.0.1:9/fox.txt", "refused", nowhere.files[0].sha256, "--data_dir"):
        assert part in text
    assert str(cache_dir() / "made") in text and not (cache_dir() / "made").exists()


def test_a_folder_of_the_users_comes_first(served, tmp_path, monkeypatch, capsys):
    bodies, address = served
    dataset = made(f"{address}/fox.txt", "fox.txt")
    own = tmp_path / "own"
    (own / "deep").mkdir(parents=True)
    (own / "deep" / "fox.txt").write_bytes(BODY)
    assert find(dataset, str(own))["fox.txt"] == own / "deep" / "fox.txt"
    monkeypatch.setenv("LSTM_JAX_DATA", str(own))
    assert find(dataset)["fox.txt"] == own / "deep" / "fox.txt"
    (own / "fox.txt").write_bytes(BODY[:100])
    assert str(own / "fox.txt") in refusal(dataset) and "100 bytes" in refusal(dataset)
    assert "no such folder" in refusal(dataset, str(tmp_path / "nowhere"))
    monkeypatch.delenv("LSTM_JAX_DATA")
    cached = cache_dir() / "made" / "fox.txt"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"damaged")
    bodies["fox.txt"] = BODY
    assert find(dataset)["fox.txt"].read_bytes() == BODY
    assert "damaged" in capsys.readouterr().err


def test_an_unknown_name_is_told_with_the_nearest():
    assert "nearest: warpeace" in refusal("warpaece")


def test_every_set_says_what_has_to_be_known():
    for name, dataset in SETS.items():
        assert dataset.name == name and dataset.about and dataset.status and dataset.citation
        for file in dataset.files:
            assert len(bytes.fromhex(file.sha256)) == 32 and file.size > 0
            assert file.address.startswith("https://")


def test_the_real_files_are_the_named_ones():
    folder = real_data()
    for name in ("warpeace", "shakespeare", "jsb_chorales", "sentiment"):
        found = find(name, folder)
        assert [path.name for path in found.values()] == [f.name for f in SETS[name].files]

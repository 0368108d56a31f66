# SPDX-License-Identifier: MIT OR Apache-2.0
"""Autopsy of a kernel's dump: tasks, locks, waits, dentries, RPC, and an audit of the dentry cache, as JSON.

Exit codes: 0 written; 2 the dump or the vmlinux cannot be opened; 3 they are of different kernels.
"""

import argparse
import gc
import json
import logging
import os
import sys
import time

# Plugins are commands for people at a prompt, and loading them takes a third of a second.
os.environ.setdefault("DRGN_DISABLE_PLUGINS", "*")
# python -I leaves the script's own folder out of the path.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import core as elf

FORMAT = 1
# CPU time that one part may take; on a sound dump each takes a second or two.
PART_SECONDS = 20


def main():
    """Runs the program; returns its exit code."""
    options = _options()
    started = time.monotonic()
    # Hundreds of thousands of small values are made and kept to the end: looking for garbage among them costs a third.
    gc.disable()
    try:
        dump = elf.Core(options.core)
        vmlinux_id = elf.build_id(options.vmlinux)
    except (OSError, elf.Refused) as error:
        return _fail(2, f"cannot open: {error}")
    if not dump.info:
        return _fail(
            2,
            f"{options.core} has no vmcoreinfo: the guest was stopped before its kernel had booted, the file is cut off"
            " at its beginning, or QEMU was started without -device vmcoreinfo",
        )
    if not elf.same_build(dump.build_id, vmlinux_id):
        return _fail(
            3,
            f"{options.vmlinux} has build id {vmlinux_id}, the dump is of a kernel with {dump.build_id}; give the"
            " vmlinux of that kernel",
        )
    try:
        import drgn
    except ImportError as error:
        return _fail(2, f"drgn is not there ({error}); lab setup puts it into its private Python")
    # What drgn has to say of single expressions in the debug information is of no use here.
    logging.getLogger("drgn").setLevel(logging.CRITICAL)
    try:
        prog = drgn.Program()
        prog.set_core_dump(options.core)
        prog.load_debug_info([options.vmlinux])
    except Exception as error:  # drgn raises many kinds; all mean the same here.
        words = str(error).splitlines() or [type(error).__name__]
        return _fail(2, f"drgn cannot open {options.core}: {words[0]}; is it whole, and written by QEMU as ELF?")
    import report

    told = report.make(prog, dump, vmlinux_id, options.only == "audit", started, PART_SECONDS)
    _write(told, options.json)
    return 0


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--core", required=True, help="dump of the guest (ELF, not compressed)")
    parser.add_argument("--vmlinux", required=True, help="vmlinux of the dumped kernel, with debug information")
    parser.add_argument("--only", choices=["audit"], help="do this part only")
    parser.add_argument("--json", help="where to write; standard output by default")
    return parser.parse_args()


def _write(told, path):
    text = json.dumps(told, ensure_ascii=False, indent=1) + "\n"
    if not path:
        sys.stdout.write(text)
        return
    temporary = f"{path}.part"
    with open(temporary, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
    os.replace(temporary, path)


def _fail(code, text):
    sys.stderr.write(f"{text}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())

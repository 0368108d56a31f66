# SPDX-License-Identifier: MIT OR Apache-2.0
"""Frames of a stack as values, and what they tell of a task that sleeps. Needs no drgn."""

import re

from buckets import is_kernel_pointer

# Folders of a kernel tree's root that C code is in.
_TREE = re.compile(
    r"(?:^|/)((?:arch|block|certs|crypto|drivers|fs|include|init|io_uring|ipc|kernel|lib|mm|net|rust|security|sound"
    r"|virt)/.*)$"
)
LOOKUP = ("d_wait_lookup", "d_alloc_parallel")
# Functions that only wait, whoever asks them to.
_HELPERS = ("kernel/sched/", "kernel/time/", "include/", "arch/", "lib/", "kernel/entry/", "kernel/softirq")
BLOCKED = ("__nfs_lookup_revalidate", "nfs_lookup_revalidate", "nfs4_lookup_revalidate")


class Variable:
    """A pointer to a structure that a frame's variable holds; or the address of one that lies in the frame."""

    def __init__(self, name, kind, address):
        self.name = name
        self.kind = kind
        self.address = address


class Frame:
    """One frame."""

    def __init__(self, function, file, line, inline):
        self.function = function
        self.file = file
        self.line = line
        self.inline = inline
        self.variables = []

    def find(self, kind, *names):
        """Address in the first variable of a structure's kind, or, where names are given, in the first of these names
        that there is; None if no such variable is known."""
        fitting = [variable for variable in self.variables if variable.kind == kind and variable.address]
        for name in names:
            for variable in fitting:
                if variable.name == name:
                    return variable.address
        return fitting[0].address if fitting and not names else None

    def json(self, describe):
        """The frame for autopsy.json."""
        arguments = {variable.name: describe(variable) for variable in self.variables}
        return {
            "function": self.function,
            "file": self.file,
            "line": self.line,
            "inline": self.inline,
            "arguments": arguments,
        }


def relative(path):
    """A source file relative to the tree, however the build named it."""
    if not path:
        return None
    path = re.sub(r"^.*?/src/(?!linux)", "", path) if "/src/" in path and not _TREE.match(path) else path
    found = _TREE.search(path)
    return found[1] if found else path.lstrip("./")


def sleeping_frame(frames):
    """Index of the frame that went to sleep: the first that is no helper; None if all are."""
    for index, frame in enumerate(frames):
        if frame.file and not frame.file.startswith(_HELPERS):
            return index
    return None


def locking_frames(frames):
    """The frames of a locking function that a task sleeps in, with the one that called it; empty if it sleeps
    elsewhere."""
    index = sleeping_frame(frames)
    if index is None or not frames[index].file.startswith("kernel/locking/"):
        return []
    end = index
    while end < len(frames) and (frames[end].file or "").startswith(("kernel/locking/", "include/linux/")):
        end += 1
    return frames[:end]


def blocked_dentry(frames):
    """The dentry whose NFS unlink or rename a task waits to end; None if it does not wait so."""
    index = sleeping_frame(frames)
    if index is None or frames[index].function not in BLOCKED:
        return None
    for frame in frames[index : index + 3]:
        address = frame.find("dentry", "dentry")
        if address and is_kernel_pointer(address):
            return address
    return None


def rpc_task(frames):
    """Address of the RPC task that a task waits for; 0 if it cannot be told, None if it does not wait for one."""
    index = sleeping_frame(frames)
    if index is None or not frames[index].file.startswith(("net/sunrpc/", "fs/nfs/")):
        return None
    within = frames[index : index + 12]
    if not any(f.function.startswith(("rpc_wait", "__rpc_wait", "rpc_run", "__rpc_execute")) for f in within):
        return None
    for frame in within:
        address = frame.find("rpc_task")
        if address and is_kernel_pointer(address):
            return address
    return 0

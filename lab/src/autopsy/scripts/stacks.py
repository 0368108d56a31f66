# SPDX-License-Identifier: MIT OR Apache-2.0
"""Stacks of tasks: frames with file and line, inlined ones too, and what their arguments point at."""

import re

import drgn

from buckets import is_kernel_pointer
from case import FAULTS
from layout import bare

MOST_FRAMES = 100
# Folders of a kernel tree's root that C code is in.
_TREE = re.compile(
    r"(?:^|/)((?:arch|block|certs|crypto|drivers|fs|include|init|io_uring|ipc|kernel|lib|mm|net|rust|security|sound"
    r"|virt)/.*)$"
)
# Where arguments are worth their reading.
_RELEVANT = ("fs/", "kernel/locking/", "net/sunrpc/", "include/linux/", "kernel/sched/wait", "kernel/sched/completion")
_STRUCTURES = {
    "dentry",
    "file",
    "filename",
    "fsnotify_group",
    "fsnotify_mark",
    "fsnotify_mark_connector",
    "inode",
    "mount",
    "mutex",
    "nameidata",
    "nfs_unlinkdata",
    "path",
    "qstr",
    "rpc_clnt",
    "rpc_task",
    "rt_mutex",
    "rt_mutex_base",
    "rt_mutex_waiter",
    "rw_semaphore",
    "rwbase_rt",
    "semaphore",
    "spinlock",
    "super_block",
    "svc_fh",
    "svc_rqst",
    "task_struct",
    "vfsmount",
    "wait_queue_head",
}


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
        """Address in the first variable of a structure's kind, those of the given names before others; None if no such
        variable is known."""
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


def unwind(tasks, value, arguments=True):
    """The frames of a task, innermost first; raises what drgn raises."""
    frames = []
    for raw in list(tasks.trace(value.address))[:MOST_FRAMES]:
        frames.append(_frame(raw, arguments))
    # Behind the entry from user space there are registers, which look like one more frame.
    while frames and frames[-1].file is None and frames[-1].function.startswith("0x"):
        frames.pop()
    return frames


def _frame(raw, arguments):
    file = line = None
    try:
        source = raw.source()
        file, line = relative(source[0]), source[1] or None
    except FAULTS:
        pass
    frame = Frame(raw.name, file, line, raw.is_inline)
    if arguments and file and file.startswith(_RELEVANT):
        frame.variables = _variables(raw)
    return frame


def _variables(raw):
    found = []
    try:
        names = raw.locals()
    except FAULTS:
        return found
    for name in names:
        try:
            variable = _variable(name, raw[name])
        except FAULTS:
            continue
        if variable:
            found.append(variable)
    return found


def _variable(name, value):
    if value.absent_:
        return None
    kind = bare(value.type_)
    if kind.kind == drgn.TypeKind.POINTER:
        target = bare(kind.type)
        if target.kind == drgn.TypeKind.STRUCT and target.tag in _STRUCTURES:
            return Variable(name, target.tag, value.value_())
        if target.kind == drgn.TypeKind.INT and target.size == 1 and "name" in name:
            text = Variable(name, "char", value.value_())
            return text if is_kernel_pointer(text.address) else None
    elif kind.kind == drgn.TypeKind.STRUCT and kind.tag in _STRUCTURES and value.address_:
        return Variable(name, kind.tag, value.address_)
    return None
